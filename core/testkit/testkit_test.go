package testkit_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"testing"

	"knownsender/core/testkit"

	"maunium.net/go/mautrix/crypto/goolm/session"
)

const room = "!room:example.org"

func TestTheSameSeedMakesTheSameBytes(t *testing.T) {
	make := func(seed string) []byte {
		kit := testkit.New(seed)
		alice := kit.User("@alice:example.org")
		phone := alice.Device("PHONE").CrossSigned().Named("phone")
		session := kit.Outbound()
		return bytes.Join([][]byte{
			kit.KeysQuery(alice), phone.RoomKey(phone, room, session), phone.Message(room, session, "hi"),
		}, []byte("\n"))
	}
	if !bytes.Equal(make("one"), make("one")) {
		t.Error("two kits of one seed differ")
	}
	if bytes.Equal(make("one"), make("two")) {
		t.Error("two kits of different seeds agree")
	}
}

// verifies says whether object carries a valid signature by key filed under user and label.
func verifies(t *testing.T, object map[string]any, user, label, key string) bool {
	t.Helper()
	var copied map[string]any
	if err := json.Unmarshal(testkit.JSON(object), &copied); err != nil {
		t.Fatal(err)
	}
	byUser, _ := copied["signatures"].(map[string]any)[user].(map[string]any)
	text, _ := byUser[label].(string)
	signature, _ := base64.RawStdEncoding.DecodeString(text)
	public, _ := base64.RawStdEncoding.DecodeString(key)
	delete(copied, "signatures")
	delete(copied, "unsigned")
	return ed25519.Verify(public, testkit.JSON(copied), signature)
}

func TestSignaturesAreReal(t *testing.T) {
	kit := testkit.New("signatures")
	alice, bob := kit.User("@alice:example.org"), kit.User("@bob:example.org")
	phone := alice.Device("PHONE").CrossSigned().Named("phone")
	bad := alice.Device("BAD").CorruptlyCrossSigned()
	bob.Verifies(alice)

	self := alice.Identity.SelfSigning
	if !verifies(t, phone.Object(), alice.ID, "ed25519:PHONE", phone.Ed25519()) {
		t.Error("a device's own signature is wrong")
	}
	if !verifies(t, phone.Object(), alice.ID, self.Label(), self.Public()) {
		t.Error("a cross-signature is wrong")
	}
	if verifies(t, bad.Object(), alice.ID, self.Label(), self.Public()) {
		t.Error("a corrupt cross-signature verifies")
	}
	if !verifies(t, self.Object(), alice.ID, alice.Identity.Master.Label(), alice.Identity.Master.Public()) {
		t.Error("the self-signing key is not signed by the master key")
	}
	if !verifies(t, alice.Identity.Master.Object(), bob.ID, bob.Identity.UserSigning.Label(), bob.Identity.UserSigning.Public()) {
		t.Error("bob's signature of alice's master key is wrong")
	}

	alice.ResetIdentity()
	if !verifies(t, phone.Object(), alice.ID, self.Label(), self.Public()) {
		t.Error("a reset took the old cross-signature away")
	}
	if alice.Identity.SelfSigning.Public() == self.Public() {
		t.Error("a reset kept the self-signing key")
	}
	alice.Identity.Master.Before(testkit.Usage("self_signing"))
	master := alice.Identity.Master.Object()
	if got := master["usage"].([]string)[0]; got != "self_signing" {
		t.Errorf("usage is %q after a hook", got)
	}
}

func TestSessionsAreRealMegolm(t *testing.T) {
	kit := testkit.New("megolm")
	for _, start := range []uint32{0, 1, 0xff, 0xffff, 0xffffff, testkit.LastIndex - 1} {
		outbound := testkit.NewOutboundAt(kit.Random(), start)
		shared, err := session.NewMegolmInboundSession([]byte(outbound.SessionKey()))
		if err != nil {
			t.Fatal(err)
		}
		exported, err := session.NewMegolmInboundSessionFromExport([]byte(outbound.ExportedAt(start + 1)))
		if err != nil {
			t.Fatal(err)
		}
		for _, index := range []uint32{start, start + 1} {
			message := []byte(outbound.Encrypt([]byte("hello")))
			plaintext, got, err := shared.Decrypt(message)
			if err != nil || string(plaintext) != "hello" || uint32(got) != index {
				t.Errorf("at %d goolm says %q, %d, %v", index, plaintext, got, err)
			}
			if index == start {
				continue
			}
			if plaintext, _, err := exported.Decrypt(message); err != nil || string(plaintext) != "hello" {
				t.Errorf("exported at %d goolm says %q, %v", index, plaintext, err)
			}
		}
	}
}

func TestTheRatchetWalksFarLikeGoolm(t *testing.T) {
	kit := testkit.New("far")
	outbound := kit.Outbound()
	inbound, err := session.NewMegolmInboundSession([]byte(outbound.SessionKey()))
	if err != nil {
		t.Fatal(err)
	}
	for _, index := range []uint32{1, 0x100, 0x1ff, 0x10000, 0xabcdef, 0x1000000, 0xfedcba98, testkit.LastIndex} {
		far := inbound.Ratchet // by value; inbound.Export refuses steps of 2^31 and more
		far.AdvanceTo(index)
		exported, err := far.SessionExportMessage(inbound.SigningKey)
		if err != nil || string(exported) != outbound.ExportedAt(index) {
			t.Errorf("exports at %#x differ (%v)", index, err)
		}
	}
}

func TestHooksReachEveryPart(t *testing.T) {
	kit := testkit.New("hooks")
	alice, bob := kit.User("@alice:example.org"), kit.User("@bob:example.org").WithoutIdentity()
	phone, desk := alice.Device("PHONE").Dehydrated(), bob.Device("DESK").After(testkit.Set("x", 1))
	session := kit.Outbound()

	payload := phone.RoomKeyObject(desk, room, session, testkit.UnstableDeviceKeys, testkit.SharedHistory, testkit.UnstableSharedHistory)
	if payload[testkit.SenderDeviceKeys] != nil || payload[testkit.UnstableSenderDeviceKeys] == nil {
		t.Error("the device keys have the wrong name")
	}
	content := payload["content"].(map[string]any)
	if content["m.shared_history"] != true || content["org.matrix.msc3061.shared_history"] != true {
		t.Error("shared history is not set")
	}
	if !verifies(t, phone.Object(), alice.ID, "ed25519:PHONE", phone.Ed25519()) {
		t.Error("a hook before signing is not covered by the signature")
	}
	if verifies(t, desk.Object(), bob.ID, "ed25519:DESK", desk.Ed25519()) {
		t.Error("a hook after signing is covered by the signature")
	}
	answer := kit.KeysQueryObject(alice, bob)
	if len(answer["master_keys"].(map[string]any)) != 1 || len(answer["device_keys"].(map[string]any)) != 2 {
		t.Errorf("the answer has the wrong shape: %s", testkit.JSON(answer))
	}
}
