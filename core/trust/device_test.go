package trust_test

import (
	"errors"
	"strings"
	"testing"

	"knownsender/core/keys"
	"knownsender/core/signedjson"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

func parsedDevice(t testing.TB, device *testkit.Device) *trust.DeviceKeys {
	t.Helper()
	object, err := signedjson.Parse(testkit.JSON(device.Object()))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := trust.ParseDeviceKeys(object)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// Device keys by themselves, as core/sender meets them inside an Olm payload.
func TestDeviceKeys(t *testing.T) {
	kit := testkit.New(t.Name())
	alice := kit.User("@alice:example.org")
	selfSigning := ed(alice.Identity.SelfSigning.SigningKey)
	outcome := func(device *testkit.Device, by keys.Ed25519) trust.CrossSignature {
		check, outcome := parsedDevice(t, device).SignatureBy(by)
		if outcome != trust.CrossSignatureUnchecked && check.Message != nil {
			t.Error("a check that nobody needs")
		}
		return outcome.Resolve(check.Message != nil && check.Verify())
	}
	var nobody keys.Ed25519

	if got := outcome(alice.Device("A").CrossSigned(), selfSigning); got != trust.CrossSignatureValid {
		t.Errorf("scenario 34: %v", got)
	}
	if got := outcome(alice.Device("B").CorruptlyCrossSigned(), selfSigning); got != trust.CrossSignatureWrong {
		t.Errorf("scenario 26, T06: %v", got)
	}
	if got := outcome(alice.Device("C"), selfSigning); got != trust.CrossSignatureAbsent {
		t.Errorf("T06, none: %v", got)
	}
	if got := outcome(alice.Device("D").CrossSigned(), nobody); got != trust.CrossSignatureOtherKey {
		t.Errorf("signed, and the owner has no identity: %v", got)
	}
	if got := outcome(alice.Device("E"), nobody); got != trust.CrossSignatureAbsent {
		t.Errorf("unsigned, and the owner has no identity: %v", got)
	}
	// T10: a device called like the self-signing key. Its own signature stands under the very label; that is neither trust nor tampering.
	if got := outcome(alice.Device(alice.Identity.SelfSigning.Public()), selfSigning); got != trust.CrossSignatureAbsent {
		t.Errorf("T10: %v", got)
	}
	// A label without algorithm, and one that names a key which is none.
	for _, label := range []string{alice.Identity.SelfSigning.Public(), "ed25519:AAAA", "ed25519:" + strings.Repeat("A", 43)} {
		mislabelled := alice.Device("L").After(testkit.In("signatures", testkit.In(alice.ID, testkit.Set(label, "x"))))
		if got := outcome(mislabelled, nobody); got != trust.CrossSignatureAbsent {
			t.Errorf("%s: %v", label, got)
		}
	}
	old := alice.Device("F").CrossSigned()
	alice.RotateSelfSigning()
	if got := outcome(old, ed(alice.Identity.SelfSigning.SigningKey)); got != trust.CrossSignatureOtherKey {
		t.Errorf("scenario 25, T06, by a rotated key: %v", got)
	}

	// T05: one bit of the self-signature.
	spoilt := parsedDevice(t, alice.Device("G").CorruptlySelfSigned())
	if check, err := spoilt.SelfCheck(); err != nil || check.Verify() {
		t.Errorf("T05: %v", err)
	}

	object, _ := signedjson.Parse(testkit.JSON(alice.Device("H").After(testkit.Delete("keys")).Object()))
	_, err := trust.ParseDeviceKeys(object)
	var refused *trust.DeviceKeysError
	if !errors.As(err, &refused) || refused.ErrorCode() != signedjson.CodeMissingMember || refused.Member != "keys" || errors.Unwrap(refused) == nil ||
		!strings.Contains(refused.Error(), "keys") {
		t.Errorf("%v", err)
	}
	_, err = parsedDevice(t, alice.Device("I").After(testkit.Delete("signatures"))).SelfCheck()
	if !errors.As(err, &refused) || refused.Code != trust.CodeDeviceSignatureMissing || refused.Error() == "" {
		t.Errorf("%v", err)
	}
}

func TestCrossSigningKey(t *testing.T) {
	kit := testkit.New(t.Name())
	alice := kit.User("@alice:example.org")
	read := func(key *testkit.CrossSigningKey, role trust.Role) (*trust.CrossSigningKey, error) {
		object, err := signedjson.Parse(testkit.JSON(key.Object()))
		if err != nil {
			t.Fatal(err)
		}
		return trust.ParseCrossSigningKey(object, role)
	}
	for role, key := range map[trust.Role]*testkit.CrossSigningKey{
		trust.RoleMaster: alice.Identity.Master, trust.RoleSelfSigning: alice.Identity.SelfSigning, trust.RoleUserSigning: alice.Identity.UserSigning,
	} {
		parsed, err := read(key, role)
		if err != nil || parsed.Role != role || parsed.Key != ed(key.SigningKey) || string(parsed.UserID) != alice.ID || parsed.Object() == nil {
			t.Errorf("%v: %v", role, err)
		}
		for other := trust.RoleMaster; other <= trust.RoleUserSigning; other++ {
			if other == role {
				continue
			}
			_, err = read(key, other) // T11: a key counts in one role
			var refused *trust.CrossSigningKeyError
			if !errors.As(err, &refused) || refused.ErrorCode() != trust.CodeBadUsage || refused.Error() == "" || errors.Unwrap(refused) != nil {
				t.Errorf("a %v key as %v: %v", role, other, err)
			}
		}
	}
	parsed, _ := read(alice.Identity.SelfSigning, trust.RoleSelfSigning)
	check, present, err := parsed.SignatureBy(parsed.UserID, ed(alice.Identity.Master.SigningKey))
	if !present || err != nil || !check.Verify() {
		t.Errorf("signed by the master key: %v %v", present, err)
	}
	if _, present, err = parsed.SignatureBy(parsed.UserID, ed(alice.Identity.UserSigning.SigningKey)); present || err != nil {
		t.Errorf("signed by nobody else: %v %v", present, err)
	}
}

func TestWords(t *testing.T) {
	words := map[string][]string{
		"absent other_key wrong valid unchecked": {trust.CrossSignatureAbsent.String(), trust.CrossSignatureOtherKey.String(), trust.CrossSignatureWrong.String(), trust.CrossSignatureValid.String(), trust.CrossSignatureUnchecked.String()},
		"unverified violation verified":          {trust.Unverified.String(), trust.Violation.String(), trust.Verified.String()},
		"new changed removed ":                   {trust.New.String(), trust.Changed.String(), trust.Removed.String(), trust.ChangeKind(0).String()},
		" master self_signing user_signing":      {trust.Role(0).String(), trust.RoleMaster.String(), trust.RoleSelfSigning.String(), trust.RoleUserSigning.String()},
	}
	for want, got := range words {
		if strings.Join(got, " ") != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
}
