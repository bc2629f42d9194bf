package keyfile_test

import (
	"context"
	"testing"

	"knownsender/core/keyfile"
)

// What an import costs, entry by entry: tens of thousands of them lie in a file.
func BenchmarkParseEntry(b *testing.B) {
	w := newWorld(b)
	raw := w.exported(w.kit.Outbound())
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := keyfile.ParseEntry(raw); err != nil {
			b.Fatal(err)
		}
	}
}

// The same with sender data under a MAC, and the MAC checked.
func BenchmarkParseEntryWithEvidence(b *testing.B) {
	w := newWorld(b)
	key := keyfile.NewSenderDataKey(ours)
	raw := keyfile.AppendEntrySigned(nil, w.direct(w.kit.Outbound()), key)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if e, err := keyfile.ParseEntry(raw); err != nil || !parsedEvidence(e, key) {
			b.Fatal(err)
		}
	}
}

func BenchmarkSplitter(b *testing.B) {
	w := newWorld(b)
	text := []byte("[")
	for i := range 100 {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, w.exported(w.kit.Outbound())...)
	}
	text = append(text, ']')
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		var s keyfile.Splitter
		if err := s.Write(text, func(int, []byte) error { return nil }); err != nil || s.Close() != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendEntry(b *testing.B) {
	w := newWorld(b)
	c := w.direct(w.kit.Outbound())
	for name, key := range map[string]*keyfile.SenderDataKey{"plain": nil, "signed": keyfile.NewSenderDataKey(ours)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				dst = keyfile.AppendEntrySigned(dst[:0], c, key)
			}
		})
	}
}

func BenchmarkOpenBackupEntry(b *testing.B) {
	w := newWorld(b)
	key := newBackup(b, w)
	c := w.direct(w.kit.Outbound())
	row, err := w.seal(key.PublicKey(), c, nil)
	if err != nil {
		b.Fatal(err)
	}
	s, err := keyfile.ParseBackupSession(row)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("agree", func(b *testing.B) {
		for b.Loop() {
			if _, err := key.SharedSecrets(context.Background(), keyfile.GoAgreement{}, []*keyfile.SealedSession{s}); err != nil {
				b.Fatal(err)
			}
		}
	})
	shared, err := key.SharedSecrets(context.Background(), keyfile.GoAgreement{}, []*keyfile.SealedSession{s})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("parse and open", func(b *testing.B) {
		secret := make([]byte, 32)
		for b.Loop() {
			s, err := keyfile.ParseBackupSession(row)
			if err != nil {
				b.Fatal(err)
			}
			copy(secret, shared[0])
			payload, err := s.Open(secret)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := keyfile.ParseBackupEntry(c.RoomID, c.SessionID, payload); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("seal", func(b *testing.B) {
		for b.Loop() {
			if _, err := w.seal(key.PublicKey(), c, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDefaultRounds(b *testing.B) {
	text, err := keyfile.EncryptFile(context.Background(), []byte(`[]`), "secret", 0, newWorld(b).kit.Random(), keyfile.GoCipher{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := open(text, "secret"); err != nil {
			b.Fatal(err)
		}
	}
}
