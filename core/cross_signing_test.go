package core_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"knownsender/core"
	"knownsender/core/crosssigning"
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/record"
	"knownsender/core/signedjson"
	"knownsender/core/store"
	"knownsender/core/store/storetest"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

// Our own identity: private cross-signing keys made here or brought from elsewhere, held against what the server says, and what they sign.

// directory is a homeserver's list of devices and identities, changed by requests as a server changes it. It answers every request that a machine makes.
type directory struct {
	t       testing.TB
	devices map[string]map[string]map[string]any
	keys    map[string]map[string]map[string]any // by member of the answer, then user
	refuses string                               // an errcode for signatures
	sent    []lane.RequestType
	turn    sync.Mutex
}

func newDirectory(t testing.TB, users ...*testkit.User) *directory {
	s := &directory{t: t, devices: map[string]map[string]map[string]any{}, keys: map[string]map[string]map[string]any{"master_keys": {}, "self_signing_keys": {}, "user_signing_keys": {}}}
	s.lists(users...)
	return s
}

// lists puts users on the list as they are now.
func (s *directory) lists(users ...*testkit.User) {
	for _, user := range users {
		if s.devices[user.ID] == nil {
			s.devices[user.ID] = map[string]map[string]any{}
		}
		for _, device := range user.Devices {
			s.devices[user.ID][device.ID] = device.Object()
		}
		if user.Identity.Master != nil {
			s.keys["master_keys"][user.ID] = user.Identity.Master.Object()
			s.keys["self_signing_keys"][user.ID] = user.Identity.SelfSigning.Object()
			s.keys["user_signing_keys"][user.ID] = user.Identity.UserSigning.Object()
		}
	}
}

// Send implements lane.Fetcher.
func (s *directory) Send(_ context.Context, r *lane.Request) ([]byte, error) {
	s.t.Helper()
	s.turn.Lock()
	defer s.turn.Unlock()
	s.sent = append(s.sent, r.Type)
	body := jsonOf(s.t, r.Body)
	switch r.Type {
	case lane.KeysUpload:
		if keys, is := body["device_keys"].(map[string]any); is {
			user := keys["user_id"].(string)
			if s.devices[user] == nil {
				s.devices[user] = map[string]map[string]any{}
			}
			s.devices[user][keys["device_id"].(string)] = keys
		}
		return []byte(`{"one_time_key_counts":{"signed_curve25519":50}}`), nil
	case lane.SigningKeysUpload:
		for of, in := range map[string]string{"master_key": "master_keys", "self_signing_key": "self_signing_keys", "user_signing_key": "user_signing_keys"} {
			key := body[of].(map[string]any)
			s.keys[in][key["user_id"].(string)] = key
		}
		return []byte(`{}`), nil
	case lane.SignatureUpload:
		for user, objects := range body {
			for name, object := range objects.(map[string]any) {
				if s.refuses != "" {
					return testkit.JSON(map[string]any{"failures": map[string]any{user: map[string]any{name: map[string]any{"errcode": s.refuses}}}}), nil
				}
				s.sign(user, name, object.(map[string]any))
			}
		}
		return []byte(`{"failures":{}}`), nil
	case lane.KeysQuery:
		answer := map[string]any{"device_keys": map[string]any{}}
		for user := range body["device_keys"].(map[string]any) {
			devices := s.devices[user]
			if devices == nil {
				devices = map[string]map[string]any{}
			}
			answer["device_keys"].(map[string]any)[user] = devices
			for member, keys := range s.keys {
				if key := keys[user]; key != nil {
					if answer[member] == nil {
						answer[member] = map[string]any{}
					}
					answer[member].(map[string]any)[user] = key
				}
			}
		}
		return testkit.JSON(answer), nil
	}
	return []byte(`{}`), nil
}

// sign adds the signatures of an object to those of the listed one, which it must be but for them.
func (s *directory) sign(user, name string, object map[string]any) {
	s.t.Helper()
	listed := s.devices[user][name]
	if listed == nil {
		listed = s.keys["master_keys"][user]
	}
	if listed == nil {
		s.t.Fatalf("a signature over nothing, %s %s", user, name)
	}
	signatures, _ := object["signatures"].(map[string]any)
	plain := func(of map[string]any) string {
		of = map[string]any(jsonOf(s.t, testkit.JSON(of)))
		delete(of, "signatures")
		delete(of, "unsigned")
		return string(testkit.JSON(of))
	}
	if plain(object) != plain(listed) {
		s.t.Fatalf("%s is signed, and %s is listed", plain(object), plain(listed))
	}
	all, _ := listed["signatures"].(map[string]any)
	if all == nil {
		all = map[string]any{}
		listed["signatures"] = all
	}
	for by, more := range signatures {
		of, _ := all[by].(map[string]any)
		if of == nil {
			of = map[string]any{}
			all[by] = of
		}
		for label, signature := range more.(map[string]any) {
			of[label] = signature
		}
	}
}

// marks sends a request to the directory and brings the answer back.
func (d *device) marks(s *directory, r lane.Request) {
	d.t.Helper()
	answer, err := s.Send(context.Background(), &r)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.machine.MarkRequestAsSent(context.Background(), r.ID, answer); err != nil {
		d.t.Fatal(err)
	}
}

// pumps makes requests until there are none, as a host does.
func (d *device) pumps(s *directory) {
	d.t.Helper()
	for range 20 {
		requests := d.machine.OutgoingRequests()
		if len(requests) == 0 {
			return
		}
		for _, r := range requests {
			d.marks(s, r)
		}
	}
	d.t.Fatal("there is no end of requests")
}

// asks has the directory asked about users once more.
func (d *device) asks(s *directory, users ...ids.UserID) {
	d.t.Helper()
	if err := d.machine.ReceiveDeviceLists(context.Background(), users, nil); err != nil {
		d.t.Fatal(err)
	}
	d.pumps(s)
}

func (d *device) bootstraps(s *directory, reset bool) {
	d.t.Helper()
	requests := d.mustBootstrap(reset)
	if requests.UploadKeys != nil {
		d.marks(s, *requests.UploadKeys)
	}
	d.marks(s, requests.UploadSigningKeys)
	d.marks(s, requests.UploadSignatures)
	d.pumps(s)
}

func (d *device) mustBootstrap(reset bool) *core.CrossSigningBootstrap {
	d.t.Helper()
	requests, err := d.machine.BootstrapCrossSigning(context.Background(), reset)
	if err != nil {
		d.t.Fatal(err)
	}
	return requests
}

// stands holds which private keys are here, and how we stand to ourselves, against what is expected.
func (d *device) stands(what string, count int, verification trust.Verification, cross trust.CrossSignature) {
	d.t.Helper()
	status, err := d.machine.CrossSigningStatus(context.Background())
	if err != nil {
		d.t.Fatal(err)
	}
	held := 0
	for _, has := range []bool{status.HasMaster, status.HasSelfSigning, status.HasUserSigning} {
		if has {
			held++
		}
	}
	_, got, _, _ := d.machine.Identity(me)
	device := core.KnownDevice(d.machine, me, "MYDEVICE")
	if held != count || got != verification || device.CrossSigned != cross {
		d.t.Errorf("%s: %d private keys, %v, and our device's cross-signature is %v", what, held, got, device.CrossSigned)
	}
}

const me = ids.UserID("@me:example.org")

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// seeds are the private keys of a test user's identity.
func seeds(of *testkit.Identity) crosssigning.Export {
	seed := func(key *testkit.CrossSigningKey) string { return testkit.Base64(key.Private.Seed()) }
	return crosssigning.Export{Master: seed(of.Master), SelfSigning: seed(of.SelfSigning), UserSigning: seed(of.UserSigning)}
}

// saysOfItself is the device keys that our device sends along with what it says to a peer.
func (d *device) saysOfItself(to *peer) *trust.DeviceKeys {
	d.t.Helper()
	payload := must(to.opens(must(d.encrypts(to, "{}"))))
	said := must(trust.ParseDeviceKeys(must(signedjson.Parse(testkit.JSON(payload["sender_device_keys"])))))
	if check := must(said.SelfCheck()); !check.Verify() {
		d.t.Error("the device's own signature is wrong")
	}
	return said
}

// crossSigned is what the owner's current self-signing key says of device keys that were sent along.
func (d *device) crossSigned(said *trust.DeviceKeys) trust.CrossSignature {
	d.t.Helper()
	identity, _, _, _ := d.machine.Identity(me)
	check, outcome := said.SignatureBy(identity.SelfSigning)
	return outcome.Resolve(outcome == trust.CrossSignatureUnchecked && check.Verify())
}

// talksTo is a peer with whom our device has a channel both ways.
func (d *device) talksTo(s *directory) *peer {
	d.t.Helper()
	alice := d.kit.User("@alice:example.org")
	upload, body := d.upload()
	d.marks(s, *upload)
	var oneTimeKey keys.Curve25519
	for _, key := range body["one_time_keys"].(map[string]any) {
		oneTimeKey = d.curve(key.(map[string]any)["key"].(string))
	}
	phone := d.peer(alice, "PHONE", oneTimeKey)
	phone.CrossSigned()
	s.lists(alice)
	if err := d.machine.TrackUsers(context.Background(), []ids.UserID{"@alice:example.org"}); err != nil {
		d.t.Fatal(err)
	}
	d.pumps(s)
	d.syncs(phone.seals(phone.addressed("m.dummy", map[string]any{})))
	return phone
}

// Given a new user without an identity, when cross-signing is set up, then the keys are stored before anything is sent, asking again gives the same, and
// once the server has them our identity is verified, our device signed, and the signature goes with what we send; all of it after a restart, too.
func TestBootstrapCrossSigning(t *testing.T) {
	d := withAccount(t)
	s := newDirectory(t)
	phone := d.talksTo(s)
	d.stands("before", 0, trust.Unverified, trust.CrossSignatureAbsent)

	first := d.mustBootstrap(false)
	if first.UploadKeys != nil || first.UploadSigningKeys.Type != lane.SigningKeysUpload || first.UploadSignatures.Type != lane.SignatureUpload {
		t.Errorf("%v %v %v", first.UploadKeys, first.UploadSigningKeys.Type, first.UploadSignatures.Type)
	}
	d.reopen()
	again := d.mustBootstrap(false)
	if !bytes.Equal(first.UploadSigningKeys.Body, again.UploadSigningKeys.Body) || !bytes.Equal(first.UploadSignatures.Body, again.UploadSignatures.Body) {
		t.Error("asked again it made other keys")
	}
	if requests := d.machine.OutgoingRequests(); len(requests) != 0 {
		t.Errorf("what wants a password is listed among %d requests", len(requests))
	}
	if said := d.saysOfItself(phone); d.crossSigned(said) != trust.CrossSignatureAbsent {
		t.Error("the device says it is signed by an identity nobody has heard of")
	}
	if _, err := d.machine.MarkRequestAsSent(context.Background(), again.UploadSigningKeys.ID, []byte(`[]`)); err == nil || codeOf(t, err) != core.CodeBadUpload {
		t.Error(err)
	}
	d.bootstraps(s, false)
	d.stands("set up", 3, trust.Verified, trust.CrossSignatureValid)
	d.reopen()
	d.stands("after a restart", 3, trust.Verified, trust.CrossSignatureValid)
	if said := d.saysOfItself(phone); d.crossSigned(said) != trust.CrossSignatureValid {
		t.Error("the device does not say that it is signed")
	}
	// Alice, who has heard nothing but this, finds the sender.
	master := must(trust.ParseCrossSigningKey(must(signedjson.Parse(testkit.JSON(s.keys["master_keys"][d.me.ID]))), trust.RoleMaster))
	if _, present, err := master.SignatureBy(me, d.machine.Own().Ed25519); present || err != nil {
		t.Error("a device's signature goes by its id")
	}
	if _, presence, err := master.Object().Signature(me, "ed25519:MYDEVICE"); presence != signedjson.Present || err != nil {
		t.Error("the device did not sign the master key")
	}
}

// Given a device whose keys the server has not got, when cross-signing is set up, then the upload of them is the first of the requests.
func TestBootstrapBeforeTheFirstUpload(t *testing.T) {
	d := withAccount(t)
	s := newDirectory(t)
	if requests := d.mustBootstrap(false); requests.UploadKeys == nil || requests.UploadKeys.Type != lane.KeysUpload {
		t.Errorf("%v", requests.UploadKeys)
	}
	d.bootstraps(s, false)
	d.stands("set up", 3, trust.Verified, trust.CrossSignatureValid)
}

// Given keys that were made and never sent, when the server shows the identity of before, then they wait; and keys are made over another identity's only
// when that is asked for.
func TestResetThatWasNotFinished(t *testing.T) {
	d := withAccount(t)
	s := newDirectory(t, d.me)
	d.pumps(s)
	if _, err := d.machine.BootstrapCrossSigning(context.Background(), false); err == nil || codeOf(t, err) != core.CodeCrossSigningIdentity {
		t.Errorf("an identity was about to be replaced: %v", err)
	}
	d.stands("refused", 0, trust.Unverified, trust.CrossSignatureAbsent)
	first := d.mustBootstrap(true)
	d.asks(s, me)
	d.stands("not sent", 3, trust.Unverified, trust.CrossSignatureAbsent)
	if again := d.mustBootstrap(false); !bytes.Equal(again.UploadSigningKeys.Body, first.UploadSigningKeys.Body) {
		t.Error("asked again it made other keys")
	}
	if other := d.mustBootstrap(true); bytes.Equal(other.UploadSigningKeys.Body, first.UploadSigningKeys.Body) {
		t.Error("a reset made the same keys")
	}
	// A question from before the upload is answered after it: the answer, of the old identity, says nothing of the new keys.
	asked := d.machine.QueryKeysForUsers([]ids.UserID{me})
	old := must(s.Send(context.Background(), &asked))
	requests := d.mustBootstrap(false)
	d.marks(s, requests.UploadSigningKeys)
	if _, err := d.machine.ReceiveKeysQueryResponse(context.Background(), old, asked.ID); err != nil {
		t.Fatal(err)
	}
	d.stands("the answer from before", 3, trust.Unverified, trust.CrossSignatureAbsent)
	d.marks(s, requests.UploadSignatures)
	d.pumps(s)
	d.stands("finished", 3, trust.Verified, trust.CrossSignatureValid)
}

// Scenario 148: given our identity on the server, when its private keys are imported, then it is verified, our device is signed without anybody asking for
// it, and Alice, whom the identity verified elsewhere, is verified and latched.
func TestImportedKeysVerifyOurIdentity(t *testing.T) {
	for _, story := range []string{"the identity is known", "the identity comes later"} {
		t.Run(story, func(t *testing.T) {
			d := withAccount(t)
			alice := d.kit.User("@alice:example.org")
			d.me.Verifies(alice)
			s := newDirectory(t, d.me, alice)
			d.machine.TrackUsers(context.Background(), []ids.UserID{"@alice:example.org"})
			if story == "the identity is known" {
				d.pumps(s)
			}
			status, err := d.machine.ImportCrossSigningKeys(context.Background(), seeds(d.me.Identity))
			if err != nil || status != (core.CrossSigningStatus{HasMaster: true, HasSelfSigning: true, HasUserSigning: true}) {
				t.Fatalf("%+v, %v", status, err)
			}
			d.pumps(s)
			d.stands("imported", 3, trust.Verified, trust.CrossSignatureValid)
			if identity, verification, _, _ := d.machine.Identity("@alice:example.org"); verification != trust.Verified || !identity.PreviouslyVerified {
				t.Errorf("alice is %v", verification)
			}
			if back := must(d.machine.ExportCrossSigningKeys(context.Background())); back != seeds(d.me.Identity) {
				t.Error("other keys come out than went in")
			}
			d.reopen()
			d.stands("after a restart", 3, trust.Verified, trust.CrossSignatureValid)
			if count := len(d.machine.OutgoingRequests()); count != 0 {
				t.Errorf("%d requests are left", count)
			}
		})
	}
}

// The same with the client's own connection: nobody has to pump anything.
func TestImportedKeysSignOurDeviceByThemselves(t *testing.T) {
	d := withAccount(t)
	s := newDirectory(t, d.me)
	d.fetcher = s
	d.reopen()
	must(d.machine.ImportCrossSigningKeys(context.Background(), seeds(d.me.Identity)))
	for until := time.Now().Add(5 * time.Second); core.KnownDevice(d.machine, me, "MYDEVICE").CrossSigned != trust.CrossSignatureValid && time.Now().Before(until); {
		if _, err := d.machine.Retry(context.Background()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	d.stands("by itself", 3, trust.Verified, trust.CrossSignatureValid)
}

// Given the self-signing key alone, when it is imported, then our device is signed and our identity is not verified; the rest may follow.
func TestSomeOfTheKeys(t *testing.T) {
	d := withAccount(t)
	s := newDirectory(t, d.me)
	d.pumps(s)
	all := seeds(d.me.Identity)
	must(d.machine.ImportCrossSigningKeys(context.Background(), crosssigning.Export{SelfSigning: all.SelfSigning}))
	d.pumps(s)
	d.stands("one key", 1, trust.Unverified, trust.CrossSignatureValid)
	if _, err := d.machine.BootstrapCrossSigning(context.Background(), false); err == nil || codeOf(t, err) != crosssigning.CodeMissingKey {
		t.Error(err)
	}
	must(d.machine.ImportCrossSigningKeys(context.Background(), crosssigning.Export{Master: all.Master}))
	d.stands("two keys", 2, trust.Verified, trust.CrossSignatureValid)
}

// Given our identity, when private keys of another are imported, or none, or nonsense, then nothing is changed; and keys that were kept before our
// identity was known, and turn out to be another's, are no keys of ours.
func TestKeysOfAnotherIdentityAreRefused(t *testing.T) {
	d := withAccount(t)
	s := newDirectory(t, d.me)
	stranger := seeds(d.kit.User("@me:example.org").Identity)
	must(d.machine.ImportCrossSigningKeys(context.Background(), stranger))
	d.stands("not held against anything", 3, trust.Unverified, trust.CrossSignatureAbsent)
	d.pumps(s)
	d.stands("another's", 0, trust.Unverified, trust.CrossSignatureAbsent)
	if len(d.heard.reports) != 1 || d.heard.reports[0].Code != core.CodeIdentityReplaced {
		t.Errorf("reported %+v", d.heard.reports)
	}
	ours := seeds(d.me.Identity)
	before := dump(t, d.rows)
	for name, bad := range map[string]struct {
		code string
		from crosssigning.Export
	}{
		"another's":         {core.CodeCrossSigningMismatch, stranger},
		"one of another's":  {core.CodeCrossSigningMismatch, crosssigning.Export{Master: ours.Master, SelfSigning: ours.SelfSigning, UserSigning: stranger.UserSigning}},
		"in the wrong role": {core.CodeCrossSigningMismatch, crosssigning.Export{Master: ours.SelfSigning}},
		"none":              {crosssigning.CodeNoKeys, crosssigning.Export{}},
		"nonsense":          {crosssigning.CodeBadSeed, crosssigning.Export{Master: ours.Master, SelfSigning: "x"}},
	} {
		_, err := d.machine.ImportCrossSigningKeys(context.Background(), bad.from)
		if err == nil || codeOf(t, err) != bad.code {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, seed := range []string{ours.Master, stranger.Master, stranger.UserSigning} {
			if strings.Contains(fmt.Sprintf("%v %+v", err, err), seed) {
				t.Errorf("%s: the error tells a seed", name)
			}
		}
	}
	if dump(t, d.rows) != before {
		t.Error("what was refused has changed something")
	}
}

// Scenario 147: given our identity's private keys, when the server shows another identity, then they sign nothing and are not given away, with a word to the
// host, once; the device no longer says that the old one signed it, and what the new one says of it is taken up. Nothing was deleted: should the server show
// ours again, all is as before.
func TestKeysRestWhileTheIdentityIsAnother(t *testing.T) {
	d := withAccount(t)
	s := newDirectory(t, d.me)
	phone := d.talksTo(s)
	must(d.machine.ImportCrossSigningKeys(context.Background(), seeds(d.me.Identity)))
	d.pumps(s)
	d.stands("imported", 3, trust.Verified, trust.CrossSignatureValid)
	if d.crossSigned(d.saysOfItself(phone)) != trust.CrossSignatureValid {
		t.Error("the device does not say that it is signed")
	}
	d.me.RotateSelfSigning()
	s.lists(d.me)
	d.asks(s, me)
	d.stands("one key rotated", 2, trust.Verified, trust.CrossSignatureOtherKey)
	ours := *d.me.Identity
	d.me.ResetIdentity()
	s.lists(d.me)
	d.asks(s, me)
	d.asks(s, me)
	d.stands("reset", 0, trust.Violation, trust.CrossSignatureOtherKey)
	if count := len(d.heard.reports); count != 1 || d.heard.reports[0].Code != core.CodeIdentityReplaced || d.heard.reports[0].Table != store.Meta {
		t.Errorf("reported %+v", d.heard.reports)
	}
	if _, err := d.machine.VerifyIdentity(context.Background(), "@alice:example.org", keys.Ed25519{}); err == nil || codeOf(t, err) != crosssigning.CodeMissingKey {
		t.Errorf("they sign: %v", err)
	}
	said := d.saysOfItself(phone)
	if outcome := d.crossSigned(said); outcome != trust.CrossSignatureAbsent {
		t.Errorf("the device says of itself: %v", outcome)
	}
	// The other device signs this one.
	d.me.Identity.SelfSigning.Sign(s.devices[d.me.ID]["MYDEVICE"], d.me.ID, d.me.Identity.SelfSigning.Label())
	d.asks(s, me)
	d.stands("signed elsewhere", 0, trust.Violation, trust.CrossSignatureValid)
	d.reopen()
	if d.crossSigned(d.saysOfItself(phone)) != trust.CrossSignatureValid {
		t.Error("the device does not say that it is signed by the new identity")
	}
	*d.me.Identity = ours
	s.lists(d.me)
	d.asks(s, me)
	d.stands("shown again", 2, trust.Verified, trust.CrossSignatureOtherKey)
}

// Given private keys that cannot be read, when anything wants them, then it says so, and what comes by itself goes on; they are set aside when others take
// their place. Those that a newer version has written stay as they are.
func TestDamagedPrivateKeys(t *testing.T) {
	sample := withAccount(t)
	sample.mustBootstrap(false)
	stored := must(sample.rows.Get(context.Background(), store.Meta, []store.Key{record.CrossSigningKey()}))
	for name, bad := range damages(stored[0].Value) {
		t.Run(name, func(t *testing.T) {
			d := withAccount(t)
			s := newDirectory(t, d.me)
			d.mustBootstrap(false)
			d.rot(store.Meta, record.CrossSigningKey(), bad)
			d.pumps(s)
			if _, known := identityOf(d); !known {
				t.Error("our identity is not learned")
			}
			for what, call := range map[string]func() error{
				"status":    func() error { _, err := d.machine.CrossSigningStatus(context.Background()); return err },
				"export":    func() error { _, err := d.machine.ExportCrossSigningKeys(context.Background()); return err },
				"bootstrap": func() error { _, err := d.machine.BootstrapCrossSigning(context.Background(), false); return err },
				"verify": func() error {
					_, err := d.machine.VerifyDevice(context.Background(), "MYDEVICE", d.machine.Own().Ed25519)
					return err
				},
			} {
				if err := call(); err == nil || codeOf(t, err) != core.CodeCrossSigningDamaged {
					t.Errorf("%s: %v", what, err)
				}
			}
			_, err := d.machine.ImportCrossSigningKeys(context.Background(), seeds(d.me.Identity))
			now := must(d.rows.Get(context.Background(), store.Meta, []store.Key{record.CrossSigningKey()}))
			if name == "F35: a future format" {
				if err == nil || codeOf(t, err) != core.CodeCrossSigningDamaged || !bytes.Equal(now[0].Value, bad) || len(d.heard.reports) != 0 {
					t.Errorf("%v; reported %+v", err, d.heard.reports)
				}
				return
			}
			if err != nil || len(d.heard.reports) != 1 || d.heard.reports[0].Code != core.CodeRecordQuarantined {
				t.Errorf("%v; reported %+v", err, d.heard.reports)
			}
			if aside := d.quarantine(); len(aside) != 1 || !bytes.Equal(bytesAside(&aside[0]), bad) {
				t.Errorf("%d rows were set aside", len(aside))
			}
			d.pumps(s)
			d.stands("imported", 3, trust.Verified, trust.CrossSignatureValid)
		})
	}
}

func identityOf(d *device) (trust.Identity, bool) {
	identity, _, _, known := d.machine.Identity(me)
	return identity, known
}

// Given two tabs that set cross-signing up at the same time, when both have asked, then for the same keys.
func TestTwoTabsSetUpOneIdentity(t *testing.T) {
	d := withAccount(t)
	other := d.tab()
	interfering := &between{}
	d.wrap = func(under store.Store) store.Store { interfering.Store = under; return interfering }
	d.reopen()
	var theirs *core.CrossSigningBootstrap
	interfering.next = func(store.Batch) error { theirs = other.mustBootstrap(false); return nil }
	ours := d.mustBootstrap(false)
	if theirs == nil || !bytes.Equal(ours.UploadSigningKeys.Body, theirs.UploadSigningKeys.Body) {
		t.Error("two identities were made")
	}
}

// A machine without an account of its own has no private keys.
func TestNoAccountNoPrivateKeys(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	closed := withAccount(t)
	if err := closed.machine.Close(ctx); err != nil {
		t.Fatal(err)
	}
	for code, m := range map[string]*core.Machine{core.CodeNoAccount: w.machine, store.CodeClosed: closed.machine} {
		for what, call := range map[string]func() error{
			"bootstrap": func() error { _, err := m.BootstrapCrossSigning(ctx, true); return err },
			"import":    func() error { _, err := m.ImportCrossSigningKeys(ctx, seeds(w.me.Identity)); return err },
			"export":    func() error { _, err := m.ExportCrossSigningKeys(ctx); return err },
			"status":    func() error { _, err := m.CrossSigningStatus(ctx); return err },
			"identity":  func() error { _, err := m.VerifyIdentity(ctx, me, keys.Ed25519{}); return err },
			"device":    func() error { _, err := m.VerifyDevice(ctx, "X", keys.Ed25519{}); return err },
		} {
			if err := call(); err == nil || codeOf(t, err) != code {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// triesPump makes requests until there are none, or until something fails.
func (d *device) triesPump(s *directory) error {
	for range 20 {
		requests := d.machine.OutgoingRequests()
		for _, r := range requests {
			if _, err := d.machine.MarkRequestAsSent(context.Background(), r.ID, must(s.Send(context.Background(), &r))); err != nil {
				return err
			}
		}
		if len(requests) == 0 {
			return nil
		}
	}
	return fmt.Errorf("there is no end of requests")
}

// F01 for our own identity: given a program that dies at any commit, before it or after, while private keys are imported, our identity is heard of and
// our device signed, when it is started again, then what it has stored and what it asks by itself bring everything to the same end.
func TestIdentityAfterEveryDeath(t *testing.T) {
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			d := withAccount(t)
			s := newDirectory(t, d.me)
			var faulty *storetest.Faulty
			d.wrap = func(under store.Store) store.Store { faulty = storetest.NewFaulty(under); return faulty }
			d.reopen()
			faulty.DieAt("Commit", n, after)
			_, importing := d.machine.ImportCrossSigningKeys(context.Background(), seeds(d.me.Identity))
			err := importing
			if err == nil {
				err = d.triesPump(s)
			}
			if !faulty.Died() {
				if err != nil || n < 6 {
					t.Errorf("it ended after %d commits: %v", n-1, err)
				}
				break
			}
			d.wrap = nil
			d.reopen()
			if err := d.machine.Resume(context.Background()); err != nil {
				t.Fatal(err)
			}
			if importing != nil {
				must(d.machine.ImportCrossSigningKeys(context.Background(), seeds(d.me.Identity)))
			}
			d.pumps(s)
			d.stands(fmt.Sprintf("died at commit %d, after it: %v", n, after), 3, trust.Verified, trust.CrossSignatureValid)
		}
	}
}
