package crosssigning_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"testing"

	"knownsender/core/crosssigning"
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/signedjson"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

const (
	me    = ids.UserID("@me:example.org")
	alice = ids.UserID("@alice:example.org")
)

// device is a signer that is a device of ours.
func device() crosssigning.Signer {
	private := ed25519.NewKeyFromSeed(make([]byte, 32))
	return crosssigning.Signer{KeyID: "ed25519:MYDEVICE", Sign: func(m []byte) keys.Signature { return keys.Signature(ed25519.Sign(private, m)) }}
}

// Given the seed and the objects of the specification's examples ("Signing JSON", test vectors), when they are signed, then with the signatures that
// stand there.
func TestSignaturesAreThoseOfTheSpecification(t *testing.T) {
	seed := must(base64.RawStdEncoding.DecodeString("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1")) // its last symbol has bits to spare, so it is not a seed as we take it
	k := must(crosssigning.Parse(crosssigning.Export{Master: string(keys.EncodeBase64(nil, seed))}))
	signer := must(k.Signer(trust.RoleMaster))
	for object, want := range map[string]string{
		`{}`: "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ",
		`{"two":"Two","one":1,"unsigned":{"age":1}}`: "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw",
	} {
		raw := must(crosssigning.Sign(must(signedjson.Parse([]byte(object))), "@domain:example.org", signer))
		signature, presence, err := must(signedjson.Parse(raw)).Signature("@domain:example.org", signer.KeyID)
		if err != nil || presence != signedjson.Present || signature.String() != want {
			t.Errorf("%s is signed as %s", object, raw)
		}
	}
}

// answer is an answer to /keys/query.
func answer(t testing.TB, members map[string]map[ids.UserID]json.RawMessage) *trust.Answer {
	t.Helper()
	return must(trust.ParseAnswer(must(json.Marshal(members)), trust.DefaultLimits))
}

// learn takes an answer over, in which nothing may be wrong.
func learn(t testing.TB, x *trust.Index, stored map[ids.UserID]*trust.UserRecord, a *trust.Answer) {
	t.Helper()
	application := must(x.Prepare(a, 0, stored))
	change := application.Finish(keys.VerifyAll(application.Checks))
	if len(change.Problems) > 0 {
		t.Fatalf("what we made is refused: %+v", change.Problems)
	}
	for user, row := range change.Records {
		stored[user] = row
	}
	x.Apply(change)
}

// Given a new identity of ours, when others are told of it, then core/trust accepts all of it, our device that it signed is cross-signed, and Alice,
// whose master key it signed, is verified once the identity is ours.
func TestWhatIsPublishedIsTrusted(t *testing.T) {
	kit := testkit.New(t.Name())
	mine := kit.User(string(me))
	phone := mine.Device("PHONE").Named("my phone").Before(testkit.Set("unknown member", []int{1, 2}))
	hers := kit.User(string(alice))
	k := crosssigning.New()
	published := must(k.Publish(me, device()))
	selfSigning, userSigning := must(k.Signer(trust.RoleSelfSigning)), must(k.Signer(trust.RoleUserSigning))

	raw := testkit.JSON(phone.Object())
	signed := must(crosssigning.Sign(must(signedjson.Parse(raw)), me, selfSigning))
	merged := merge(t, raw, signed)
	theirs := testkit.JSON(hers.Identity.Master.Object())
	verified := merge(t, theirs, must(crosssigning.Sign(must(signedjson.Parse(theirs)), me, userSigning)))

	x, stored := trust.NewIndex(trust.Own{UserID: me, DeviceID: "MYDEVICE"}), map[ids.UserID]*trust.UserRecord{}
	learn(t, x, stored, answer(t, map[string]map[ids.UserID]json.RawMessage{
		"device_keys":       {me: must(json.Marshal(map[string]json.RawMessage{"PHONE": merged, "MYDEVICE": testkit.JSON(mineIs(t, x, mine))}))},
		"master_keys":       {me: published.Master, alice: verified},
		"self_signing_keys": {me: published.SelfSigning, alice: testkit.JSON(hers.Identity.SelfSigning.Object())},
		"user_signing_keys": {me: published.UserSigning},
	}))
	identity, known := x.Identity(me)
	for role, got := range map[trust.Role]keys.Ed25519{trust.RoleMaster: identity.Master, trust.RoleSelfSigning: identity.SelfSigning, trust.RoleUserSigning: identity.UserSigning} {
		if want, _ := k.Public(role); !known || got != want {
			t.Errorf("%v is known as %v", role, got)
		}
	}
	if d, _ := x.Device(me, "PHONE"); d.CrossSigned != trust.CrossSignatureValid {
		t.Errorf("the device's cross-signature is %v", d.CrossSigned)
	}
	change := must(x.TrustOwnIdentity(identity.Master, stored))
	x.Apply(change)
	if got := x.Verification(alice); got != trust.Verified {
		t.Errorf("alice is %v", got)
	}
	master := must(trust.ParseCrossSigningKey(must(signedjson.Parse(published.Master)), trust.RoleMaster))
	if _, present, err := master.Object().Signature(me, "ed25519:MYDEVICE"); err != nil || present != signedjson.Present {
		t.Error("the device did not sign the master key")
	}
}

// mineIs makes a device of the user the index's own.
func mineIs(t testing.TB, x *trust.Index, user *testkit.User) map[string]any {
	t.Helper()
	d := user.Device("MYDEVICE")
	own := x.Own()
	own.Ed25519, own.Curve25519 = must(keys.ParseEd25519(d.Ed25519())), must(keys.ParseCurve25519(d.Curve25519()))
	*x = *trust.NewIndex(own)
	return d.Object()
}

// merge is the object as received with the signatures of signed beside its own, as a server puts them together.
func merge(t testing.TB, raw, signed []byte) []byte {
	t.Helper()
	var whole, more map[string]any
	if json.Unmarshal(raw, &whole) != nil || json.Unmarshal(signed, &more) != nil {
		t.Fatal("not JSON")
	}
	for user, signatures := range more["signatures"].(map[string]any) {
		all, _ := whole["signatures"].(map[string]any)
		of, _ := all[user].(map[string]any)
		if of == nil {
			of = map[string]any{}
		}
		for label, signature := range signatures.(map[string]any) {
			of[label] = signature
		}
		if all == nil {
			all = map[string]any{}
			whole["signatures"] = all
		}
		all[user] = of
	}
	return testkit.JSON(whole)
}

func TestWhatCannotBeSigned(t *testing.T) {
	k := crosssigning.New()
	none := k.Only(func(role trust.Role, _ keys.Ed25519) bool { return role != trust.RoleUserSigning })
	if _, err := none.Signer(trust.RoleUserSigning); codeOf(t, err) != crosssigning.CodeMissingKey {
		t.Error(err)
	}
	if _, err := k.Signer(0); codeOf(t, err) != crosssigning.CodeMissingKey {
		t.Error(err)
	}
	if _, err := none.Publish(me, device()); codeOf(t, err) != crosssigning.CodeMissingKey {
		t.Error(err)
	}
	object := must(signedjson.Parse([]byte(`{"a":1.5}`)))
	if _, err := crosssigning.Sign(object, me, must(k.Signer(trust.RoleMaster))); codeOf(t, err) != crosssigning.CodeNotSignable {
		t.Error(err)
	}
}
