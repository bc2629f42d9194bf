package core_test

// Stories of a store that is encrypted at rest (T54, scenario 161): what lies on the disk, and what becomes of rows that somebody has edited there.

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"knownsender/core"
	"knownsender/core/policy"
	"knownsender/core/store"
	"knownsender/core/store/sealed"
	"knownsender/core/testkit"
)

func sealedWorld(t *testing.T, key sealed.Secret, err error) *world {
	w := closedWorld(t)
	w.rows = sealedDisk(key, err)
	w.open()
	return w
}

// raw is everything that lies below an encrypted store, as it is: keys, index entries, values, counters.
func (w *world) raw() (all string) {
	w.t.Helper()
	for _, table := range store.Tables() {
		rows, err := store.Page(context.Background(), w.rows.under, store.Query{Table: table, Limit: store.MaxLimit})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, row := range rows {
			all += fmt.Sprintln(row.Table, row.Key, row.Index, string(row.Value))
		}
	}
	counters, err := w.rows.Counters(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return all + fmt.Sprint(counters)
}

// forms are the ways in which bytes may lie somewhere: as they are, in base64 of both alphabets wherever it begins, in hexadecimal digits.
func forms(secret []byte) []string {
	all := []string{string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret))}
	for shift := range 3 {
		for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := alphabet.EncodeToString(append(make([]byte, shift), secret...))
			all = append(all, text[4:len(text)-2])
		}
	}
	return all
}

func TestNothingReadableAtRest(t *testing.T) {
	for mode, open := range map[string]func() (sealed.Secret, error){
		"passphrase": func() (sealed.Secret, error) { return sealed.Passphrase([]byte("correct horse battery staple")) },
		"hostKey":    func() (sealed.Secret, error) { return sealed.HostKey(bytes.Repeat([]byte("host key"), 4)) },
	} {
		t.Run(mode, func(t *testing.T) {
			key, err := open()
			w := sealedWorld(t, key, err)
			// Given a life with some of everything: keys from known and unknown senders, an import, a notice, a replay memory, a backup.
			alice, phone := w.alice()
			mallory, hers := w.mallory()
			sessions := []*testkit.Outbound{w.kit.Outbound(), w.kit.Outbound(), w.kit.Outbound()}
			for i, from := range []*testkit.Device{phone, hers, phone} {
				w.kept(w.event(from, room, sessions[i]))
			}
			w.answer(alice)
			w.imports(list(entry(hers, sessions[0], 0)))
			event := phone.Message(string(room), sessions[0], "the eagle lands at midnight")
			if _, err := w.decrypt(event, policy.Untrusted); err != nil {
				t.Fatal(err)
			}
			if _, err := w.withheld(hers, w.kit.Outbound(), "m.unverified"); err != nil {
				t.Fatal(err)
			}
			w.flush()
			// Then nothing of it is to be found, whatever it is written as.
			secrets := map[string][]byte{"room": []byte(room), "alice": []byte(alice.ID), "mallory": []byte(mallory.ID), "device": []byte("PHONE"), "key": key.Bytes(),
				"sender key": []byte(phone.Curve25519()), "sender key, raw": decode(t, phone.Curve25519()), "fingerprint": decode(t, phone.Ed25519()),
				"server": []byte("example.org"), "code": []byte("m.unverified"), "text": []byte("eagle"), "provenance": []byte("direct"), "frame": {'K', 'S', 1, 0}}
			for i, session := range sessions {
				secrets[fmt.Sprint("session ", i)], secrets[fmt.Sprint("raw session ", i)] = []byte(session.ID()), decode(t, session.ID())
				for part := range 4 {
					secrets[fmt.Sprint("ratchet ", i, part)] = decode(t, session.SessionKeyAt(0))[5+32*part : 37+32*part]
				}
			}
			raw := w.raw()
			for name, secret := range secrets {
				for _, form := range forms(secret) {
					if len(form) > 3 && strings.Contains(raw, form) {
						t.Errorf("%s lies there as %q", name, form)
					}
				}
			}
			// The net has no holes: in a store without a key all that a record holds is found.
			plain := closedWorld(t)
			plain.rows = disk{under: store.NewMemory()}.Reopen()
			plain.open()
			plain.kept(plain.event(phone, room, sessions[0]))
			for _, name := range []string{"room", "sender key", "session 0", "ratchet 0 0", "frame", "provenance"} {
				if !slices.ContainsFunc(forms(secrets[name]), func(form string) bool { return strings.Contains(plain.raw(), form) }) {
					t.Errorf("%s is not found where it is", name)
				}
			}
			// And all of it is there for whoever has the key.
			w.restart()
			w.wantCodes(event, verdicts{"shown", "shown", "shown", "unverified_identity"})
		})
	}
}

func TestTamperedAtRest(t *testing.T) {
	other := func(rows []store.Row) []byte { return rows[0].Value }
	for name, value := range map[string]func(rows []store.Row) []byte{
		"of another row": other, "cut off": func(rows []store.Row) []byte { return rows[1].Value[:40] }, "edited": func(rows []store.Row) []byte {
			value := bytes.Clone(rows[1].Value)
			value[len(value)/2] ^= 1
			return value
		},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := sealed.HostKey(make([]byte, 32))
			w := sealedWorld(t, key, err)
			alice, phone := w.alice()
			var sessions []*testkit.Outbound
			for range 3 {
				sessions = append(sessions, w.kit.Outbound())
				w.kept(w.event(phone, room, sessions[len(sessions)-1]))
			}
			// When somebody writes to the value of a row, past the key.
			rows, err := store.Page(context.Background(), w.rows.under, store.Query{Table: store.Copies})
			if err != nil || len(rows) != 3 {
				t.Fatalf("%d rows, %v", len(rows), err)
			}
			row := rows[1]
			row.Value = value(rows)
			if err := w.rows.under.Commit(context.Background(), store.Batch{Ops: []store.Op{row.Put(row.Rev)}}); err != nil {
				t.Fatal(err)
			}
			w.restart()
			if err := w.machine.LoadRoom(context.Background(), room); err != nil {
				t.Fatal(err)
			}
			// Then it is reported, and the others decrypt and are judged.
			if len(w.heard.reports) != 1 || w.heard.reports[0].Code != core.CodeRecordQuarantined {
				t.Errorf("reported %+v", w.heard.reports)
			}
			var broken []*testkit.Outbound
			for _, session := range sessions {
				if _, err := w.decrypt(phone.Message(string(room), session, "hello"), policy.Untrusted); err != nil {
					broken = append(broken, session)
				}
			}
			if len(broken) != 1 {
				t.Fatalf("%d sessions do not decrypt", len(broken))
			}
			if result := w.answer(alice); result.RoomKeys != 2 {
				t.Errorf("%d room keys changed", result.RoomKeys)
			}
			w.flush()
			if aside := w.quarantine(); len(aside) != 1 || !bytes.HasSuffix(aside[0].Value, row.Value) {
				t.Errorf("%d rows were set aside", len(aside))
			}
			// The same key again takes the place of what is damaged, and is counted once.
			broken[0].SkipTo(0)
			w.kept(w.event(phone, room, broken[0]))
			w.restart()
			if counts, _ := w.machine.RoomKeyCounts(context.Background()); counts.Total != 3 || len(w.copies()) != 3 {
				t.Errorf("counted %d, stored are %d", counts.Total, len(w.copies()))
			}
			w.heard.reports = nil
			for _, session := range sessions {
				if _, err := w.decrypt(phone.Message(string(room), session, "again"), policy.Untrusted); err != nil {
					t.Error(err)
				}
			}
			if len(w.heard.reports) > 0 {
				t.Errorf("then reported %+v", w.heard.reports)
			}
		})
	}
}
