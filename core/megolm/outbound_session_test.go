package megolm_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"knownsender/core/megolm"
	"knownsender/core/testkit"

	"maunium.net/go/mautrix/crypto/goolm/session"
)

// outboundAt is our session with the keys of one of testkit's, at an index.
func outboundAt(t *testing.T, kit *testkit.Outbound, index uint32) *megolm.OutboundSession {
	t.Helper()
	s, err := megolm.ParseOutboundState(append(decode(kit.ExportedAt(index))[1:133], kit.Private...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What a fresh session sends is read by goolm and by us, in order, and from where the key was taken on only.
func TestWhatWeSendIsReadByGoolmAndByUs(t *testing.T) {
	s := megolm.NewOutboundSession()
	if s.MessageIndex() != 0 {
		t.Fatalf("a session begins at %d", s.MessageIndex())
	}
	theirs, ours := must(session.NewMegolmInboundSession([]byte(s.SessionKey()))), receive(t, s.SessionKey())
	var late *megolm.InboundSession
	for i := range 300 {
		if i == 257 {
			late = receive(t, s.SessionKey())
		}
		plaintext := strings.Repeat("x", i)
		ciphertext, next, err := s.Encrypt([]byte(plaintext))
		if err != nil {
			t.Fatal(err)
		}
		if got, index, err := theirs.Decrypt([]byte(ciphertext)); err != nil || string(got) != plaintext || int(index) != i {
			t.Fatalf("goolm reads %d bytes at %d: %v", len(got), index, err)
		}
		if got, index, code := decrypt(t, ours, ciphertext); code != "" || got != plaintext || int(index) != i {
			t.Fatalf("we read %d bytes at %d: %s", len(got), index, code)
		}
		if i == 256 && receive(t, next.SessionKey()).FirstKnownIndex() != 257 {
			t.Fatal("a key opens what was sent before it was given")
		}
		if s.MessageIndex() != uint32(i) || next.MessageIndex() != uint32(i)+1 || next.ID() != s.ID() {
			t.Fatalf("from %d to %d", s.MessageIndex(), next.MessageIndex())
		}
		s = next
	}
	if theirs.ID().String() != s.ID().String() || late.FirstKnownIndex() != 257 {
		t.Fatalf("goolm calls it %s, a late key begins at %d", theirs.ID(), late.FirstKnownIndex())
	}
	if other := megolm.NewOutboundSession(); other.ID() == s.ID() || other.SessionKey()[7:178] == s.SessionKey()[7:178] {
		t.Fatal("two sessions are the same")
	}
}

// Key, message and next state are testkit's to the last byte, at every boundary of the ratchet.
func TestSendingIsAsTestkitHasIt(t *testing.T) {
	for _, index := range []uint32{0, 1, 255, 256, 65535, 1<<24 - 1, 1 << 24, testkit.LastIndex - 1} {
		checkOutbound(t, fmt.Sprint(index), index, []byte("hello"))
	}
}

func checkOutbound(t *testing.T, seed string, index uint32, plaintext []byte) {
	t.Helper()
	kit := testkit.NewOutbound(testkit.New(seed).Random())
	s := outboundAt(t, kit, index)
	before := s.AppendState(nil)
	if s.SessionKey() != kit.SessionKeyAt(index) || s.ID().String() != kit.ID() {
		t.Error("the session key is another")
	}
	ciphertext, next, err := s.Encrypt(plaintext)
	if !bytes.Equal(s.AppendState(nil), before) {
		t.Error("the session has changed")
	}
	if index == testkit.LastIndex || len(plaintext) > megolm.MaxPlaintext {
		if err == nil || next != nil || ciphertext != "" {
			t.Errorf("encrypted %d bytes at %d: %v", len(plaintext), index, err)
		}
		return
	}
	if err != nil || ciphertext != kit.EncryptAt(index, plaintext) {
		t.Fatalf("another message: %v", err)
	}
	if state := next.AppendState(nil); !bytes.Equal(state, outboundAt(t, kit, index+1).AppendState(nil)) || !bytes.Equal(must(megolm.ParseOutboundState(state)).AppendState(nil), state) {
		t.Error("the next state is another, or does not come back")
	}
}

func TestWhatCannotBeEncrypted(t *testing.T) {
	kit := testkit.New("limits").Outbound()
	s := outboundAt(t, kit, 3)
	text, _, err := s.Encrypt(make([]byte, megolm.MaxPlaintext))
	if err != nil || len(text) > 65_000 {
		t.Fatalf("the longest message has %d symbols: %v", len(text), err)
	}
	for want, try := range map[string]func() (string, *megolm.OutboundSession, error){
		megolm.CodeBadPlaintextLength: func() (string, *megolm.OutboundSession, error) { return s.Encrypt(make([]byte, megolm.MaxPlaintext+1)) },
		megolm.CodeRatchetExhausted: func() (string, *megolm.OutboundSession, error) {
			return outboundAt(t, kit, testkit.LastIndex).Encrypt([]byte("hello"))
		},
	} {
		if text, next, err := try(); codeOf(t, err) != want || text != "" || next != nil {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestDamagedOutboundStatesAreRefused(t *testing.T) {
	state := megolm.NewOutboundSession().AppendState([]byte("before"))[len("before"):]
	for name, raw := range map[string][]byte{
		"empty":              nil,
		"a byte less":        state[:195],
		"a byte more":        append(bytes.Clone(state), 0),
		"another seed":       with(state, 140, state[140]^1),
		"another public key": with(state, 170, state[170]^1),
	} {
		if s, err := megolm.ParseOutboundState(raw); s != nil || codeOf(t, err) != megolm.CodeBadSessionState {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s, err := megolm.ParseOutboundState(state); err != nil || !bytes.Equal(s.AppendState(nil), state) {
		t.Errorf("the state itself: %v", err)
	}
}

// FuzzOutboundSession sends anything at any index, and takes anything for a stored session.
func FuzzOutboundSession(f *testing.F) {
	f.Fuzz(func(t *testing.T, seed string, index uint32, plaintext, state []byte) {
		checkOutbound(t, seed, index, plaintext)
		if s, err := megolm.ParseOutboundState(state); err == nil && !bytes.Equal(s.AppendState(nil), state) {
			t.Error("a stored session is written back differently")
		}
	})
}
