package keyfile_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"knownsender/core/keyfile"
	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/sender"
	"knownsender/core/testkit"
)

// unsealed opens one row of a backup.
func unsealed(t testing.TB, key *keyfile.BackupKey, row []byte) []byte {
	t.Helper()
	s, err := keyfile.ParseBackupSession(row)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := openSession(key, s)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func openSession(key *keyfile.BackupKey, s *keyfile.SealedSession) ([]byte, error) {
	shared, err := key.SharedSecrets(context.Background(), keyfile.GoAgreement{}, []*keyfile.SealedSession{s})
	if err != nil {
		return nil, err
	}
	return s.Open(shared[0])
}

// sealFor seals any payload as a peer, or a server, would.
func sealFor(t testing.TB, public keys.Curve25519, random io.Reader, payload []byte) map[string]any {
	t.Helper()
	ephemeral := testkit.New("ephemeral").User("@e:e").Device("E").Identity
	their, err := ecdh.X25519().NewPublicKey(public[:])
	if err != nil {
		t.Fatal(err)
	}
	shared, err := ephemeral.ECDH(their)
	if err != nil {
		t.Fatal(err)
	}
	derived, err := hkdf.Key(sha256.New, shared, make([]byte, 32), "", 80)
	if err != nil {
		t.Fatal(err)
	}
	padding := 16 - len(payload)%16
	padded := append(bytes.Clone(payload), bytes.Repeat([]byte{byte(padding)}, padding)...)
	return map[string]any{
		"first_message_index": 0, "forwarded_count": 0, "is_verified": true,
		"session_data": map[string]any{
			"ephemeral": testkit.Base64(ephemeral.PublicKey().Bytes()), "ciphertext": testkit.Base64(cbc(t, derived, padded)),
			"mac": testkit.Base64(hmac.New(sha256.New, derived[32:64]).Sum(nil)[:8]),
		},
	}
}

func cbc(t testing.TB, derived, blocks []byte) []byte {
	block, err := aes.NewCipher(derived[:32])
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, len(blocks))
	cipher.NewCBCEncrypter(block, derived[64:]).CryptBlocks(out, blocks)
	return out
}

func newBackup(t testing.TB, w *world) *keyfile.BackupKey {
	t.Helper()
	key, err := keyfile.NewBackupKey(w.kit.Random())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// What is sealed opens with the private key, from every index, and is the copy without its sender.
func TestBackUpAndRestore(t *testing.T) {
	w := newWorld(t)
	key := newBackup(t, w)
	for _, index := range []uint32{0, 7, testkit.LastIndex} {
		c := w.direct(testkit.NewOutboundAt(w.kit.Random(), index))
		row, err := w.seal(key.PublicKey(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := keyfile.ParseBackupSession(row)
		if err != nil || s.FirstMessageIndex != index || s.ForwardedCount != 0 || s.IsVerified {
			t.Fatalf("%+v, %v", s, err)
		}
		e, err := keyfile.ParseBackupEntry(c.RoomID, c.SessionID, unsealed(t, key, row))
		if err != nil {
			t.Fatal(err)
		}
		if back := e.Copy(1); back.SessionID != c.SessionID || back.Ed25519 != c.Ed25519 || back.Provenance != sender.Claimed || back.Session.Compare(c.Session) != megolm.Equal {
			t.Errorf("%+v", back)
		}
	}
}

// T33, T34, scenario 108: the server seals a key for the public key it knows, marks it as verified and writes Alice's keys beside it. It opens,
// and it is a claim of nobody known.
func TestServerMintsABackupKey(t *testing.T) {
	w := newWorld(t)
	key := newBackup(t, w)
	session := w.kit.Outbound()
	row := testkit.JSON(sealFor(t, key.PublicKey(), w.kit.Random(), w.exported(session, unnamed)))
	e, err := keyfile.ParseBackupEntry(room, sessionID(t, session), unsealed(t, key, row))
	if err != nil {
		t.Fatal(err)
	}
	c := e.Copy(1)
	if user, owned := c.Owner(); owned || c.Provenance != sender.Claimed || !c.Legacy || c.Current != (sender.Data{}) || !c.InsecureSource() {
		t.Errorf("%s %+v", user, c)
	}
	if _, _, held := e.Evidence(keyfile.NewSenderDataKey(ours)); held {
		t.Error("evidence out of nothing")
	}
}

// Everything that can be wrong with a row, by member.
func TestMalformedBackupEntries(t *testing.T) {
	w := newWorld(t)
	key := newBackup(t, w)
	good := testkit.JSON(sealFor(t, key.PublicKey(), w.kit.Random(), w.exported(w.kit.Outbound(), unnamed)))
	set, remove, in := testkit.Set, testkit.Delete, testkit.In
	data := func(hooks ...testkit.Hook) testkit.Hook { return in("session_data", hooks...) }
	for _, story := range []struct {
		member string
		hook   testkit.Hook
	}{
		{"first_message_index", remove("first_message_index")},
		{"first_message_index", set("first_message_index", -1)},
		{"first_message_index", set("first_message_index", 1<<32)},
		{"first_message_index", set("first_message_index", 0.5)},
		{"forwarded_count", remove("forwarded_count")},
		{"forwarded_count", set("forwarded_count", -1)},
		{"is_verified", remove("is_verified")},
		{"is_verified", set("is_verified", 1)},
		{"session_data", remove("session_data")},
		{"session_data", set("session_data", "x")},
		{"session_data.ephemeral", data(remove("ephemeral"))},
		{"session_data.ephemeral", data(set("ephemeral", "x"))},
		{"session_data.ephemeral", data(set("ephemeral", strings.Repeat("A", 43)))}, // T30
		{"session_data.ciphertext", data(remove("ciphertext"))},
		{"session_data.ciphertext", data(set("ciphertext", ""))},
		{"session_data.ciphertext", data(set("ciphertext", "AAAA"))},
		{"session_data.ciphertext", data(set("ciphertext", strings.Repeat("A", 22)+"=="))},
		{"session_data.ciphertext", data(set("ciphertext", strings.Repeat("A", 11)+"\n"+strings.Repeat("A", 11)))},
		{"session_data.mac", data(remove("mac"))},
		{"session_data.mac", data(set("mac", ""))},
		{"session_data.mac", data(set("mac", testkit.Base64(make([]byte, 32))))},
	} {
		_, err := keyfile.ParseBackupSession(changed(t, good, story.hook))
		if refusal := refused[*keyfile.BackupError](t, err, keyfile.CodeBadBackupEntry); refusal != nil && refusal.Member != story.member {
			t.Errorf("%s is said of %s", refusal.Member, story.member)
		}
	}
	for _, raw := range []string{``, `[]`, `{}`, `{"a":1,"a":2}`, string(good) + `x`} {
		_, err := keyfile.ParseBackupSession([]byte(raw))
		refused[*keyfile.BackupError](t, err, keyfile.CodeBadBackupEntry)
	}
}

// A row sealed for another key says so. The MAC is over nothing, so that a changed ciphertext is found by its padding or not at all: what it is
// then is for ParseBackupEntry to say.
func TestChangedBackupEntries(t *testing.T) {
	w := newWorld(t)
	key, other := newBackup(t, w), newBackup(t, w)
	row, err := w.seal(key.PublicKey(), w.direct(w.kit.Outbound()), nil)
	if err != nil {
		t.Fatal(err)
	}
	parse := func() *keyfile.SealedSession {
		s, err := keyfile.ParseBackupSession(row)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	_, err = openSession(other, parse())
	refused[*keyfile.BackupError](t, err, keyfile.CodeBadBackupMAC)
	for i := range 8 {
		s := parse()
		s.MAC[i] ^= 1
		_, err = openSession(key, s)
		refused[*keyfile.BackupError](t, err, keyfile.CodeBadBackupMAC)
	}
	moved := parse()
	moved.Ephemeral = other.PublicKey()
	_, err = openSession(key, moved)
	refused[*keyfile.BackupError](t, err, keyfile.CodeBadBackupMAC)

	padding := parse()
	padding.Ciphertext[len(padding.Ciphertext)-17] ^= 0x55
	_, err = openSession(key, padding)
	refused[*keyfile.BackupError](t, err, keyfile.CodeBadBackupCiphertext)

	c := w.direct(w.kit.Outbound())
	for i := range len(parse().Ciphertext) {
		s := parse()
		s.Ciphertext[i] ^= 1
		payload, err := openSession(key, s)
		if err != nil {
			refused[*keyfile.BackupError](t, err, keyfile.CodeBadBackupCiphertext)
			continue
		}
		if _, err := keyfile.ParseBackupEntry(c.RoomID, c.SessionID, payload); err == nil || !errors.As(err, new(*keyfile.EntryError)) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
}

// T30: a key agreement whose secret everybody knows gives nothing, whichever engine lets it pass.
func TestSecretsThatAreNone(t *testing.T) {
	w := newWorld(t)
	key := newBackup(t, w)
	c := w.direct(w.kit.Outbound())
	row, err := w.seal(key.PublicKey(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := keyfile.ParseBackupSession(row)
	if err != nil {
		t.Fatal(err)
	}
	for _, shared := range [][]byte{nil, {}, make([]byte, 31), make([]byte, 32), bytes.Repeat([]byte{1}, 33)} {
		_, err := s.Open(shared)
		refused[*keyfile.BackupError](t, err, keyfile.CodeBadBackupSecret)
	}
	for _, low := range []keys.Curve25519{{}, {1}} {
		secrets, err := (keyfile.GoAgreement{}).Agree(context.Background(), []keys.Exchange{{Private: [32]byte{7}, Public: low}, {Private: [32]byte{7}, Public: key.PublicKey()}})
		if err != nil || secrets[0] != nil || len(secrets[1]) != 32 {
			t.Errorf("%v, %v", secrets, err)
		}
		_, err = w.seal(low, c, nil)
		refused[*keyfile.BackupError](t, err, keyfile.CodeBadBackupSecret)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := key.SharedSecrets(ctx, keyfile.GoAgreement{}, []*keyfile.SealedSession{s}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	shared := bytes.Repeat([]byte{5}, 32)
	if _, err := s.Open(shared); err == nil || !bytes.Equal(shared, make([]byte, 32)) {
		t.Error("a secret is left lying about")
	}
}

// T49: one room or session of an answer that cannot be read costs itself.
func TestWalkABackup(t *testing.T) {
	w := newWorld(t)
	a, b := w.kit.Outbound().ID(), w.kit.Outbound().ID()
	answer := fmt.Sprintf(`{"etag":"1","rooms":{
		"!good:example.org":{"sessions":{%q:{"a":1},"nonsense":{"b":2},%q:5}},
		"not a room":{"sessions":{%q:{}}},
		"!none:example.org":{},
		"!list:example.org":{"sessions":[]},
		"!text:example.org":"x",
		"\ud800":{},
		"!empty:example.org":{"sessions":{}},
		"!last:example.org":{"extra":0,"sessions":{%q:{"z":26}}}},"x":null}`, a, b, a, strings.ReplaceAll(a, "/", `\/`))
	var told []string
	err := keyfile.EachBackupSession([]byte(answer), func(row keyfile.BackupRow) bool {
		text := string(row.RoomID) + " " + string(row.Raw)
		if row.Err != nil {
			text = string(row.RoomID) + " " + row.Err.Code + " " + row.Err.Member
		} else if id := row.SessionID.String(); id != a && id != b {
			t.Errorf("session %s", id)
		}
		told = append(told, text)
		return true
	})
	want := []string{
		`!good:example.org {"a":1}`, `!good:example.org bad_backup_entry session_id`, `!good:example.org 5`, ` bad_backup_room `,
		`!none:example.org bad_backup_room sessions`, `!list:example.org bad_backup_room sessions`, `!text:example.org bad_backup_room sessions`,
		` bad_backup_room `, `!last:example.org {"z":26}`,
	}
	if err != nil || strings.Join(told, "\n") != strings.Join(want, "\n") {
		t.Errorf("%v\n%s", err, strings.Join(told, "\n"))
	}
	for n := range want {
		count := 0
		if err := keyfile.EachBackupSession([]byte(answer), func(keyfile.BackupRow) bool { count++; return count <= n }); err != nil || count != n+1 {
			t.Errorf("ended after %d: %d, %v", n+1, count, err)
		}
	}
}

func TestAnswersThatAreNoBackup(t *testing.T) {
	w := newWorld(t)
	id := w.kit.Outbound().ID()
	for answer, rows := range map[string]int{
		``: 0, `[]`: 0, `{}`: 0, `{"rooms":[]}`: 0, `{"rooms":{}`: 0, `{"rooms":{}}x`: 0, `{"rooms":null}`: 0,
		`{"rooms":{"!r:e":{"sessions":{"` + id + `":{}}}`: 0, `{"rooms":{"!r:e":{"sessions":{"` + id + `":{}}}},`: 1,
	} {
		n := 0
		err := keyfile.EachBackupSession([]byte(answer), func(row keyfile.BackupRow) bool { n++; return true })
		refused[*keyfile.BackupError](t, err, keyfile.CodeBadBackupAnswer)
		if n != rows {
			t.Errorf("%s: %d rows", answer, n)
		}
	}
	if err := keyfile.EachBackupSession([]byte(`{"rooms":{}}`), func(keyfile.BackupRow) bool { return false }); err != nil {
		t.Errorf("an empty backup: %v", err)
	}
}
