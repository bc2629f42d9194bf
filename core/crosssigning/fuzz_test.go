package crosssigning_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"testing"

	"knownsender/core/crosssigning"
	"knownsender/core/signedjson"
	"knownsender/core/trust"
)

// FuzzKeys takes any texts as seeds and any bytes as a stored form. What is read is what encoding/base64 and crypto/ed25519 make of it, and is written
// again as it was; whatever object it then signs verifies under the name of its key.
func FuzzKeys(f *testing.F) {
	f.Fuzz(func(t *testing.T, master, selfSigning, userSigning string, state, object []byte) {
		if k, err := crosssigning.ParseState(state); err == nil {
			if !bytes.Equal(k.AppendState(nil), state) {
				t.Fatalf("%x is written as something else", state)
			}
		} else {
			codeOf(t, err)
		}
		texts := []string{master, selfSigning, userSigning}
		k, err := crosssigning.Parse(crosssigning.Export{Master: master, SelfSigning: selfSigning, UserSigning: userSigning})
		if err != nil {
			codeOf(t, err)
			return
		}
		for i, role := range allRoles {
			public, held := k.Public(role)
			if held != (texts[i] != "") {
				t.Fatalf("%v is held: %v", role, held)
			}
			if !held {
				continue
			}
			encoding := base64.RawStdEncoding
			if len(texts[i]) == 44 {
				encoding = base64.StdEncoding
			}
			seed, err := encoding.Strict().DecodeString(texts[i])
			if err != nil || !bytes.Equal(ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey), public[:]) {
				t.Fatalf("%v is another key: %v", role, err)
			}
		}
		parsed, err := signedjson.Parse(object)
		signer, none := k.Signer(trust.RoleMaster)
		if err != nil || none != nil {
			return
		}
		signed, err := crosssigning.Sign(parsed, me, signer)
		if err != nil {
			codeOf(t, err)
			return
		}
		again, err := signedjson.Parse(signed)
		if err != nil {
			t.Fatalf("%s is not JSON: %v", signed, err)
		}
		signature, presence, err := again.Signature(me, signer.KeyID)
		message, _ := parsed.SignedBytes()
		public, _ := k.Public(trust.RoleMaster)
		if err != nil || presence != signedjson.Present || !ed25519.Verify(public[:], message, signature[:]) {
			t.Fatalf("%s does not verify", signed)
		}
		if of, err := again.SignedBytes(); err != nil || !bytes.Equal(of, message) {
			t.Fatalf("%s was signed as %s", of, message)
		}
	})
}
