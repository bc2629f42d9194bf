package keyfile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"knownsender/core/keyfile"
	"knownsender/core/keys"
	"knownsender/core/sender"
	"knownsender/core/testkit"
)

var update = flag.Bool("update", false, "write the fuzz corpora anew")

// seeds are the inputs a fuzz target begins with, by name; TestCorpora keeps them as files, where go test finds them.
type seeds map[string][]any

func corpora(t testing.TB) map[string]seeds {
	return map[string]seeds{
		"FuzzKeyFile":       keyFileSeeds(t),
		"FuzzImportJSON":    importSeeds(t),
		"FuzzExportedEntry": entrySeeds(t),
		"FuzzBackupEntry":   backupSeeds(t),
		"FuzzBundle":        bundleSeeds(t),
	}
}

// The committed corpora are those described here, and none is missing; -update writes them.
func TestCorpora(t *testing.T) {
	for target, all := range corpora(t) {
		folder := filepath.Join("testdata", "fuzz", target)
		if *update {
			if err := errors.Join(os.RemoveAll(folder), os.MkdirAll(folder, 0o755)); err != nil {
				t.Fatal(err)
			}
		}
		for name, values := range all {
			text := "go test fuzz v1\n"
			for _, value := range values {
				text += fmt.Sprintf("%T(%s)\n", value, literal(value))
			}
			text = strings.ReplaceAll(text, "[]uint8(", "[]byte(")
			path := filepath.Join(folder, name)
			if *update {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if written, err := os.ReadFile(path); err != nil || string(written) != text {
				t.Errorf("%s is not as described here; go test -run TestCorpora -update writes it (%v)", path, err)
			}
		}
	}
}

func literal(value any) string {
	switch v := value.(type) {
	case []byte:
		return strconv.Quote(string(v))
	case string:
		return strconv.Quote(v)
	}
	return fmt.Sprint(value)
}

// fuzzWorld is the same each time, whatever the test is called: the corpora were made with it.
func fuzzWorld(t testing.TB) *world {
	w := newWorld(t)
	w.kit = testkit.New("keyfile corpora")
	w.alice = w.kit.User("@alice:example.org")
	w.phone = w.alice.Device("ALICEPHONE").CrossSigned()
	return w
}

func keyFileSeeds(t testing.TB) seeds {
	text, err := keyfile.EncryptFile(context.Background(), []byte(`[{"a":1}]`), "secret", keyfile.MinRounds, fuzzWorld(t).kit.Random(), keyfile.GoCipher{})
	if err != nil {
		t.Fatal(err)
	}
	raw := bare(t, text)
	all := seeds{
		"whole":          {text, "secret"},
		"passphrase":     {text, "Secret"},
		"crlf":           {bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")), "secret"},
		"no-line-end":    {bytes.TrimSpace(text), "secret"},
		"element":        {recorded(t, "js-sdk", "export-encrypted.txt"), "x"},
		"mautrix":        {recorded(t, "mautrix", "MX1-export.txt"), "x"},
		"header-alone":   {[]byte(header), ""},
		"nothing-inside": {[]byte(header + footer), ""},
		"68-bytes":       {armoured(raw[:68]), "secret"},
		"69-bytes":       {armoured(raw[:69]), "secret"},
		"bits-left-over": {[]byte(header + strings.Repeat("A", 96) + "AB\n" + footer), ""},
	}
	for name, at := range map[string]int{"version": 0, "salt": 1, "iv": 17, "rounds-high": 33, "rounds-low": 36, "ciphertext": 37, "mac": len(raw) - 1} {
		bad := bytes.Clone(raw)
		bad[at] ^= 0x81
		all[name] = []any{armoured(bad), "secret"}
	}
	return all
}

// FuzzKeyFile reads any text as a key-export file, and any bytes as the inside of one. No panic, and no file whose keys would take long; what is
// accepted is written again the same but for its lines, and opens only with what it was sealed with.
func FuzzKeyFile(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte, passphrase string) {
		tryFile(t, text, passphrase)
		tryFile(t, armoured(text), passphrase)
		if passphrase == "" || len(text) > 1<<16 {
			return
		}
		sealed, err := keyfile.EncryptFile(context.Background(), text, passphrase, keyfile.MinRounds, testkit.New("fuzz").Random(), keyfile.GoCipher{})
		if err != nil {
			t.Fatal(err)
		}
		if back, err := open(sealed, passphrase); err != nil || !bytes.Equal(back, text) {
			t.Fatalf("what was sealed does not open: %v", err)
		}
		raw := bare(t, sealed)
		raw[17+len(text)%16] ^= 1
		if back, err := open(armoured(raw), passphrase); err == nil || back != nil {
			t.Fatal("a changed IV opens")
		}
	})
}

func tryFile(t *testing.T, text []byte, passphrase string) {
	f, err := keyfile.ParseFile(text)
	if err != nil {
		var refusal *keyfile.FileError
		if !errors.As(err, &refusal) || refusal.Error() == "" {
			t.Fatalf("refused with %v", err)
		}
		return
	}
	if f.Rounds < keyfile.MinRounds || f.Rounds > keyfile.MaxRounds {
		t.Fatalf("%d rounds", f.Rounds)
	}
	again, err := keyfile.ParseFile(f.Text())
	if err != nil || again.Header() != f.Header() || !bytes.Equal(again.Ciphertext, f.Ciphertext) || again.MAC != f.MAC {
		t.Fatalf("written again differently: %v", err)
	}
	if f.Rounds > 2000 {
		return
	}
	plaintext, err := open(text, passphrase)
	var refusal *keyfile.FileError
	if err != nil && (!errors.As(err, &refusal) || refusal.Code != keyfile.CodeBadPassphraseOrCorrupt || plaintext != nil) {
		t.Fatalf("%v", err)
	}
}

func importSeeds(t testing.TB) seeds {
	w := fuzzWorld(t)
	good, other := w.exported(w.kit.Outbound()), w.exported(w.kit.Outbound())
	list := func(parts ...string) []byte { return []byte("[" + strings.Join(parts, ",") + "]") }
	return seeds{
		"empty":       {list(), uint16(1)},
		"one":         {list(string(good)), uint16(7)},
		"two":         {list(string(good), string(other)), uint16(100)},
		"good-bad":    {list(string(good), `{"algorithm":5}`, string(other)), uint16(3)},
		"nonsense":    {list(string(good), `nonsense`, string(other)), uint16(64)},
		"twice":       {list(string(good), string(good)), uint16(1)},
		"duplicates":  {list(strings.Replace(string(good), "{", `{"room_id":"!x:y",`, 1)), uint16(2)},
		"deep":        {list(strings.Repeat("[", 100)+strings.Repeat("]", 100), string(good)), uint16(5)},
		"long":        {list(`"`+strings.Repeat("x", keyfile.MaxEntry)+`"`, `{}`), uint16(1000)},
		"escapes":     {list(`"\\\"]"`, `{"\"}":"\\"}`, `"\u005d"`), uint16(1)},
		"spaces":      {[]byte(" [\n 1 ,\t2 3 , \r\n{} ] "), uint16(1)},
		"cut-off":     {list(string(good), string(other))[:len(good)+100], uint16(13)},
		"in-string":   {[]byte(`[{"a":"`), uint16(1)},
		"behind":      {append(list(string(good)), ",1]"...), uint16(11)},
		"no-array":    {good, uint16(1)},
		"no-elements": {[]byte(`[,,]`), uint16(1)},
		"mautrix":     {recorded(t, "mautrix", "MX1-export-decrypted.json"), uint16(10)},
	}
}

// FuzzImportJSON splits any text, as it is and behind an entry that is good. Where it is cut into pieces makes no difference; of what is a JSON
// array every element comes out as encoding/json has it; the good entry is never lost.
func FuzzImportJSON(f *testing.F) {
	w := fuzzWorld(f)
	good := string(w.exported(w.kit.Outbound()))
	f.Fuzz(func(t *testing.T, text []byte, size uint16) {
		whole := trySplit(t, string(text), int(size)+1)
		var list []json.RawMessage
		if bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) && json.Unmarshal(text, &list) == nil {
			if len(list) != len(whole) {
				t.Fatalf("%d elements, not %d", len(whole), len(list))
			}
			for i, raw := range list {
				if want := string(raw[:min(len(raw), keyfile.MaxEntry+1)]); whole[i] != want {
					t.Fatalf("element %d is %q, not %q", i, whole[i], want)
				}
			}
		}
		behind := trySplit(t, "["+good+","+string(text), int(size)+1)
		if behind[0] != good {
			t.Fatalf("the good entry became %q", behind[0])
		}
		if _, err := keyfile.ParseEntry([]byte(behind[0])); err != nil {
			t.Fatal(err)
		}
	})
}

// trySplit splits in pieces of one byte, of size, and at once.
func trySplit(t *testing.T, text string, size int) []string {
	whole, err := split(text, len(text)+1)
	var refusal *keyfile.FileError
	if err != nil && (!errors.As(err, &refusal) || refusal.Code != keyfile.CodeBadKeyFileJSON) {
		t.Fatalf("ended with %v", err)
	}
	for _, size := range []int{1, size} {
		pieces, other := split(text, size)
		if !slices.Equal(pieces, whole) || fmt.Sprint(other) != fmt.Sprint(err) {
			t.Fatalf("in pieces of %d: %q, %v; at once: %q, %v", size, pieces, other, whole, err)
		}
		var second *keyfile.FileError
		if errors.As(other, &second) && *second != *refusal {
			t.Fatalf("in pieces of %d the fault lies at %d, at once at %d", size, second.Got, refusal.Got)
		}
	}
	for i, raw := range whole {
		if len(raw) > keyfile.MaxEntry+1 {
			t.Fatalf("element %d has %d bytes", i, len(raw))
		}
		tryEntry(t, []byte(raw))
	}
	return whole
}

// tryEntry reads an entry that may be anything: refused with a code, or a claim that is written and read the same.
func tryEntry(t *testing.T, raw []byte) *keyfile.Entry {
	e, err := keyfile.ParseEntry(raw)
	if err != nil {
		var refusal *keyfile.EntryError
		if !errors.As(err, &refusal) || refusal.Code == "" || refusal.Error() == "" || e != nil {
			t.Fatalf("refused with %v", err)
		}
		return nil
	}
	tryCopy(t, e)
	return e
}

func tryCopy(t *testing.T, e *keyfile.Entry) {
	c := e.Copy(1)
	if c.Provenance != sender.Claimed || !c.Legacy || c.Current != (sender.Data{}) || c.AtReception != (sender.Data{}) || c.SessionID != c.Session.ID() ||
		c.HasEd25519 != (c.Ed25519 != keys.Ed25519{}) {
		t.Fatalf("no claim: %+v", c)
	}
	back, err := keyfile.ParseEntry(keyfile.AppendEntry(nil, c))
	if err != nil {
		t.Fatal(err)
	}
	if again := back.Copy(1); again.CopyKey != c.CopyKey || again.Ed25519 != c.Ed25519 || again.SharedHistory != c.SharedHistory {
		t.Fatalf("written as %+v, read as %+v", c, again)
	}
}

func entrySeeds(t testing.TB) seeds {
	w := fuzzWorld(t)
	session := w.kit.Outbound()
	set, in, remove := testkit.Set, testkit.In, testkit.Delete
	signed := keyfile.AppendEntrySigned(nil, w.direct(session), keyfile.NewSenderDataKey(ours))
	all := seeds{
		"js-sdk":          {elements(t, recorded(t, "js-sdk", "exportRoomKeysAsJson.json"))[0]},
		"mautrix":         {elements(t, recorded(t, "mautrix", "MX1-export-decrypted.json"))[0]},
		"signed":          {signed},
		"signed-moved":    {changed(t, signed, set("room_id", "!other:example.org"))},
		"signed-raised":   {changed(t, signed, in(senderData, set("kind", "SenderUnverified")))},
		"last-index":      {w.exported(testkit.NewOutboundAt(w.kit.Random(), testkit.LastIndex))},
		"no-claim":        {w.exported(session, remove("sender_claimed_keys"))},
		"empty-claim":     {w.exported(session, in("sender_claimed_keys", set("ed25519", "")))},
		"escaped-claim":   {[]byte(strings.Replace(string(w.exported(session)), `"ed25519":"`, `"ed25519":"\u0041`, 1))},
		"mismatch":        {w.exported(session, set("session_id", w.kit.Outbound().ID()))},
		"other-algorithm": {w.exported(session, set("algorithm", "m.megolm.v2"))},
		"three-flags":     {w.exported(session, set("shared_history", false), set("org.matrix.msc3061.shared_history", true))},
		"duplicate":       {[]byte(strings.Replace(string(signed), "{", `{"room_id":"!x:y",`, 1))},
		"case":            {w.exported(session, set("Session_Key", "x"))},
		"signed-key":      {w.exported(session, set("session_key", session.SessionKey()))},
		"low-order":       {w.exported(session, set("sender_key", strings.Repeat("A", 43)))},
		"proto":           {w.exported(session, set("__proto__", map[string]any{"room_id": "!x:y"}))},
		"no-object":       {[]byte(`[]`)},
	}
	return all
}

// FuzzExportedEntry reads anything as an entry. Only the one entry whose MAC was made with our key is evidence of anything, whatever is done to it.
func FuzzExportedEntry(f *testing.F) {
	w := fuzzWorld(f)
	genuine := w.direct(w.kit.Outbound())
	key := keyfile.NewSenderDataKey(ours)
	f.Fuzz(func(t *testing.T, raw []byte) {
		e := tryEntry(t, raw)
		if e == nil {
			return
		}
		data, at, held := e.Evidence(key)
		if held && (data != genuine.AtReception || at != genuine.ReceivedAt || e.Copy(1).SessionID != genuine.SessionID || e.RoomID != genuine.RoomID || e.Ed25519 != genuine.Ed25519) {
			t.Fatalf("believed: %+v of %s in %s", data, e.SessionID, e.RoomID)
		}
	})
}

func backupSeeds(t testing.TB) seeds {
	w := fuzzWorld(t)
	key := newBackup(t, w)
	session := w.kit.Outbound()
	payload := w.exported(session, unnamed)
	row := testkit.JSON(sealFor(t, key.PublicKey(), w.kit.Random(), payload))
	set, in := testkit.Set, testkit.In
	answer := []byte(`{"rooms":{"!room:example.org":{"sessions":{"` + session.ID() + `":` + string(row) + `,"x":1}},"x":{}}}`)
	return seeds{
		"whole":      {row, payload},
		"recorded":   {recorded(t, "js-sdk", "backup-session-entry.json"), recorded(t, "js-sdk", "backup-session-decrypted.json")},
		"answer":     {recorded(t, "js-sdk", "backup-keys.json"), []byte(`{}`)},
		"answer-bad": {answer, payload},
		"named":      {row, w.exported(session)},
		"other-room": {row, w.exported(session, set("room_id", "!other:example.org"))},
		"other-id":   {row, w.exported(session, set("session_id", "x"))},
		"mac":        {changed(t, row, in("session_data", set("mac", "AAAAAAAAAAA"))), payload},
		"ciphertext": {changed(t, row, in("session_data", set("ciphertext", strings.Repeat("A", 43)))), []byte{}},
		"low-order":  {changed(t, row, in("session_data", set("ephemeral", strings.Repeat("A", 43)))), []byte(`x`)},
		"index":      {changed(t, row, set("first_message_index", 1<<32)), payload},
		"empty":      {[]byte(`{"rooms":{}}`), []byte(`null`)},
	}
}

// FuzzBackupEntry reads anything as a row of a backup, as an answer full of them, and as what a row decrypts to.
func FuzzBackupEntry(f *testing.F) {
	w := fuzzWorld(f)
	key := newBackup(f, w)
	id := sessionID(f, w.kit.Outbound())
	f.Fuzz(func(t *testing.T, row, payload []byte) {
		var refusal *keyfile.BackupError
		open := func(raw []byte) {
			s, err := keyfile.ParseBackupSession(raw)
			if err == nil {
				_, err = openSession(key, s)
			}
			if err != nil && (!errors.As(err, &refusal) || refusal.Error() == "") {
				t.Fatalf("refused with %v", err)
			}
		}
		open(row)
		err := keyfile.EachBackupSession(row, func(r keyfile.BackupRow) bool {
			if (r.Err == nil) == (len(r.Raw) == 0) || r.Err == nil && r.RoomID == "" {
				t.Fatalf("%+v", r)
			}
			open(r.Raw)
			return true
		})
		if err != nil && !errors.As(err, &refusal) {
			t.Fatalf("refused with %v", err)
		}

		if sealed := testkit.JSON(sealFor(t, key.PublicKey(), nil, payload)); len(sealed) <= 1<<16 {
			if back := unsealed(t, key, sealed); !bytes.Equal(back, payload) {
				t.Fatalf("sealed %q, opened %q", payload, back)
			}
		}
		e, err := keyfile.ParseBackupEntry(room, id, payload)
		if err != nil {
			if !errors.As(err, new(*keyfile.EntryError)) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if e.RoomID != room || e.SessionID != id {
			t.Fatalf("%s %s", e.RoomID, e.SessionID)
		}
		tryCopy(t, e)
	})
}

func bundleSeeds(t testing.TB) seeds {
	w := fuzzWorld(t)
	first, second := w.kit.Outbound(), w.kit.Outbound()
	plaintext := bundleOf([][]byte{w.exported(first, historic), w.exported(second, testkit.Set("room_id", "!other:example.org"))}, [][]byte{w.notice(second), []byte(`{}`)})
	content, _ := bundled(t, plaintext)
	description := testkit.JSON(content)
	return seeds{
		"whole":       {description, plaintext},
		"other-url":   {changed(t, description, testkit.In("file", testkit.Set("url", "mxc://a/b/c"))), []byte(`{"room_keys":[],"withheld":[]}`)},
		"other-key":   {changed(t, description, testkit.In("file", testkit.In("key", testkit.Set("k", strings.Repeat("+", 43))))), []byte(`{"room_keys":[1,{},"x"]}`)},
		"twice":       {[]byte(`{"room_id":"!a:b","room_id":"!a:b"}`), []byte(`{"withheld":[],"withheld":[]}`)},
		"cut-off":     {description[:100], plaintext[:100]},
		"no-elements": {[]byte(`{}`), []byte(`{"room_keys":[,]}`)},
		"empty":       {[]byte{}, []byte{}},
	}
}

// FuzzBundle reads anything as a description of a bundle and as its content: what comes out is for the room it was given for.
func FuzzBundle(f *testing.F) {
	f.Fuzz(func(t *testing.T, content, plaintext []byte) {
		var refusal *keyfile.BundleError
		d, err := keyfile.ParseBundleDescriptor(content)
		if err == nil {
			_, err = keyfile.OpenBundle(d, plaintext)
		}
		if err != nil && (!errors.As(err, &refusal) || refusal.Error() == "") {
			t.Fatalf("refused with %v", err)
		}
		b, err := readBundle(plaintext)
		if err != nil {
			if !errors.As(err, &refusal) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		for _, e := range b.Entries {
			if e.RoomID != room || !e.SharedHistory {
				t.Fatalf("%s", e.RoomID)
			}
			tryCopy(t, e)
		}
		for _, notice := range b.Withheld {
			if notice.RoomID != room || notice.SenderKey == (keys.Curve25519{}) {
				t.Fatalf("%+v", notice)
			}
		}
		for _, fault := range b.Faults {
			if fault.Err == nil || fault.Err.Error() == "" {
				t.Fatalf("%+v", fault)
			}
		}
	})
}
