package keyfile_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/keyfile"
	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/sender"
	"knownsender/core/testkit"
)

const room = "!room:example.org"

// world has Alice, her phone, and whatever sessions a story needs.
type world struct {
	t     testing.TB
	kit   *testkit.Kit
	alice *testkit.User
	phone *testkit.Device
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, kit: testkit.New(t.Name())}
	w.alice = w.kit.User("@alice:example.org")
	w.phone = w.alice.Device("ALICEPHONE").CrossSigned()
	return w
}

// exported is an entry of a key export as a peer writes it, changed by hooks.
func (w *world) exported(session *testkit.Outbound, hooks ...testkit.Hook) []byte {
	object := map[string]any{
		"algorithm": testkit.MegolmAlgorithm, "room_id": room, "sender_key": w.phone.Curve25519(), "session_id": session.ID(),
		"session_key": session.ExportedAt(session.Index()), "sender_claimed_keys": map[string]any{"ed25519": w.phone.Ed25519()},
		"forwarding_curve25519_key_chain": []any{}, "m.shared_history": true,
	}
	for _, hook := range hooks {
		hook(object)
	}
	return testkit.JSON(object)
}

// unnamed takes room and session out of an entry, as they are in a backup.
func unnamed(object map[string]any) {
	delete(object, "room_id")
	delete(object, "session_id")
}

// direct is the copy that a reception of the session would have left.
func (w *world) direct(session *testkit.Outbound) *sender.Copy {
	w.t.Helper()
	data := sender.Data{
		Kind: sender.SenderVerified, UserID: ids.UserID(w.alice.ID), DeviceID: ids.DeviceID(w.phone.ID),
		MasterKey: ed25519(w.t, w.alice.Identity.Master.Public()),
	}
	inbound, err := megolm.ParseExportedSessionKey(session.ExportedAt(session.Index()))
	if err != nil {
		w.t.Fatal(err)
	}
	return &sender.Copy{
		CopyKey: sender.CopyKey{RoomID: room, SessionID: inbound.ID(), SenderKey: curve25519(w.t, w.phone.Curve25519()), Provenance: sender.Direct},
		Session: inbound, Ed25519: ed25519(w.t, w.phone.Ed25519()), HasEd25519: true, OlmUser: data.UserID,
		AtReception: data, Current: data, ReceivedAt: 1_700_000_000_000,
	}
}

func curve25519(t testing.TB, text string) keys.Curve25519 {
	t.Helper()
	key, err := keys.ParseCurve25519(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ed25519(t testing.TB, text string) keys.Ed25519 {
	t.Helper()
	key, err := keys.ParseEd25519(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sessionID(t testing.TB, session *testkit.Outbound) megolm.SessionID {
	t.Helper()
	id, err := megolm.ParseSessionID(session.ID())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func parsed(t testing.TB, raw []byte) *keyfile.Entry {
	t.Helper()
	e, err := keyfile.ParseEntry(raw)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func decode(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// changed is an object with hooks applied.
func changed(t testing.TB, raw []byte, hooks ...testkit.Hook) []byte {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	for _, hook := range hooks {
		hook(object)
	}
	return testkit.JSON(object)
}

// refused checks that err is of the type E, carries code, and says something.
func refused[E interface {
	error
	ErrorCode() string
}](t testing.TB, err error, code string) (refusal E) {
	t.Helper()
	if !errors.As(err, &refusal) || refusal.ErrorCode() != code || refusal.Error() == "" || refusal.Error() == code {
		t.Errorf("expected %s, got %T %v", code, err, err)
	}
	return refusal
}

// seal seals a copy for a backup.
func (w *world) seal(public keys.Curve25519, c *sender.Copy, key *keyfile.SenderDataKey) ([]byte, error) {
	w.t.Helper()
	made, err := keyfile.GoAgreement{}.Ephemeral(context.Background(), public, 1)
	if err != nil {
		w.t.Fatal(err)
	}
	return made[0].Seal(c, key)
}
