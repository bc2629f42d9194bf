package modeltest

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/sender"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

const (
	room      = ids.RoomID("!room:example.org")
	otherRoom = ids.RoomID("!other:example.org")
	me        = ids.UserID("@me:example.org")
	alice     = ids.UserID("@alice:example.org")
	mallory   = ids.UserID("@mallory:example.org")
)

// world is the people and everything they ever sign, made once: a few dozen signatures carry millions of transitions.
type world struct {
	kit  *testkit.Kit
	own  trust.Own
	mine *testkit.Device

	session  *testkit.Outbound // the one session
	invented *testkit.Outbound // another ratchet under the same session id
	name     megolm.SessionID
	genuine  *megolm.InboundSession

	phone, hers *testkit.Device // Alice's, and Mallory's
	stranger    *testkit.Device // whose keys an invented claim names

	// Master keys: ours, ours after a reset, Alice's, Alice's after a reset.
	me1, me2, alice1, alice2, mallory1 keys.Ed25519

	signed   map[string]signature // by the object as published
	answers  map[string][]byte    // bodies of /keys/query, by name
	devices  map[string][]byte    // of Alice's phone, as embedded
	messages map[uint32][]byte    // of Alice's, by index
	memo     *memo
	secrets  []string
	letters  []*letter
}

// signature is who really signed a published object, as whoever made the world knows.
type signature struct {
	of    ids.UserID
	key   keys.Ed25519    // of a cross-signing key: the key itself; of a device: its fingerprint key
	curve keys.Curve25519 // of a device
	by    []keys.Ed25519  // the cross-signing keys whose signatures on it are good
}

func newWorld() *world {
	kit := testkit.New("a small world")
	w := &world{kit: kit, signed: map[string]signature{}, answers: map[string][]byte{}, devices: map[string][]byte{}, memo: newMemo()}

	my := kit.User(string(me))
	w.mine = my.Device("MYDEVICE").CrossSigned()
	w.own = trust.Own{UserID: me, DeviceID: "MYDEVICE", Ed25519: fingerprint(w.mine.Ed25519()), Curve25519: curve(w.mine.Curve25519())}
	al := kit.User(string(alice))
	w.phone = al.Device("PHONE")
	ma := kit.User(string(mallory))
	w.hers = ma.Device("DESK").CrossSigned()
	w.stranger = kit.User("@stranger:example.org").Device("NOWHERE")

	w.session, w.invented = kit.Outbound(), kit.Outbound()
	w.invented.Private = w.session.Private
	w.name = must(megolm.ParseSessionID(w.session.ID()))
	w.genuine = must(megolm.ParseExportedSessionKey(w.session.ExportedAt(0)))

	// Alice's phone and her first identity; the phone signed by nobody, by her, and by somebody who only writes her label.
	phone := map[string]map[string]any{"unsigned": w.device(w.phone)}
	phone["signed"] = w.device(w.phone.CrossSigned(), al.Identity)
	phone["forged"] = w.device(w.phone.NotCrossSigned().CorruptlyCrossSigned())
	w.phone.NotCrossSigned()
	first := w.identity(al)
	my.Verifies(al)
	firstVerified := w.identity(al, my.Identity)
	w.alice1, w.me1 = master(al), master(my)

	// Our own identity, and another after a reset that we did not make. Alice's first identity, verified by that one.
	mine1 := w.identity(my)
	w.device(w.mine, my.Identity)
	old := my.Identity
	my.ResetIdentity()
	mine2 := w.identity(my)
	w.me2 = master(my)
	my.Verifies(al)
	firstVerifiedTwice := w.identity(al, old, my.Identity)

	// Alice's second identity, under which the phone is signed anew or not yet.
	al.ResetIdentity()
	second := w.identity(al)
	w.alice2 = master(al)
	al.Identity.Master.SignedBy(string(me), old.UserSigning.SigningKey)
	secondVerified := w.identity(al, old)
	phone["signed by the second"] = w.device(w.phone.CrossSigned(), al.Identity)

	// Mallory, honest about herself, and with a device of hers that names the key of Alice's phone (T15).
	desk := w.device(w.hers, ma.Identity)
	hers := w.identity(ma)
	w.mallory1 = master(ma)
	thief := ma.Device("THIEF")
	thief.Identity = w.phone.Identity
	stolen := w.device(thief.CrossSigned(), ma.Identity)
	ma.Identity.Master.SignedBy(string(me), old.UserSigning.SigningKey)
	hersVerified := w.identity(ma, old)

	for name, object := range phone {
		w.devices[name] = testkit.JSON(object)
	}
	w.devices["desk"] = testkit.JSON(desk)
	of := func(devices map[string]any, identity published) []byte { return answer(alice, devices, identity) }
	on := func(name string) map[string]any { return map[string]any{"PHONE": phone[name]} }
	w.answers["alice gone"] = of(map[string]any{}, nil)
	w.answers["alice unsigned"] = of(on("unsigned"), nil)
	w.answers["alice unsigned, identity"] = of(on("unsigned"), first)
	w.answers["alice signed"] = of(on("signed"), first)
	w.answers["alice forged"] = of(on("forged"), first)
	w.answers["alice verified"] = of(on("signed"), firstVerified)
	w.answers["alice verified by both"] = of(on("signed"), firstVerifiedTwice)
	w.answers["alice rotated"] = of(on("signed"), second)
	w.answers["alice rotated, signed"] = of(on("signed by the second"), second)
	w.answers["alice rotated, verified"] = of(on("signed by the second"), secondVerified)
	w.answers["alice is mallory"] = answer(alice, map[string]any{"DESK": desk}, hersVerified)
	w.answers["mallory"] = answer(mallory, map[string]any{"DESK": desk}, hers)
	w.answers["mallory the thief"] = answer(mallory, map[string]any{"DESK": desk, "THIEF": stolen}, hers)
	w.answers["mallory verified"] = answer(mallory, map[string]any{"DESK": desk}, hersVerified)
	w.answers["me"] = answer(me, map[string]any{"MYDEVICE": w.mine.Object()}, mine1)
	w.answers["me reset"] = answer(me, map[string]any{"MYDEVICE": w.mine.Object()}, mine2)

	both := func(member string) map[string]any {
		one := map[string]published{"alice": first, "mallory": hers}
		return map[string]any{string(alice): one["alice"][member], string(mallory): one["mallory"][member]}
	}
	w.answers["everybody signed"] = testkit.JSON(map[string]any{
		"device_keys": map[string]any{string(alice): on("signed"), string(mallory): map[string]any{"DESK": desk}},
		"master_keys": both("master_keys"), "self_signing_keys": both("self_signing_keys"),
	})
	w.messages = map[uint32][]byte{0: w.message(0, "$zero"), 2: w.message(2, "$first")}
	w.secrets = w.secretTexts()
	w.letters = w.alphabet()
	return w
}

// device is the object of a device, noted down with the identities that have signed it.
func (w *world) device(d *testkit.Device, by ...*testkit.Identity) map[string]any {
	object := d.Object()
	note := signature{of: ids.UserID(d.User.ID), key: fingerprint(d.Ed25519()), curve: curve(d.Curve25519())}
	for _, identity := range by {
		note.by = append(note.by, fingerprint(identity.SelfSigning.Public()))
	}
	w.signed[string(testkit.JSON(object))] = note
	return object
}

// published is the three objects of an identity, by the member of an answer they stand in.
type published map[string]map[string]any

// identity is a user's identity as it is now, noted down with the identities of ours that have signed its master key.
func (w *world) identity(user *testkit.User, by ...*testkit.Identity) published {
	i := user.Identity
	p := published{"master_keys": i.Master.Object(), "self_signing_keys": i.SelfSigning.Object(), "user_signing_keys": i.UserSigning.Object()}
	note := signature{of: ids.UserID(user.ID), key: fingerprint(i.Master.Public())}
	for _, ours := range by {
		note.by = append(note.by, fingerprint(ours.UserSigning.Public()))
	}
	w.signed[string(testkit.JSON(p["master_keys"]))] = note
	for member, key := range map[string]*testkit.CrossSigningKey{"self_signing_keys": i.SelfSigning, "user_signing_keys": i.UserSigning} {
		w.signed[string(testkit.JSON(p[member]))] = signature{
			of: ids.UserID(user.ID), key: fingerprint(key.Public()), by: []keys.Ed25519{fingerprint(i.Master.Public())},
		}
	}
	return p
}

// answer is the body of an answer to /keys/query about one user. Without identity it mentions none.
func answer(user ids.UserID, devices map[string]any, identity published) []byte {
	body := map[string]any{"failures": map[string]any{}, "device_keys": map[string]any{string(user): devices}}
	for member, object := range identity {
		body[member] = map[string]any{string(user): object}
	}
	return testkit.JSON(body)
}

// payload is a room key as our Olm hands it over: the session at index, by a device, with an embedded device or none.
func (w *world) payload(from *testkit.Device, in ids.RoomID, session *testkit.Outbound, index uint32, embedded []byte, hooks ...testkit.Hook) sender.DecryptedOlmEvent {
	session.SkipTo(index)
	object := from.RoomKeyObject(w.mine, string(in), session, append([]testkit.Hook{testkit.WithoutDeviceKeys}, hooks...)...)
	body := testkit.JSON(object)
	if embedded != nil {
		// As received, so that it is the object that was noted down.
		body = append(bytes.TrimSuffix(body, []byte("}")), `,"sender_device_keys":`...)
		body = append(append(body, embedded...), '}')
	}
	return sender.DecryptedOlmEvent{Sender: from.User.ID, SenderKey: from.Curve25519(), Payload: body}
}

// claim is a copy as an import makes it.
func (w *world) claim(names *testkit.Device, session *testkit.Outbound, index uint32, legacy bool) *sender.Copy {
	return &sender.Copy{
		CopyKey: sender.CopyKey{RoomID: room, SessionID: w.name, SenderKey: curve(names.Curve25519()), Provenance: sender.Claimed},
		Session: must(megolm.ParseExportedSessionKey(session.ExportedAt(index))),
		Ed25519: fingerprint(names.Ed25519()), HasEd25519: true, Legacy: legacy,
	}
}

// message is an event of Alice's at an index, under an event id.
func (w *world) message(index uint32, id string) []byte {
	plaintext := testkit.JSON(map[string]any{"type": "m.room.message", "room_id": string(room), "content": map[string]any{"body": "hello"}})
	w.session.SkipTo(index)
	return w.phone.RoomEvent(string(room), w.session, plaintext, testkit.Set("event_id", id))
}

// secretTexts are texts that may stand in no error, report or event (I21): pieces of the session keys, at every place base64 can give them.
func (w *world) secretTexts() []string {
	var texts []string
	for _, session := range []*testkit.Outbound{w.session, w.invented} {
		for _, index := range []uint32{0, 2} {
			key := session.ExportedAt(index)
			texts = append(texts, key[8:24], key[60:76])
		}
	}
	return texts
}

func (w *world) leaks(text string) bool {
	for _, secret := range w.secrets {
		if strings.Contains(text, secret) {
			return true
		}
	}
	return false
}

// letter finds a letter of the alphabet by name.
func (w *world) letter(name string) *letter {
	for _, l := range w.letters {
		if l.name == name {
			return l
		}
	}
	panic("there is no letter " + name)
}

func master(user *testkit.User) keys.Ed25519 { return fingerprint(user.Identity.Master.Public()) }
func fingerprint(text string) keys.Ed25519   { return must(keys.ParseEd25519(text)) }
func curve(text string) keys.Curve25519      { return must(keys.ParseCurve25519(text)) }
func sorted[V any](m map[string]V) []string  { return slices.Sorted(maps.Keys(m)) }
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
