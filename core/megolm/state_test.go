package megolm_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"knownsender/core/megolm"
	"knownsender/core/testkit"
)

func TestStoredSessionsComeBack(t *testing.T) {
	for _, index := range []uint32{0, 256, testkit.LastIndex} {
		outbound := testkit.NewOutboundAt(testkit.New("state").Random(), index)
		for _, s := range []*megolm.InboundSession{receive(t, outbound.SessionKey()), imported(t, outbound.ExportedAt(index))} {
			state := s.AppendState([]byte("before"))
			if len(state) != len("before")+165 {
				t.Errorf("a state has %d bytes", len(state)-len("before"))
			}
			back, err := megolm.ParseState(state[len("before"):])
			if err != nil {
				t.Fatal(err)
			}
			if back.Compare(s) != megolm.Equal || back.Signed() != s.Signed() || back.ID() != s.ID() {
				t.Errorf("at %d another session came back", index)
			}
			if _, _, code := decrypt(t, back, outbound.EncryptAt(index, []byte("hello"))); code != "" {
				t.Errorf("at %d: %s", index, code)
			}
		}
	}
}

func TestDamagedStatesAreRefused(t *testing.T) {
	state := receive(t, testkit.New("damaged").Outbound().SessionKey()).AppendState(nil)
	for name, raw := range map[string][]byte{
		"empty":           nil,
		"a byte less":     state[:164],
		"a byte more":     append(bytes.Clone(state), 0),
		"flag of 2":       with(state, 164, 2),
		"low order key":   with(state, 132, badPublicKeys["order 4"]...),
		"second spelling": with(state, 132, badPublicKeys["y of p+3"]...),
	} {
		if s, err := megolm.ParseState(raw); s != nil || codeOf(t, err) != megolm.CodeBadSessionState {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// I21: what is secret is printed by no verb, as a pointer, as a value or inside something else.
func TestI21SecretsAreNotPrinted(t *testing.T) {
	outbound := testkit.New("I21").Outbound()
	text := outbound.SessionKey()
	key := must(megolm.ParseSessionKey(text))
	session := key.Session()
	opening := must(session.Open(must(megolm.ParseMessage(outbound.EncryptAt(0, []byte("plaintext"))))))
	sending := outboundAt(t, outbound, 0)
	ratchet := decode(text)[5:133]

	var printed strings.Builder
	for _, value := range []any{key, *key, session, *session, opening, *opening, sending, *sending, struct{ Session any }{session}, []any{*key}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%08b"} {
			fmt.Fprintf(&printed, verb+"\n", value)
		}
		slog.New(slog.NewTextHandler(&printed, nil)).Info("log", "value", value)
		fmt.Fprintf(&printed, "%s\n", must(json.Marshal(fmt.Sprint(value))))
	}
	for name, secret := range map[string]string{
		"ratchet":                ratchet4(ratchet, "%x"),
		"ratchet in capitals":    ratchet4(ratchet, "%X"),
		"ratchet in decimals":    strings.Trim(ratchet4(ratchet, "%d"), "[]"),
		"ratchet in base64":      text[8:40],
		"plaintext":              "plaintext",
		"plaintext in hex":       fmt.Sprintf("%x", "plain"),
		"plaintext in decimals":  "112 108 97 105",
		"anything but the names": "0x",
	} {
		if strings.Contains(printed.String(), secret) {
			t.Errorf("%s is printed", name)
		}
	}
	if got := fmt.Sprint(key, session, opening, sending); got != "[secret] [secret] [secret] [secret]" {
		t.Errorf("printed as %s", got)
	}
}

func ratchet4(ratchet []byte, verb string) string { return fmt.Sprintf(verb, ratchet[:4]) }

// I21: no error repeats a byte of what it refuses.
func TestI21ErrorsRepeatNothing(t *testing.T) {
	for _, e := range []struct {
		err  coded
		text string
	}{
		{&megolm.SessionKeyError{Code: megolm.CodeBadSessionID}, "the session id is not a public key"},
		{&megolm.SessionKeyError{Code: megolm.CodeBadSessionKeyLength, Expected: 229, Got: 165}, "the session key has the wrong length: expected 229, got 165"},
		{&megolm.SessionKeyError{Code: megolm.CodeBadSessionKeyBase64}, "the session key is not canonical unpadded base64"},
		{&megolm.SessionKeyError{Code: megolm.CodeBadSessionKeyVersion, Expected: 2, Got: 1}, "the session key has the wrong version: expected 2, got 1"},
		{&megolm.SessionKeyError{Code: megolm.CodeBadSessionKeyPublicKey}, "the session key's public key is of low order or not canonical"},
		{&megolm.SessionKeyError{Code: megolm.CodeBadSessionKeySignature}, "the session key is not signed by its own public key"},
		{&megolm.MessageError{Code: megolm.CodeBadMessageLength, Expected: 93, Got: 9}, "the message has a length no message has: expected 93, got 9"},
		{&megolm.MessageError{Code: megolm.CodeBadMessageBase64}, "the message is not canonical unpadded base64"},
		{&megolm.MessageError{Code: megolm.CodeBadMessageVersion, Expected: 3, Got: 4}, "the message has the wrong version: expected 3, got 4"},
		{&megolm.MessageError{Code: megolm.CodeBadMessageEncoding}, "the message's index and ciphertext are not encoded in the canonical form"},
		{&megolm.DecryptionError{Code: megolm.CodeUnknownMessageIndex, Expected: 5, Got: 4}, "the message lies before the first known index: expected 5, got 4"},
		{&megolm.DecryptionError{Code: megolm.CodeBadMAC}, "the message's MAC is wrong"},
		{&megolm.DecryptionError{Code: megolm.CodeBadPadding}, "the message's padding is wrong"},
		{&megolm.DecryptionError{Code: megolm.CodeBadMessageSignature}, "the message is not signed by the session"},
		{&megolm.ExportError{Code: megolm.CodeUnknownMessageIndex, Expected: 5, Got: 4}, "the session is not known at this index: expected 5, got 4"},
		{&megolm.EncryptionError{Code: megolm.CodeBadPlaintextLength, Expected: 48000, Got: 48001}, "the message is too long for an event: expected 48000, got 48001"},
		{&megolm.EncryptionError{Code: megolm.CodeRatchetExhausted}, "the session has no message index left"},
		{&megolm.MergeError{Code: megolm.CodeUnconnectedSessions}, "the sessions are not connected"},
		{&megolm.StateError{Code: megolm.CodeBadSessionState, Expected: 165, Got: 3}, "not a stored session: expected 165, got 3"},
		{&megolm.StateError{Code: megolm.CodeBadSessionState}, "not a stored session: a public key or a flag that no session has"},
	} {
		if e.err.Error() != e.text {
			t.Errorf("%s: %q", e.err.ErrorCode(), e.err.Error())
		}
	}
}

func TestWipedKeysAndSessionsAreEmpty(t *testing.T) {
	outbound := testkit.New("wipe").Outbound()
	key := must(megolm.ParseSessionKey(outbound.SessionKey()))
	session := key.Session()
	key.Wipe()
	if check := key.Check(); !bytes.Equal(check.Message, make([]byte, 165)) {
		t.Error("a wiped key still has a ratchet")
	}
	session.Wipe()
	if state := session.AppendState(nil); !bytes.Equal(state[:132], make([]byte, 132)) {
		t.Error("a wiped session still has a ratchet")
	}
}
