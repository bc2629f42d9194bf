package keyfile_test

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/keyfile"
	"knownsender/core/sender"
	"knownsender/core/testkit"
)

const senderData = "org.knownsender.sender_data"

var ours = [32]byte{1, 2, 3}

// sign puts a MAC over an object as an independent reader of the format would: encoding/json, and the MAC as the last thing.
func sign(t testing.TB, object map[string]any, secret [32]byte) {
	t.Helper()
	key, err := hkdf.Key(sha256.New, secret[:], nil, "org.knownsender.sender_data.v1", 32)
	if err != nil {
		t.Fatal(err)
	}
	data := object[senderData].(map[string]any)
	delete(data, "mac")
	mac := hmac.New(sha256.New, key)
	mac.Write(testkit.JSON(object))
	data["mac"] = testkit.Base64(mac.Sum(nil))
}

// What is known of the sender travels to the user's other devices, of every kind there is; the copy itself knows nothing of it.
func TestSenderDataTravel(t *testing.T) {
	w := newWorld(t)
	key := keyfile.NewSenderDataKey(ours)
	master := ed25519(t, w.alice.Identity.Master.Public())
	for _, data := range []sender.Data{
		{},
		{OwnerCheckFailed: true},
		{Kind: sender.DeviceInfo, UserID: "@alice:example.org", DeviceID: "ALICEPHONE"},
		{Kind: sender.VerificationViolation, UserID: "@alice:example.org", DeviceID: "ALICEPHONE", MasterKey: master},
		{Kind: sender.SenderUnverified, UserID: "@alice:example.org", MasterKey: master},
		{Kind: sender.SenderUnverified, UserID: `@"\` + "\u2028ä:example.org", DeviceID: "<&>\u007f", MasterKey: master},
		{Kind: sender.SenderVerified, UserID: "@alice:example.org", DeviceID: "ALICEPHONE", MasterKey: master},
	} {
		c := w.direct(w.kit.Outbound())
		c.AtReception, c.RoomID = data, "!röm\"\\:example.org"
		raw := keyfile.AppendEntrySigned(nil, c, key)
		e := parsed(t, raw)
		if got, at, held := e.Evidence(key); !held || got != data || at != c.ReceivedAt {
			t.Errorf("%s: %+v, %d, %v", data.Kind, got, at, held)
		}
		if back := e.Copy(5); back.Provenance != sender.Claimed || back.Current != (sender.Data{}) || back.AtReception != (sender.Data{}) {
			t.Errorf("%s: the claim knows its sender", data.Kind)
		}
		for name, other := range map[string]*keyfile.SenderDataKey{"none": nil, "another": keyfile.NewSenderDataKey([32]byte{9})} {
			if got, at, held := e.Evidence(other); held || got != (sender.Data{}) || at != 0 {
				t.Errorf("%s: %s key is as good", data.Kind, name)
			}
		}
		// The MAC is what the description of the format says it is.
		var object map[string]any
		if err := json.Unmarshal(raw, &object); err != nil {
			t.Fatal(err)
		}
		written := object[senderData].(map[string]any)["mac"]
		if strings.Contains(string(data.UserID), "\u2028") {
			continue // encoding/json escapes that, canonical JSON does not
		}
		if sign(t, object, ours); object[senderData].(map[string]any)["mac"] != written {
			t.Errorf("%s: the MAC is over something else", data.Kind)
		}
	}
}

// What is written is what was known at reception, of direct copies alone; without a key there is nothing at all.
func TestWhoseSenderDataAreWritten(t *testing.T) {
	w := newWorld(t)
	key := keyfile.NewSenderDataKey(ours)
	c := w.direct(w.kit.Outbound())
	c.AtReception = sender.Data{Kind: sender.DeviceInfo, UserID: "@alice:example.org", DeviceID: "ALICEPHONE"}
	if got, _, held := parsed(t, keyfile.AppendEntrySigned(nil, c, key)).Evidence(key); !held || got.Kind != sender.DeviceInfo {
		t.Errorf("%+v, %v", got, held)
	}
	plain := string(keyfile.AppendEntry(nil, c))
	if strings.Contains(plain, senderData) || plain != string(keyfile.AppendEntrySigned(nil, c, nil)) {
		t.Error("sender data without a key")
	}
	claimed := parsed(t, keyfile.AppendEntrySigned(nil, c, key)).Copy(1)
	if strings.Contains(string(keyfile.AppendEntrySigned(nil, claimed, key)), senderData) {
		t.Error("a claim was written as known")
	}
}

// T33, T34, scenario 108: whoever holds the file or the backup, and not the key, can change nothing under a MAC and put nothing above one. The
// entry itself is as good as any other.
func TestSenderDataOfAnotherKeyAreHearsay(t *testing.T) {
	w := newWorld(t)
	key := keyfile.NewSenderDataKey(ours)
	session, other := w.kit.Outbound(), w.kit.Outbound()
	c := w.direct(session)
	raw := keyfile.AppendEntrySigned(nil, c, key)
	mallory := w.kit.User("@mallory:example.org").Device("HERS")
	set, remove, in := testkit.Set, testkit.Delete, testkit.In
	take := func(from []byte) testkit.Hook {
		var object map[string]any
		if err := json.Unmarshal(from, &object); err != nil {
			t.Fatal(err)
		}
		return set(senderData, object[senderData])
	}
	later := w.direct(session)
	session.SkipTo(3)
	for name, bad := range map[string][]byte{
		"another session":                 w.exported(other, take(raw)),
		"the session at another index":    w.exported(session, take(raw)),
		"another room":                    changed(t, raw, set("room_id", "!other:example.org")),
		"another sender key":              changed(t, raw, set("sender_key", mallory.Curve25519())),
		"another claim":                   changed(t, raw, in("sender_claimed_keys", set("ed25519", mallory.Ed25519()))),
		"no claim":                        changed(t, raw, remove("sender_claimed_keys")),
		"the flag":                        changed(t, raw, set("m.shared_history", true)),
		"a member more":                   changed(t, raw, set("org.example.extra", 1)),
		"a member less":                   changed(t, raw, remove("forwarding_curve25519_key_chain")),
		"another user":                    changed(t, raw, in(senderData, set("user_id", "@mallory:example.org"))),
		"another device":                  changed(t, raw, in(senderData, set("device_id", "HERS"))),
		"another kind":                    changed(t, raw, in(senderData, set("kind", "SenderUnverified"))),
		"another master key":              changed(t, raw, in(senderData, set("master_key", mallory.User.Identity.Master.Public()))),
		"another time":                    changed(t, raw, in(senderData, set("received_at", 1))),
		"a member more of the data":       changed(t, raw, in(senderData, set("x", 1))),
		"another MAC":                     changed(t, raw, in(senderData, set("mac", testkit.Base64(make([]byte, 32))))),
		"a MAC of no length":              changed(t, raw, in(senderData, set("mac", ""))),
		"half a MAC":                      changed(t, raw, in(senderData, set("mac", testkit.Base64(make([]byte, 16))))),
		"no MAC":                          changed(t, raw, in(senderData, remove("mac"))),
		"a fraction, of which is no form": changed(t, raw, set("org.example.extra", 1.5)),
		"sender data that are none":       changed(t, raw, set(senderData, "SenderVerified")),
		"a list of them":                  changed(t, raw, set(senderData, []any{})),
		"minted by the server": w.exported(other, set(senderData, map[string]any{
			"v": 1, "kind": "SenderVerified", "user_id": "@alice:example.org", "device_id": "ALICEPHONE", "master_key": w.alice.Identity.Master.Public(),
			"received_at": 1, "mac": testkit.Base64(make([]byte, 32)),
		})),
	} {
		e, err := keyfile.ParseEntry(bad)
		if err != nil {
			t.Errorf("%s: the entry is lost: %v", name, err)
			continue
		}
		if got, _, held := e.Evidence(key); held || got != (sender.Data{}) {
			t.Errorf("%s: believed: %+v", name, got)
		}
	}
	// Written in another order and with other white space it is the same.
	var indented map[string]any
	if err := json.Unmarshal(raw, &indented); err != nil {
		t.Fatal(err)
	}
	spaced, err := json.MarshalIndent(indented, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if got, _, held := parsed(t, spaced).Evidence(key); !held || got != later.AtReception {
		t.Error("white space counts")
	}
	e := parsed(t, raw)
	if e.Wipe(); parsedEvidence(e, key) {
		t.Error("wiped, and still there")
	}
	if key.Wipe(); parsedEvidence(parsed(t, raw), key) {
		t.Error("a wiped key is as good")
	}
}

func parsedEvidence(e *keyfile.Entry, key *keyfile.SenderDataKey) bool {
	_, _, held := e.Evidence(key)
	return held
}

// Data that contradict themselves are not believed, whoever signed them: the same rules as for what is stored.
func TestSenderDataThatContradictThemselves(t *testing.T) {
	w := newWorld(t)
	key := keyfile.NewSenderDataKey(ours)
	master := w.alice.Identity.Master.Public()
	known := func() map[string]any {
		return map[string]any{"v": 1, "kind": "SenderVerified", "user_id": "@alice:example.org", "device_id": "ALICEPHONE", "master_key": master, "received_at": 7}
	}
	unknown := func() map[string]any { return map[string]any{"v": 1, "kind": "UnknownDevice", "received_at": 7} }
	set, remove := testkit.Set, testkit.Delete
	for _, story := range []struct {
		name string
		held bool
		data map[string]any
		hook testkit.Hook
	}{
		{"known", true, known(), set("x", "a later version's")},
		{"without a device", true, known(), remove("device_id")},
		{"unknown", true, unknown(), set("owner_check_failed", true)},
		{"version 2", false, known(), set("v", 2)},
		{"no version", false, known(), remove("v")},
		{"no kind", false, known(), remove("kind")},
		{"a kind there is not", false, known(), set("kind", "SenderKnown")},
		{"a kind by its older name", false, known(), set("kind", "SenderUnverifiedButPreviouslyVerified")},
		{"no user", false, known(), remove("user_id")},
		{"a user that is none", false, known(), set("user_id", "alice")},
		{"user is null", false, known(), set("user_id", nil)},
		{"a device that is none", false, known(), set("device_id", "")},
		{"no master key", false, known(), remove("master_key")},
		{"T29: a low-order master key", false, known(), set("master_key", strings.Repeat("A", 43))},
		{"owner check failed of a known sender", false, known(), set("owner_check_failed", true)},
		{"no time", false, known(), remove("received_at")},
		{"a time before time", false, known(), set("received_at", -1)},
		{"a time that is a text", false, known(), set("received_at", "7")},
		{"unknown, with a user", false, unknown(), set("user_id", "@alice:example.org")},
		{"unknown, with a device", false, unknown(), set("device_id", "ALICEPHONE")},
		{"unknown, with a master key", false, unknown(), set("master_key", master)},
		{"owner check not failed, said aloud", false, unknown(), set("owner_check_failed", false)},
		{"owner check is a text", false, unknown(), set("owner_check_failed", "true")},
		{"a device with a master key", false, known(), set("kind", "DeviceInfo")},
		{"a device without a device", false, map[string]any{"v": 1, "kind": "DeviceInfo", "user_id": "@alice:example.org", "received_at": 7}, func(map[string]any) {}},
	} {
		story.hook(story.data)
		raw := w.exported(w.kit.Outbound(), testkit.Set(senderData, story.data), func(object map[string]any) { sign(t, object, ours) })
		if data, _, held := parsed(t, raw).Evidence(key); held != story.held {
			t.Errorf("%s: %+v, %v", story.name, data, held)
		}
	}
}

// In a backup room and session stand in the path, and the MAC is over them all the same: a row cannot be moved to another place.
func TestSenderDataInABackup(t *testing.T) {
	w := newWorld(t)
	key := keyfile.NewSenderDataKey(ours)
	backup, err := keyfile.NewBackupKey(w.kit.Random())
	if err != nil {
		t.Fatal(err)
	}
	c := w.direct(w.kit.Outbound())
	row, err := w.seal(backup.PublicKey(), c, key)
	if err != nil {
		t.Fatal(err)
	}
	payload := unsealed(t, backup, row)
	if names := strings.Join(members(t, payload), " "); strings.Contains(names, "room_id") || strings.Contains(names, "session_id") {
		t.Errorf("written as %s", names)
	}
	for path, want := range map[ids.RoomID]bool{room: true, "!other:example.org": false} {
		e, err := keyfile.ParseBackupEntry(path, c.SessionID, payload)
		if err != nil {
			t.Fatal(err)
		}
		if data, _, held := e.Evidence(key); held != want || want && data != c.AtReception {
			t.Errorf("%s: %+v, %v", path, data, held)
		}
	}
	// The same words in a file are the same claim.
	asFile := changed(t, payload, testkit.Set("room_id", room), testkit.Set("session_id", c.SessionID.String()))
	if _, _, held := parsed(t, asFile).Evidence(key); !held {
		t.Error("a file says something else than a backup")
	}
}
