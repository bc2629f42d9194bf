package megolm_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"knownsender/core/megolm"
	"knownsender/core/testkit"

	"maunium.net/go/mautrix/crypto/goolm/session"
)

// core/testdata/megolm.json: session keys and messages with what must become of them, for tests in any language. Either the
// result is given or the error's code. Testkit writes them, and goolm agrees with every one that is valid.

const vectorsFile = "../testdata/megolm.json"

type vectors struct {
	SessionKeys []keyVector     `json:"session_keys"`
	Messages    []messageVector `json:"messages"`
	Exports     []exportVector  `json:"exports"`
}

type keyVector struct {
	Name            string  `json:"name"`
	Format          string  `json:"format"` // "shared" or "exported"
	SessionKey      string  `json:"session_key"`
	SessionID       string  `json:"session_id,omitempty"`
	FirstKnownIndex *uint32 `json:"first_known_index,omitempty"`
	Error           string  `json:"error,omitempty"`
}

type messageVector struct {
	Name         string  `json:"name"`
	SessionKey   string  `json:"session_key"` // shared
	Ciphertext   string  `json:"ciphertext"`
	MessageIndex *uint32 `json:"message_index,omitempty"`
	Plaintext    string  `json:"plaintext,omitempty"`
	Error        string  `json:"error,omitempty"`
}

type exportVector struct {
	Name       string `json:"name"`
	SessionKey string `json:"session_key"` // shared
	Index      uint32 `json:"index"`
	Exported   string `json:"exported,omitempty"`
	Error      string `json:"error,omitempty"`
}

func makeVectors() (v vectors) {
	kit := testkit.New("vectors")
	key := func(name, format, text, code string) {
		v.SessionKeys = append(v.SessionKeys, keyVector{Name: name, Format: format, SessionKey: text, Error: code})
	}
	for _, c := range []struct {
		name string
		at   uint32
	}{{"first index 0", 0}, {"first index 2^8", 1 << 8}, {"first index 2^16", 1 << 16}, {"first index 2^24", 1 << 24}, {"first index 2^32-1", testkit.LastIndex}} {
		outbound := testkit.NewOutboundAt(kit.Random(), c.at)
		for _, k := range []keyVector{
			{Format: "shared", SessionKey: outbound.SessionKey()}, {Format: "exported", SessionKey: outbound.ExportedAt(c.at)},
		} {
			k.Name, k.SessionID, k.FirstKnownIndex = c.name, outbound.ID(), &c.at
			v.SessionKeys = append(v.SessionKeys, k)
		}
	}
	outbound := kit.Outbound()
	shared, exported := outbound.SessionKey(), outbound.ExportedAt(0)
	raw := decode(shared)
	key("empty", "shared", "", megolm.CodeBadSessionKeyLength)
	key("export format inside m.room_key", "shared", exported, megolm.CodeBadSessionKeyLength)
	key("a byte more", "shared", testkit.Base64(append(raw, 0)), megolm.CodeBadSessionKeyLength)
	key("padding", "shared", shared+"==", megolm.CodeBadSessionKeyLength)
	key("line end inside", "shared", shared[:76]+"\n"+shared[77:], megolm.CodeBadSessionKeyBase64)
	key("version 3", "shared", testkit.Base64(resigned(outbound, with(raw, 0, 3))), megolm.CodeBadSessionKeyVersion)
	key("public key of low order", "shared", testkit.Base64(with(raw, 133, badPublicKeys["order 4"]...)), megolm.CodeBadSessionKeyPublicKey)
	key("wrong signature", "shared", testkit.Base64(with(raw, 200, raw[200]^1)), megolm.CodeBadSessionKeySignature)
	key("signature with R of low order", "shared", testkit.Base64(with(raw, 165, smallOrderR(outbound.Private, raw[:165])...)), megolm.CodeBadSessionKeySignature)
	key("share format inside an import", "exported", shared, megolm.CodeBadSessionKeyLength)
	key("version 2 at export length", "exported", testkit.Base64(raw[:165]), megolm.CodeBadSessionKeyVersion)
	key("public key not canonical", "exported", testkit.Base64(with(decode(exported), 133, badPublicKeys["y of p+3"]...)), megolm.CodeBadSessionKeyPublicKey)

	message := func(name string, session *testkit.Outbound, text string, index uint32, plaintext, code string) {
		m := messageVector{Name: name, SessionKey: session.SessionKey(), Ciphertext: text, Plaintext: plaintext, Error: code}
		if code == "" {
			m.MessageIndex = &index
		}
		v.Messages = append(v.Messages, m)
	}
	for _, c := range []struct {
		name      string
		from, to  uint32
		plaintext string
	}{
		{"first message", 0, 0, "hello"},
		{"empty plaintext", 0, 0, ""},
		{"a whole block of plaintext", 0, 1, "0123456789abcdef"},
		{"beyond ASCII", 0, 2, "wer schrieb das? \U0001f600"},
		{"before 2^8", 0, 1<<8 - 1, "hello"},
		{"at 2^8", 0, 1 << 8, "hello"},
		{"across 2^8", 1<<8 - 1, 1<<8 + 1, "hello"},
		{"before 2^16", 0, 1<<16 - 1, "hello"},
		{"at 2^16", 0, 1 << 16, "hello"},
		{"across 2^16", 1<<16 - 1, 1<<16 + 1, "hello"},
		{"before 2^24", 0, 1<<24 - 1, "hello"},
		{"at 2^24", 0, 1 << 24, "hello"},
		{"across 2^24", 1<<24 - 1, 1<<24 + 1, "hello"},
		{"last index, from afar", 1<<31 + 5, testkit.LastIndex, "hello"},
		{"last index, one step", testkit.LastIndex - 1, testkit.LastIndex, "hello"},
		{"last index, no step", testkit.LastIndex, testkit.LastIndex, "hello"},
	} {
		outbound := testkit.NewOutboundAt(kit.Random(), c.from)
		message(c.name, outbound, outbound.EncryptAt(c.to, []byte(c.plaintext)), c.to, c.plaintext, "")
	}
	outbound = testkit.NewOutboundAt(kit.Random(), 5)
	genuine := outbound.EncryptAt(5, []byte("hello"))
	raw = decode(genuine)
	ciphertext := outbound.Ciphertext(5, []byte("hello"))
	sealed := func(body []byte) string { return testkit.Base64(outbound.Seal(5, body)) }
	other := kit.Outbound()
	message("before the first known index", outbound, sealed(body(4, ciphertext)), 0, "", megolm.CodeUnknownMessageIndex)
	message("truncated", outbound, testkit.Base64(raw[:92]), 0, "", megolm.CodeBadMessageLength)
	message("line end inside", outbound, genuine[:76]+"\n"+genuine[76:], 0, "", megolm.CodeBadMessageBase64)
	message("version 4", outbound, sealed(with(raw[:len(raw)-72], 0, 4)), 0, "", megolm.CodeBadMessageVersion)
	message("index of 2^32", outbound, sealed(body(1<<32, ciphertext)), 0, "", megolm.CodeBadMessageEncoding)
	message("index with a spare byte", outbound, sealed(append([]byte{3, 0x08, 0x85, 0}, raw[3:len(raw)-72]...)), 0, "", megolm.CodeBadMessageEncoding)
	message("ciphertext before index", outbound, sealed(append(append([]byte{3}, raw[3:len(raw)-72]...), 0x08, 5)), 0, "", megolm.CodeBadMessageEncoding)
	message("wrong MAC, right signature", outbound, testkit.Base64(outbound.Sign(with(raw[:len(raw)-64], len(raw)-72, raw[len(raw)-72]^1))), 0, "", megolm.CodeBadMAC)
	message("right MAC, wrong signature", outbound, testkit.Base64(other.Sign(raw[:len(raw)-64])), 0, "", megolm.CodeBadMessageSignature)
	message("wrong padding", outbound, sealed(body(5, outbound.CiphertextOfBlocks(5, make([]byte, 16)))), 0, "", megolm.CodeBadPadding)

	export := func(name string, from, at uint32, code string) {
		outbound := testkit.NewOutboundAt(kit.Random(), from)
		e := exportVector{Name: name, SessionKey: outbound.SessionKey(), Index: at, Error: code}
		if code == "" {
			e.Exported = outbound.ExportedAt(at)
		}
		v.Exports = append(v.Exports, e)
	}
	export("where it begins", 0, 0, "")
	export("at 2^8", 0, 1<<8, "")
	export("at 2^16", 0, 1<<16, "")
	export("at 2^24", 0, 1<<24, "")
	export("at 2^32-1", 0, testkit.LastIndex, "")
	export("before the first known index", 1<<24, 1<<24-1, megolm.CodeUnknownMessageIndex)
	return v
}

func TestVectors(t *testing.T) {
	made := must(json.MarshalIndent(makeVectors(), "", "\t"))
	if *update {
		if err := os.WriteFile(vectorsFile, append(made, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw := must(os.ReadFile(vectorsFile))
	if !bytes.Equal(bytes.TrimSpace(raw), made) {
		t.Fatalf("%s is not what it should be; run go test -run %s -update", vectorsFile, t.Name())
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.SessionKeys) < 20 || len(v.Messages) < 25 || len(v.Exports) < 6 {
		t.Fatalf("only %d, %d and %d vectors", len(v.SessionKeys), len(v.Messages), len(v.Exports))
	}

	for _, c := range v.SessionKeys {
		t.Run("session key/"+c.Format+"/"+c.Name, func(t *testing.T) {
			read, theirs := share, session.NewMegolmInboundSession
			if c.Format == "exported" {
				read, theirs = export, session.NewMegolmInboundSessionFromExport
			}
			s, code := read(t, c.SessionKey)
			if code != c.Error {
				t.Fatalf("code %q, expected %q", code, c.Error)
			}
			if code == "" && (s.ID().String() != c.SessionID || s.FirstKnownIndex() != *c.FirstKnownIndex) {
				t.Errorf("session %s from %d on", s.ID(), s.FirstKnownIndex())
			}
			if other, err := theirs([]byte(c.SessionKey)); code == "" && (err != nil || other.ID().String() != c.SessionID) {
				t.Errorf("goolm says %v", err)
			}
		})
	}
	for _, c := range v.Messages {
		t.Run("message/"+c.Name, func(t *testing.T) {
			plaintext, index, code := decrypt(t, receive(t, c.SessionKey), c.Ciphertext)
			if code != c.Error || plaintext != c.Plaintext {
				t.Fatalf("code %q, plaintext %q, expected %q, %q", code, plaintext, c.Error, c.Plaintext)
			}
			if code == "" && index != *c.MessageIndex {
				t.Errorf("index %d, expected %d", index, *c.MessageIndex)
			}
			theirs, _, err := must(session.NewMegolmInboundSession([]byte(c.SessionKey))).Decrypt([]byte(c.Ciphertext))
			if code == "" && (err != nil || string(theirs) != c.Plaintext) {
				t.Errorf("goolm says %v", err)
			}
		})
	}
	for _, c := range v.Exports {
		t.Run("export/"+c.Name, func(t *testing.T) {
			text, err := receive(t, c.SessionKey).ExportAt(c.Index)
			if code := codeOf(t, err); code != c.Error || text != c.Exported {
				t.Errorf("code %q, expected %q", code, c.Error)
			}
		})
	}
}
