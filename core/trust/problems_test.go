package trust_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/signedjson"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

// A problemCase spoils one device or identity of an otherwise good answer, and says which problem that is.
type problemCase struct {
	name     string
	code     string
	device   bool // the spoilt thing is the device PHONE; otherwise the identity
	spoil    func(w *world, user *testkit.User, phone *testkit.Device, object map[string]any)
	replace  [2]string // in the bytes of the answer, for what encoding/json cannot write
	identity trust.Role
}

func (c *problemCase) bytes(object map[string]any) []byte {
	raw := testkit.JSON(object)
	if c.replace[0] != "" {
		if !bytes.Contains(raw, []byte(c.replace[0])) {
			panic(c.name + ": nothing to replace")
		}
		raw = bytes.Replace(raw, []byte(c.replace[0]), []byte(c.replace[1]), 1)
	}
	return raw
}

// onDevice is a spoil that works on the published device object, after it was signed.
func onDevice(hooks ...testkit.Hook) func(*world, *testkit.User, *testkit.Device, map[string]any) {
	return func(_ *world, user *testkit.User, phone *testkit.Device, object map[string]any) {
		section("device_keys", user, testkit.In(phone.ID, hooks...))(object)
	}
}

// onKey does the same on a cross-signing key.
func onKey(member string, hooks ...testkit.Hook) func(*world, *testkit.User, *testkit.Device, map[string]any) {
	return func(_ *world, user *testkit.User, _ *testkit.Device, object map[string]any) {
		section(member, user, hooks...)(object)
	}
}

// resigned publishes the device changed by hooks and signed again by itself, so that nothing but the change can be what is wrong.
func resigned(hooks ...testkit.Hook) func(*world, *testkit.User, *testkit.Device, map[string]any) {
	return func(_ *world, user *testkit.User, phone *testkit.Device, object map[string]any) {
		section("device_keys", user, testkit.In(phone.ID, append(hooks, testkit.Delete("signatures"), func(device map[string]any) {
			phone.Sign(device, user.ID, "ed25519:"+phone.ID)
		})...))(object)
	}
}

func deviceKey(algorithm string, value any) testkit.Hook {
	return testkit.In("keys", testkit.Set(algorithm+":PHONE", value))
}

func deep(levels int) any {
	var value any = "end"
	for range levels {
		value = []any{value}
	}
	return value
}

const marker = `"org.example.marker":1`

var mark = testkit.Set("org.example.marker", 1)

var problemCases = []problemCase{
	// Devices, spec 7.1.
	{name: "T09: another user id inside", code: trust.CodeDeviceUserMismatch, device: true, spoil: resigned(testkit.Set("user_id", "@mallory:example.org"))},
	{name: "T09: another device id inside", code: trust.CodeDeviceIDMismatch, device: true, spoil: resigned(testkit.Set("device_id", "OTHER"), func(device map[string]any) {
		published := device["keys"].(map[string]any)
		published["ed25519:OTHER"], published["curve25519:OTHER"] = published["ed25519:PHONE"], published["curve25519:PHONE"]
	})},
	{name: "scenario 136: bad self-signature", code: trust.CodeDeviceSignatureInvalid, device: true, spoil: func(w *world, user *testkit.User, phone *testkit.Device, object map[string]any) {
		onDevice(testkit.CorruptSignature(user.ID, "ed25519:PHONE"))(w, user, phone, object)
	}},
	{name: "T29: a self-signature no signer makes", code: trust.CodeDeviceSignatureInvalid, device: true, spoil: func(w *world, user *testkit.User, phone *testkit.Device, object map[string]any) {
		onDevice(testkit.In("signatures", testkit.In(user.ID, testkit.Set("ed25519:PHONE", testkit.Base64(make([]byte, 64))))))(w, user, phone, object)
	}},
	{name: "no self-signature", code: trust.CodeDeviceSignatureMissing, device: true, spoil: onDevice(testkit.Delete("signatures"))},
	{name: "self-signature under another label", code: trust.CodeDeviceSignatureMissing, device: true, spoil: func(_ *world, user *testkit.User, phone *testkit.Device, object map[string]any) {
		section("device_keys", user, testkit.In("PHONE", testkit.Delete("signatures"), func(device map[string]any) { phone.Sign(device, user.ID, phone.Label()) }))(object)
	}},
	{name: "signatures is not an object", code: signedjson.CodeBadSignature, device: true, spoil: onDevice(testkit.Set("signatures", "none"))},
	{name: "self-signature is not base64", code: signedjson.CodeBadSignature, device: true, spoil: func(w *world, user *testkit.User, phone *testkit.Device, object map[string]any) {
		onDevice(testkit.In("signatures", testkit.In(user.ID, testkit.Set("ed25519:PHONE", "!"))))(w, user, phone, object)
	}},
	{name: "scenario 135: the ed25519 key of a known device changes", code: trust.CodeDeviceKeyChanged, device: true, spoil: func(w *world, user *testkit.User, _ *testkit.Device, object map[string]any) {
		other := w.kit.User(user.ID).Device("PHONE")
		section("device_keys", user, testkit.Set("PHONE", other.Object()))(object)
	}},
	{name: "not an object", code: signedjson.CodeWrongType, device: true, spoil: func(_ *world, user *testkit.User, _ *testkit.Device, object map[string]any) {
		section("device_keys", user, testkit.Set("PHONE", nil))(object)
	}},
	{name: "user_id missing", code: signedjson.CodeMissingMember, device: true, spoil: resigned(testkit.Delete("user_id"))},
	{name: "device_id is a number", code: signedjson.CodeWrongType, device: true, spoil: resigned(testkit.Set("device_id", 7))},
	{name: "algorithms missing", code: signedjson.CodeMissingMember, device: true, spoil: resigned(testkit.Delete("algorithms"))},
	{name: "algorithms holds a number", code: signedjson.CodeWrongType, device: true, spoil: resigned(testkit.Set("algorithms", []any{1}))},
	{name: "keys missing", code: signedjson.CodeMissingMember, device: true, spoil: resigned(testkit.Delete("keys"))},
	{name: "scenario 39: curve25519 key missing", code: signedjson.CodeMissingMember, device: true, spoil: resigned(testkit.In("keys", testkit.Delete("curve25519:PHONE")))},
	{name: "scenario 39: ed25519 key missing", code: signedjson.CodeMissingMember, device: true, spoil: resigned(testkit.In("keys", testkit.Delete("ed25519:PHONE")))},
	{name: "T32: curve25519 key with padding", code: keys.CodeBadBase64, device: true, spoil: resigned(deviceKey("curve25519", strings.Repeat("/", 43)))},
	{name: "a key too short", code: keys.CodeBadKeyLength, device: true, spoil: resigned(deviceKey("curve25519", "AAAA"))},
	{name: "T30: curve25519 key all zero", code: keys.CodeLowOrderKey, device: true, spoil: resigned(deviceKey("curve25519", strings.Repeat("A", 43)))},
	{name: "T29: ed25519 key of low order", code: keys.CodeLowOrderKey, device: true, spoil: resigned(deviceKey("ed25519", testkit.Base64(append([]byte{1}, make([]byte, 31)...))))},
	{name: "T29: ed25519 key not canonical", code: keys.CodeNonCanonicalKey, device: true, spoil: resigned(deviceKey("ed25519", testkit.Base64(append([]byte{0xf0}, append(bytes.Repeat([]byte{0xff}, 30), 0x7f)...))))},
	{name: "dehydrated is not a boolean", code: signedjson.CodeWrongType, device: true, spoil: resigned(testkit.Set("dehydrated", "yes"))},
	{name: "T51: a case variant of a member", code: signedjson.CodeCaseVariantMember, device: true, spoil: resigned(testkit.Set("User_Id", "@mallory:example.org"))},
	{name: "T51: a case variant of a key's label", code: signedjson.CodeCaseVariantMember, device: true, spoil: resigned(testkit.In("keys", testkit.Set("ED25519:PHONE", "x")))},
	{name: "T51: a duplicate member", code: signedjson.CodeDuplicateMember, device: true, spoil: onDevice(mark), replace: [2]string{marker, `"keys":{},` + marker}},
	{name: "T51: a duplicate spelt with an escape", code: signedjson.CodeDuplicateMember, device: true, spoil: onDevice(mark), replace: [2]string{marker, `"\u0075ser_id":"@m:x",` + marker}},
	{name: "T51: bytes that are no UTF-8", code: signedjson.CodeBadUTF8, device: true, spoil: onDevice(mark), replace: [2]string{marker, `"org.example.marker":"` + "\xff" + `"`}},
	{name: "T51: half a surrogate pair", code: signedjson.CodeBadUTF8, device: true, spoil: onDevice(mark), replace: [2]string{marker, `"org.example.marker":"\ud800"`}},
	{name: "T51: not JSON inside", code: signedjson.CodeBadJSON, device: true, spoil: onDevice(mark), replace: [2]string{marker, `"org.example.marker":tru`}},
	{name: "T51: a number beyond 2^53", code: signedjson.CodeBadNumber, device: true, spoil: onDevice(mark), replace: [2]string{marker, `"org.example.marker":9007199254740993`}},
	{name: "T51: 1e400", code: signedjson.CodeBadNumber, device: true, spoil: onDevice(mark), replace: [2]string{marker, `"org.example.marker":1e400`}},
	{name: "T51: NUL in the user id", code: signedjson.CodeNULCharacter, device: true, spoil: resigned(testkit.Set("user_id", "@alice\x00:example.org"))},
	{name: "a user id that is none", code: ids.CodeBadUserID, device: true, spoil: resigned(testkit.Set("user_id", "alice"))},
	{name: "a device id that is none", code: ids.CodeBadDeviceID, device: true, spoil: resigned(testkit.Set("device_id", ""))},
	{name: "T49: 1,000 levels deep", code: signedjson.CodeTooDeep, device: true, spoil: resigned(testkit.Set("org.example.deep", deep(1000)))},
	{name: "T49: 25,000 levels deep", code: signedjson.CodeTooDeep, device: true, spoil: onDevice(mark), replace: [2]string{marker, `"x":` + strings.Repeat("[", 25_000) + strings.Repeat("]", 25_000)}},
	{name: "T49: a string of 10 MB", code: signedjson.CodeTooLarge, device: true, spoil: resigned(testkit.Set("org.example.long", strings.Repeat("x", 10<<20)))},
	{name: "T49: listed twice", code: trust.CodeDuplicateMember, device: true, spoil: onDevice(mark), replace: [2]string{`"PHONE":{`, `"PHONE":{},"PH\u004fNE":{`}},

	// Identities, spec 7.2.
	{name: "scenario 149, T11: self-signing object with usage master", code: trust.CodeBadUsage, identity: trust.RoleSelfSigning, spoil: onKey("self_signing_keys", testkit.Set("usage", []string{"master"}))},
	{name: "scenario 149, T11: two usages", code: trust.CodeBadUsage, identity: trust.RoleMaster, spoil: onKey("master_keys", testkit.Set("usage", []string{"master", "self_signing"}))},
	{name: "scenario 149, T11: no usage", code: trust.CodeBadUsage, identity: trust.RoleMaster, spoil: onKey("master_keys", testkit.Set("usage", []string{}))},
	{name: "T11: two keys", code: trust.CodeBadCrossSigningKey, identity: trust.RoleMaster, spoil: onKey("master_keys", testkit.In("keys", testkit.Set("ed25519:AAAA", "AAAA")))},
	{name: "T11: no keys", code: trust.CodeBadCrossSigningKey, identity: trust.RoleMaster, spoil: onKey("master_keys", testkit.Set("keys", map[string]any{}))},
	{name: "T11: key id is not the key", code: trust.CodeBadCrossSigningKey, identity: trust.RoleSelfSigning, spoil: func(w *world, user *testkit.User, _ *testkit.Device, object map[string]any) {
		other := w.kit.User("@other:example.org").Identity.Master
		section("self_signing_keys", user, testkit.Set("keys", map[string]any{other.Label(): user.Identity.SelfSigning.Public()}))(object)
	}},
	{name: "T11: key of another algorithm", code: trust.CodeBadCrossSigningKey, identity: trust.RoleMaster, spoil: onKey("master_keys", testkit.Set("keys", map[string]any{"x25519:AAAA": "AAAA"}))},
	{name: "T29: key of low order", code: keys.CodeLowOrderKey, identity: trust.RoleMaster, spoil: onKey("master_keys", testkit.Set("keys", map[string]any{"ed25519:" + strings.Repeat("A", 43): strings.Repeat("A", 43)}))},
	{name: "T08: another user's master key", code: trust.CodeIdentityUserMismatch, identity: trust.RoleMaster, spoil: func(w *world, user *testkit.User, _ *testkit.Device, object map[string]any) {
		mallory := w.kit.User("@mallory:example.org")
		w.me.Verifies(mallory)
		testkit.In("master_keys", testkit.Set(user.ID, mallory.Identity.Master.Object()))(object)
	}},
	{name: "T08: another user's self-signing key", code: trust.CodeIdentityUserMismatch, identity: trust.RoleSelfSigning, spoil: func(w *world, user *testkit.User, _ *testkit.Device, object map[string]any) {
		testkit.In("self_signing_keys", testkit.Set(user.ID, w.kit.User("@mallory:example.org").Identity.SelfSigning.Object()))(object)
	}},
	{name: "scenario 28: SSK not signed by MSK", code: trust.CodeIdentitySignatureMissing, identity: trust.RoleSelfSigning, spoil: onKey("self_signing_keys", testkit.Delete("signatures"))},
	{name: "SSK signed wrongly by MSK", code: trust.CodeIdentitySignatureInvalid, identity: trust.RoleSelfSigning, spoil: func(_ *world, user *testkit.User, _ *testkit.Device, object map[string]any) {
		section("self_signing_keys", user, testkit.CorruptSignature(user.ID, user.Identity.Master.Label()))(object)
	}},
	{name: "T29: SSK with a signature no signer makes", code: trust.CodeIdentitySignatureInvalid, identity: trust.RoleSelfSigning, spoil: func(_ *world, user *testkit.User, _ *testkit.Device, object map[string]any) {
		section("self_signing_keys", user, testkit.In("signatures", testkit.In(user.ID, testkit.Set(user.Identity.Master.Label(), testkit.Base64(make([]byte, 64))))))(object)
	}},
	{name: "SSK's signature is a number", code: signedjson.CodeBadSignature, identity: trust.RoleSelfSigning, spoil: func(_ *world, user *testkit.User, _ *testkit.Device, object map[string]any) {
		section("self_signing_keys", user, testkit.In("signatures", testkit.In(user.ID, testkit.Set(user.Identity.Master.Label(), 5))))(object)
	}},
	{name: "MSK without SSK", code: trust.CodeIdentityIncomplete, identity: trust.RoleSelfSigning, spoil: func(_ *world, user *testkit.User, _ *testkit.Device, object map[string]any) {
		testkit.In("self_signing_keys", testkit.Delete(user.ID))(object)
	}},
	{name: "SSK without MSK", code: trust.CodeIdentityIncomplete, identity: trust.RoleMaster, spoil: func(_ *world, user *testkit.User, _ *testkit.Device, object map[string]any) {
		testkit.In("master_keys", testkit.Delete(user.ID))(object)
	}},
	{name: "key is null", code: signedjson.CodeWrongType, identity: trust.RoleMaster, spoil: func(_ *world, user *testkit.User, _ *testkit.Device, object map[string]any) {
		testkit.In("master_keys", testkit.Set(user.ID, nil))(object)
	}},
	{name: "T51: case variant of a member of a key", code: signedjson.CodeCaseVariantMember, identity: trust.RoleMaster, spoil: onKey("master_keys", testkit.Set("Usage", []string{"self_signing"}))},
	{name: "T51: duplicate member in a key", code: signedjson.CodeDuplicateMember, identity: trust.RoleMaster, spoil: onKey("master_keys", mark), replace: [2]string{marker, `"usage":["master"],` + marker}},
	{name: "T49: key listed twice", code: trust.CodeDuplicateMember, identity: trust.RoleMaster, spoil: func(_ *world, user *testkit.User, _ *testkit.Device, object map[string]any) {},
		replace: [2]string{`"master_keys":{`, `"master_keys":{"@\u0061lice:example.org":{},`}},
}

func TestRefusedIdentityKeepsTheStoredOne(t *testing.T) {
	for _, c := range problemCases {
		if c.device {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			// Given Alice, verified, and Carol, not;
			w := verifiedWorld(t)
			alice, carol := w.user("alice"), w.user("carol")
			phone := alice.Device("PHONE").CrossSigned()
			w.me.Verifies(alice)
			w.learn(alice, carol)
			known := alice.Identity

			// when an answer brings new identities of both, Alice's spoilt,
			alice.ResetIdentity()
			carol.ResetIdentity()
			object := w.kit.KeysQueryObject(alice, carol)
			c.spoil(w, alice, phone, object)
			w.answer(c.bytes(object), 0)

			// then Alice is who she was, Carol is not, and the problem names the key.
			w.wantCodes(c.code)
			w.wantMaster(alice, known)
			w.wantStanding(alice, trust.Verified)
			w.wantCross(phone, trust.CrossSignatureValid)
			w.wantMaster(carol, carol.Identity)
			problem := w.change.Problems[0]
			if problem.UserID != ids.UserID(alice.ID) || problem.Key != c.identity || problem.DeviceID != "" {
				t.Errorf("the problem names %q %v", problem.UserID, problem.Key)
			}
		})
	}
}

func TestRefusedIdentityIsNotStored(t *testing.T) {
	for _, c := range problemCases {
		if c.device {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			w := verifiedWorld(t)
			alice := w.user("alice")
			phone := alice.Device("PHONE").CrossSigned()
			object := w.kit.KeysQueryObject(alice)
			c.spoil(w, alice, phone, object)
			w.answer(c.bytes(object), 0)
			w.wantCodes(c.code)
			if _, known := w.index.Identity(ids.UserID(alice.ID)); known {
				t.Error("the identity was accepted")
			}
			w.wantCross(phone, trust.CrossSignatureOtherKey) // never Known
			w.wantStanding(alice, trust.Unverified)
		})
	}
}

// What a person reads of an object that cannot be used: what it should have been, where it is not, and why.
func TestSentences(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&trust.DeviceKeysError{Code: "code", Member: "keys"}, "not usable device keys, `keys`: code"},
		{&trust.DeviceKeysError{Code: "code"}, "not usable device keys: code"},
		{&trust.CrossSigningKeyError{Code: "code", Member: "usage"}, "not a usable cross-signing key, `usage`: code"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestEveryCodeIsProduced: each constant Code... of errors.go is named in a test, which the tables above and the tests of the single
// operations turn into an input that produces it.
func TestEveryCodeIsProduced(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, entry := range tests {
		if strings.HasSuffix(entry.Name(), "_test.go") {
			content, err := os.ReadFile(entry.Name())
			if err != nil {
				t.Fatal(err)
			}
			text.Write(content)
		}
	}
	var seen []string
	for _, decl := range file.Decls {
		general, ok := decl.(*ast.GenDecl)
		if !ok || general.Tok != token.CONST {
			continue
		}
		for _, spec := range general.Specs {
			value := spec.(*ast.ValueSpec)
			code, err := strconv.Unquote(value.Values[0].(*ast.BasicLit).Value)
			if err != nil || slices.Contains(seen, code) {
				t.Errorf("%s: the code %q is not a code of its own", value.Names[0].Name, code)
			}
			seen = append(seen, code)
			if !strings.Contains(text.String(), "trust."+value.Names[0].Name) {
				t.Errorf("no test names %s", value.Names[0].Name)
			}
		}
	}
	if len(seen) < 25 {
		t.Errorf("only %d codes found", len(seen))
	}
}
