package keyfile_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"knownsender/core/keyfile"
	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/sender"
	"knownsender/core/signedjson"
	"knownsender/core/testkit"
)

// Scenarios 103 and 104: an entry is a claim for good. What stands in it is taken over, what is known of the sender is nothing, and the copy
// is marked as legacy.
func TestEntryBecomesAClaim(t *testing.T) {
	w := newWorld(t)
	session := testkit.NewOutboundAt(w.kit.Random(), 7)
	e := parsed(t, w.exported(session))
	c := e.Copy(42)
	want := sender.Copy{
		CopyKey: sender.CopyKey{RoomID: room, SessionID: sessionID(t, session), SenderKey: curve25519(t, w.phone.Curve25519()), Provenance: sender.Claimed},
		Session: e.Session, Ed25519: ed25519(t, w.phone.Ed25519()), HasEd25519: true, Legacy: true, SharedHistory: true, ReceivedAt: 42,
	}
	if c.CopyKey != want.CopyKey || c.Session != want.Session || c.Ed25519 != want.Ed25519 || !c.HasEd25519 || !c.Legacy || !c.SharedHistory ||
		c.ReceivedAt != 42 || c.AtReception != (sender.Data{}) || c.Current != (sender.Data{}) || c.OlmUser != "" || c.Step != 0 || c.Waiting() || !c.InsecureSource() {
		t.Errorf("%+v", c)
	}
	if e.Session.FirstKnownIndex() != 7 || e.Session.Signed() {
		t.Errorf("index %d, signed %v", e.Session.FirstKnownIndex(), e.Session.Signed())
	}
	if user, owned := c.Owner(); owned {
		t.Errorf("it belongs to %s", user)
	}
}

// T35, scenario 109: whoever names another session than the one in the key is refused, in every spelling that could be taken for it.
func TestEntryThatNamesAnotherSession(t *testing.T) {
	w := newWorld(t)
	session, other := w.kit.Outbound(), w.kit.Outbound()
	for _, claimed := range []string{other.ID(), "", session.ID() + "=", " " + session.ID(), strings.ToLower(session.ID()), session.ID()[:42], strings.Repeat("A", 43)} {
		raw := w.exported(session, testkit.Set("session_id", claimed))
		_, err := keyfile.ParseEntry(raw)
		refused[*keyfile.EntryError](t, err, keyfile.CodeSessionIDMismatch)
		_, err = keyfile.ParseBackupEntry(room, sessionID(t, session), raw)
		refused[*keyfile.EntryError](t, err, keyfile.CodeSessionIDMismatch)
	}
	_, err := keyfile.ParseBackupEntry(room, sessionID(t, other), w.exported(session, unnamed))
	refused[*keyfile.EntryError](t, err, keyfile.CodeSessionIDMismatch)
	if e := parsed(t, w.exported(session)); e.SessionID != sessionID(t, session) {
		t.Error("and the true one is not taken")
	}
}

// A payload of a backup needs no names in it; if they are there they must be those of the path.
func TestBackupEntryWithNames(t *testing.T) {
	w := newWorld(t)
	session := w.kit.Outbound()
	for _, hook := range []testkit.Hook{unnamed, testkit.Delete("room_id"), testkit.Delete("session_id"), testkit.Set("extra", 1)} {
		e, err := keyfile.ParseBackupEntry(room, sessionID(t, session), w.exported(session, hook))
		if err != nil || e.RoomID != room || e.SessionID != sessionID(t, session) {
			t.Errorf("%v", err)
		}
	}
	_, err := keyfile.ParseBackupEntry(room, sessionID(t, session), w.exported(session, testkit.Set("room_id", "!other:example.org")))
	refused[*keyfile.EntryError](t, err, keyfile.CodeForeignRoom)
	for _, member := range []string{"room_id", "session_id"} {
		_, err := keyfile.ParseBackupEntry(room, sessionID(t, session), w.exported(session, testkit.Set(member, 1)))
		refused[*keyfile.EntryError](t, err, keyfile.CodeBadMember)
	}
}

// Scenario 117, T40: everything that can be wrong with one entry, by code and member.
func TestMalformedEntries(t *testing.T) {
	w := newWorld(t)
	session := w.kit.Outbound()
	set, remove, in := testkit.Set, testkit.Delete, testkit.In
	lowOrder := strings.Repeat("A", 43)
	key := session.ExportedAt(0)
	for _, story := range []struct {
		name, code, member, reason string
		raw                        []byte
	}{
		{"nothing", keyfile.CodeBadEntryJSON, "", signedjson.CodeBadJSON, nil},
		{"null", keyfile.CodeBadEntryJSON, "", signedjson.CodeWrongType, []byte(`null`)},
		{"a list", keyfile.CodeBadEntryJSON, "", signedjson.CodeWrongType, []byte(`[]`)},
		{"two objects", keyfile.CodeBadEntryJSON, "", signedjson.CodeBadJSON, []byte(`{}{}`)},
		{"a byte order mark", keyfile.CodeBadEntryJSON, "", signedjson.CodeByteOrderMark, []byte("\ufeff{}")},
		{"no UTF-8", keyfile.CodeBadEntryJSON, "", signedjson.CodeBadUTF8, []byte("{\"a\":\"\xff\"}")},
		{"half a surrogate pair", keyfile.CodeBadEntryJSON, "", signedjson.CodeBadUTF8, []byte(`{"a":"\ud800"}`)},
		{"too deep", keyfile.CodeBadEntryJSON, "", signedjson.CodeTooDeep, []byte(`{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`)},
		{"T51: a member twice", keyfile.CodeBadEntryJSON, "", signedjson.CodeDuplicateMember,
			[]byte(strings.Replace(string(w.exported(session)), `{"algorithm"`, `{"room_id":"!other:example.org","algorithm"`, 1))},
		{"T51: a member twice, one of them escaped", keyfile.CodeBadEntryJSON, "", signedjson.CodeDuplicateMember,
			[]byte(strings.Replace(string(w.exported(session)), `{"algorithm"`, `{"room\u005fid":"!other:example.org","algorithm"`, 1))},
		{"T51: a claimed key twice", keyfile.CodeBadEntryJSON, "", signedjson.CodeDuplicateMember,
			[]byte(strings.Replace(string(w.exported(session)), `{"ed25519"`, `{"ed25519":"","ed25519"`, 1))},
		{"T51: another case", keyfile.CodeBadEntryJSON, "", signedjson.CodeCaseVariantMember, w.exported(session, set("Room_ID", "!other:example.org"))},
		{"T51: another case, by Unicode", keyfile.CodeBadEntryJSON, "", signedjson.CodeCaseVariantMember, w.exported(session, set("sender_\u212aey", "x"))},
		{"T51: another case of a claim", keyfile.CodeBadMember, "sender_claimed_keys", signedjson.CodeCaseVariantMember,
			w.exported(session, in("sender_claimed_keys", set("Ed25519", w.phone.Ed25519())))},
		{"too large", keyfile.CodeEntryTooLarge, "", "", w.exported(session, set("x", strings.Repeat("x", keyfile.MaxEntry)))},

		{"no algorithm", keyfile.CodeMissingMember, "algorithm", "", w.exported(session, remove("algorithm"))},
		{"no room", keyfile.CodeMissingMember, "room_id", "", w.exported(session, remove("room_id"))},
		{"no session id", keyfile.CodeMissingMember, "session_id", "", w.exported(session, remove("session_id"))},
		{"no session key", keyfile.CodeMissingMember, "session_key", "", w.exported(session, remove("session_key"))},
		{"no sender key", keyfile.CodeMissingMember, "sender_key", "", w.exported(session, remove("sender_key"))},
		{"algorithm is null", keyfile.CodeBadMember, "algorithm", signedjson.CodeWrongType, w.exported(session, set("algorithm", nil))},
		{"session id is a number", keyfile.CodeBadMember, "session_id", signedjson.CodeWrongType, w.exported(session, set("session_id", 5))},
		{"session key is a list", keyfile.CodeBadMember, "session_key", signedjson.CodeWrongType, w.exported(session, set("session_key", []any{key}))},
		{"another algorithm", keyfile.CodeUnsupportedAlgorithm, "algorithm", "", w.exported(session, set("algorithm", "m.megolm.v2.aes-sha2"))},
		{"no room id", keyfile.CodeBadMember, "room_id", "bad_room_id", w.exported(session, set("room_id", "room:example.org"))},
		{"a NUL in the room id", keyfile.CodeBadMember, "room_id", signedjson.CodeNULCharacter, w.exported(session, set("room_id", "!a\x00b"))},
		{"T30: low-order sender key", keyfile.CodeBadMember, "sender_key", keys.CodeLowOrderKey, w.exported(session, set("sender_key", lowOrder))},
		{"T32: padded sender key", keyfile.CodeBadMember, "sender_key", keys.CodeBadKeyLength, w.exported(session, set("sender_key", w.phone.Curve25519()+"="))},
		{"T29: low-order claim", keyfile.CodeBadMember, "sender_claimed_keys.ed25519", keys.CodeLowOrderKey, w.exported(session, in("sender_claimed_keys", set("ed25519", lowOrder)))},
		{"a claim that is none", keyfile.CodeBadMember, "sender_claimed_keys.ed25519", keys.CodeBadBase64, w.exported(session, in("sender_claimed_keys", set("ed25519", "x")))},
		{"a claim that is a number", keyfile.CodeBadMember, "sender_claimed_keys.ed25519", signedjson.CodeWrongType, w.exported(session, in("sender_claimed_keys", set("ed25519", 1)))},
		{"claims that are a list", keyfile.CodeBadMember, "sender_claimed_keys", signedjson.CodeWrongType, w.exported(session, set("sender_claimed_keys", []any{}))},
		{"the flag is a text", keyfile.CodeBadMember, "m.shared_history", signedjson.CodeWrongType, w.exported(session, set("m.shared_history", "true"))},

		{"a signed session key", keyfile.CodeBadSessionKey, "session_key", megolm.CodeBadSessionKeyLength, w.exported(session, set("session_key", session.SessionKey()))},
		{"an empty session key", keyfile.CodeBadSessionKey, "session_key", megolm.CodeBadSessionKeyLength, w.exported(session, set("session_key", ""))},
		{"T32: a padded session key", keyfile.CodeBadSessionKey, "session_key", megolm.CodeBadSessionKeyBase64, w.exported(session, set("session_key", key[:len(key)-1]+"="))},
		{"a session key of version 2", keyfile.CodeBadSessionKey, "session_key", megolm.CodeBadSessionKeyVersion, w.exported(session, set("session_key", "Ag"+key[2:]))},
		{"T29: a low-order session", keyfile.CodeBadSessionKey, "session_key", megolm.CodeBadSessionKeyPublicKey,
			w.exported(session, set("session_key", testkit.Base64(append(decode(t, key)[:133], make([]byte, 32)...))))},
	} {
		t.Run(story.name, func(t *testing.T) {
			_, err := keyfile.ParseEntry(story.raw)
			if refusal := refused[*keyfile.EntryError](t, err, story.code); refusal != nil && (refusal.Member != story.member || refusal.Reason != story.reason) {
				t.Errorf("member %q, reason %q", refusal.Member, refusal.Reason)
			}
			if err != nil && strings.Contains(err.Error(), key[8:40]) {
				t.Error("the error repeats the key")
			}
		})
	}
}

// T40: what may be left out, or be there besides, costs nothing. mautrix-go writes an empty claim.
func TestLenientEntries(t *testing.T) {
	w := newWorld(t)
	session := w.kit.Outbound()
	set, remove, in := testkit.Set, testkit.Delete, testkit.In
	for name, hook := range map[string]testkit.Hook{
		"no claims":             remove("sender_claimed_keys"),
		"empty claims":          set("sender_claimed_keys", map[string]any{}),
		"an empty claim":        in("sender_claimed_keys", set("ed25519", "")),
		"claims we do not know": set("sender_claimed_keys", map[string]any{"ed448": "x"}),
	} {
		if e := parsed(t, w.exported(session, hook)); e.HasEd25519 || e.Ed25519 != (keys.Ed25519{}) {
			t.Errorf("%s: a claim out of nothing", name)
		}
	}
	for name, hook := range map[string]testkit.Hook{
		"no forwarding chain":   remove("forwarding_curve25519_key_chain"),
		"a forwarding chain":    set("forwarding_curve25519_key_chain", []any{w.phone.Curve25519()}),
		"a chain that is none":  set("forwarding_curve25519_key_chain", nil),
		"members nobody knows":  set("org.example.extra", map[string]any{"x": []any{1.5, "y", nil}}),
		"__proto__":             set("__proto__", map[string]any{"polluted": true}),
		"a claim more":          in("sender_claimed_keys", set("ed448", "x")),
		"claims of other shape": in("sender_claimed_keys", set("a", 1)),
	} {
		if e := parsed(t, w.exported(session, hook)); !e.HasEd25519 || e.Ed25519 != ed25519(t, w.phone.Ed25519()) {
			t.Errorf("%s: the claim is lost", name)
		}
	}
}

// The flag goes by three names. Where they disagree it is not shared: what has been passed on cannot be taken back.
func TestSharedHistoryByItsThreeNames(t *testing.T) {
	w := newWorld(t)
	session := w.kit.Outbound()
	names := []string{"shared_history", "m.shared_history", "org.matrix.msc3061.shared_history"}
	for mask := range 27 { // each absent, false or true
		hooks := []testkit.Hook{}
		said, shared := false, true
		for i, rest := 0, mask; i < 3; i, rest = i+1, rest/3 {
			if rest%3 == 0 {
				hooks = append(hooks, testkit.Delete(names[i]))
				continue
			}
			hooks = append(hooks, testkit.Set(names[i], rest%3 == 2))
			said, shared = true, shared && rest%3 == 2
		}
		if e := parsed(t, w.exported(session, hooks...)); e.SharedHistory != (said && shared) {
			t.Errorf("%d: shared %v", mask, e.SharedHistory)
		}
	}
}

// Scenario 115: what we write, peers' members in it, is read back the same, from any index.
func TestWriteAndRead(t *testing.T) {
	w := newWorld(t)
	for _, index := range []uint32{0, 1, 255, 256, 1 << 24, testkit.LastIndex} {
		c := w.direct(testkit.NewOutboundAt(w.kit.Random(), index))
		c.SharedHistory = index%2 == 1
		if index == 256 {
			c.HasEd25519, c.Ed25519, c.Provenance = false, keys.Ed25519{}, sender.Claimed
		}
		raw := keyfile.AppendEntry([]byte("x"), c)[1:]
		e := parsed(t, raw)
		back := e.Copy(c.ReceivedAt)
		if back.RoomID != c.RoomID || back.SessionID != c.SessionID || back.SenderKey != c.SenderKey || back.HasEd25519 != c.HasEd25519 ||
			back.Ed25519 != c.Ed25519 || back.SharedHistory != c.SharedHistory || back.Session.Compare(c.Session) != megolm.Equal {
			t.Errorf("%d: %+v", index, back)
		}
		names := strings.Join(members(t, raw), " ")
		if names != "algorithm forwarding_curve25519_key_chain m.shared_history room_id sender_claimed_keys sender_key session_id session_key" {
			t.Errorf("written as %s", names)
		}
		if again := keyfile.AppendEntry(nil, back); string(again) != string(raw) {
			t.Errorf("%d: written again differently", index)
		}
	}
}

// T39, as far as it is a matter of reading: one session at several indexes gives copies of one name, whose ratchets are connected.
func TestTheSameSessionAtSeveralIndexes(t *testing.T) {
	w := newWorld(t)
	session := w.kit.Outbound()
	early := parsed(t, w.exported(session)).Copy(1)
	session.SkipTo(5)
	late := parsed(t, w.exported(session)).Copy(2)
	if early.CopyKey != late.CopyKey {
		t.Error("two names")
	}
	for _, pair := range [][2]*sender.Copy{{early, late}, {late, early}} {
		if joined, _ := sender.Join(pair[0], pair[1]); joined.Session.FirstKnownIndex() != 0 {
			t.Errorf("joined at %d", joined.Session.FirstKnownIndex())
		}
	}
}

// T40: one malformed entry among many costs itself, and its position is known.
func TestOneBadEntryAmongMany(t *testing.T) {
	w := newWorld(t)
	const many, bad = 500, 123
	text := []byte("[")
	for i := range many {
		if i > 0 {
			text = append(text, ',', '\n')
		}
		hooks := []testkit.Hook{}
		if i == bad {
			hooks = append(hooks, testkit.Set("session_key", "AQ"))
		}
		text = append(text, w.exported(w.kit.Outbound(), hooks...)...)
	}
	good := 0
	for i, raw := range elements(t, append(text, ']')) {
		_, err := keyfile.ParseEntry(raw)
		var refusal *keyfile.EntryError
		switch {
		case err == nil:
			good++
		case !errors.As(err, &refusal) || i != bad || refusal.Code != keyfile.CodeBadSessionKey:
			t.Errorf("%s: %v", strconv.Itoa(i), err)
		}
	}
	if good != many-1 {
		t.Errorf("%d good entries", good)
	}
}

// members are the names in an object, in the order they are written.
func members(t testing.TB, raw []byte) (names []string) {
	t.Helper()
	o, err := signedjson.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	for name := range o.Range {
		names = append(names, name)
	}
	return names
}
