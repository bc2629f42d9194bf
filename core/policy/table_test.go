package policy_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"knownsender/core/policy"
)

// policyJSON is core/testdata/policy.json: the table for readers that are not written in Go.
type policyJSON struct {
	About        []string    `json:"about"`
	Requirements []string    `json:"requirements"`
	Rows         []rowJSON   `json:"rows"`
	Codes        []namesJSON `json:"codes"`
	Shields      []namesJSON `json:"shields"`
	Colors       []namesJSON `json:"colors"`
}

type rowJSON struct {
	State             string          `json:"state"`
	Code              string          `json:"code"`
	VerificationState json.RawMessage `json:"verificationState"`
	Shown             map[string]bool `json:"shown"`
	Lax               shieldJSON      `json:"lax"`
	Strict            shieldJSON      `json:"strict"`
}

type shieldJSON struct {
	Color string `json:"color"`
	Code  string `json:"code"`
}

type namesJSON struct {
	Name            string `json:"name"`
	MatrixSDKCrypto string `json:"matrixSdkCrypto"`
	MatrixJSSDK     string `json:"matrixJsSdk"`
}

var about = []string{
	"What may be shown of an event, and with what warning: core/policy as data. A Go test holds the two against each other, cell by cell.",
	"rows: one for each state an event can be in. shown: by TrustRequirement. code: why it is withheld; when it is shown, what is warned of.",
	"A verdict's code is the row's code when the event is withheld or the lax shield has a colour, and empty otherwise.",
	"lax and strict: the shield beside a shown event, for clients that warn of what is wrong, or of all that is not verified.",
	"verificationState: matrix-sdk-crypto's VerificationState, null where it has none because nothing is decrypted.",
	"codes: DecryptionErrorCode (matrix-sdk-crypto; SenderNotVerified is ours) and DecryptionFailureCode (matrix-js-sdk).",
	"shields: ShieldStateCode and EventShieldReason. colors: ShieldColor and EventShieldColour.",
}

func fromTable() policyJSON {
	p := policyJSON{About: about}
	for r := range policy.TrustRequirement(policy.Requirements) {
		p.Requirements = append(p.Requirements, r.String())
	}
	names := func(list []string, lookup func(string) (policy.PeerNames, bool)) []namesJSON {
		var out []namesJSON
		for _, name := range list {
			n, _ := lookup(name)
			out = append(out, namesJSON{n.Name, n.MatrixSDKCrypto, n.MatrixJSSDK})
		}
		return out
	}
	for _, state := range policy.States() {
		withheld := policy.Lookup(state, policy.Requirements) // beyond the last requirement nothing is shown
		row := rowJSON{
			State: state.String(), Code: withheld.Code, VerificationState: state.Level().AppendJSON(nil), Shown: map[string]bool{},
			Lax:    shieldJSON{withheld.Shield.Color.String(), withheld.Shield.Code},
			Strict: shieldJSON{withheld.Strict.Color.String(), withheld.Strict.Code},
		}
		for r := range policy.TrustRequirement(policy.Requirements) {
			row.Shown[r.String()] = policy.Lookup(state, r).Shown
		}
		p.Rows = append(p.Rows, row)
	}
	p.Codes = names(codes, policy.CodeNames)
	p.Shields = names(shields, policy.ShieldNames)
	for _, color := range []policy.ShieldColor{policy.ShieldNone, policy.ShieldGrey, policy.ShieldRed} {
		p.Colors = append(p.Colors, namesJSON{color.String(), color.String(), color.JSName()})
	}
	return p
}

var codes = []string{
	policy.CodeUnverifiedIdentity, policy.CodeVerificationViolation, policy.CodeUnsignedDevice, policy.CodeUnknownDevice,
	policy.CodeAuthenticityNotGuaranteed, policy.CodeForwarderViolation, policy.CodeMismatchedSender, policy.CodeTampered, policy.CodeReplayed, policy.CodeWrongRoom,
	policy.CodeBadSender, policy.CodeWithheld, policy.CodeUnknownIndex, policy.CodeNoKey,
}

var shields = []string{
	policy.ShieldAuthenticityNotGuaranteed, policy.ShieldUnknownDevice, policy.ShieldUnsignedDevice, policy.ShieldUnverifiedIdentity,
	policy.ShieldVerificationViolation, policy.ShieldMismatchedSender,
}

// The table and core/testdata/policy.json say the same, cell by cell. KNOWNSENDER_WRITE_POLICY=1 writes the file anew.
func TestTableIsPolicyJSON(t *testing.T) {
	file := filepath.Join("..", "testdata", "policy.json")
	want := fromTable()
	if os.Getenv("KNOWNSENDER_WRITE_POLICY") != "" {
		var out bytes.Buffer
		encoder := json.NewEncoder(&out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(want); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got policyJSON
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if len(got.Rows) != len(want.Rows) || len(got.Rows) != len(policy.States()) {
		t.Fatalf("%d rows, the table has %d", len(got.Rows), len(want.Rows))
	}
	cells := 0
	for i, w := range want.Rows {
		g := got.Rows[i]
		if g.State != w.State || g.Code != w.Code || g.Lax != w.Lax || g.Strict != w.Strict {
			t.Errorf("%s: %+v, the table says %+v", w.State, g, w)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, g.VerificationState); err != nil || compact.String() != string(w.VerificationState) {
			t.Errorf("%s: %s, the table says %s", w.State, g.VerificationState, w.VerificationState)
		}
		if len(g.Shown) != policy.Requirements {
			t.Errorf("%s: %d cells", w.State, len(g.Shown))
		}
		for requirement, shown := range w.Shown {
			cells++
			if g.Shown[requirement] != shown {
				t.Errorf("%s under %s: %v, the table says %v", w.State, requirement, g.Shown[requirement], shown)
			}
		}
	}
	if cells != len(policy.States())*policy.Requirements {
		t.Errorf("%d cells were compared", cells)
	}
	for what, pair := range map[string][2][]namesJSON{"codes": {got.Codes, want.Codes}, "shields": {got.Shields, want.Shields}, "colors": {got.Colors, want.Colors}} {
		if len(pair[0]) != len(pair[1]) {
			t.Errorf("%s: %d, the table has %d", what, len(pair[0]), len(pair[1]))
			continue
		}
		for i := range pair[1] {
			if pair[0][i] != pair[1][i] {
				t.Errorf("%s: %+v, the table says %+v", what, pair[0][i], pair[1][i])
			}
		}
	}
}

// Scenario 122: requirement x state, written down a second time, by hand, in the words of the specification.
func TestPolicyMatrix(t *testing.T) {
	for state, shown := range map[string]string{ // Untrusted, CrossSignedOrLegacy, CrossSigned, Verified
		"sender_verified":        "1111",
		"sender_unverified":      "1110",
		"verification_violation": "1000", // decision 14
		"device_info":            "1000",
		"device_info_legacy":     "1100",
		"unknown_device":         "1000",
		"unknown_device_legacy":  "1100",
		"insecure_source":        "1000",
		"insecure_source_legacy": "1100",
		"forwarded":              "1100",
		"forwarder_violation":    "1000",
		"mismatched_sender":      "1000", // decision 11
		"suspended":              "0000", // decision 8
		"tampered":               "0000",
		"replayed":               "0000", // decision 13
		"wrong_room":             "0000",
		"bad_sender":             "0000",
		"withheld":               "0000",
		"unknown_index":          "0000",
		"no_key":                 "0000",
	} {
		found := false
		for _, s := range policy.States() {
			if s.String() != state {
				continue
			}
			found = true
			got := ""
			for r := range policy.TrustRequirement(policy.Requirements) {
				v := policy.Lookup(s, r)
				got += map[bool]string{true: "1", false: "0"}[v.Shown]
				if !v.Shown && v.Code == "" {
					t.Errorf("%s is withheld by %v without a reason", state, r)
				}
				if v.Shown && (v.Code == "") != (v.Shield.Color == policy.ShieldNone) {
					t.Errorf("%s under %v: code %q, shield %v", state, r, v.Code, v.Shield)
				}
				if v.State != s {
					t.Errorf("%s: the verdict is about %v", state, v.State)
				}
			}
			if got != shown {
				t.Errorf("%s: %s, want %s", state, got, shown)
			}
		}
		if !found {
			t.Errorf("there is no %s", state)
		}
	}
}

// Shields as the peers have them, lax and strict.
func TestShields(t *testing.T) {
	for state, want := range map[policy.State][2]policy.Shield{
		policy.StateSenderVerified:        {},
		policy.StateSenderUnverified:      {{}, {Color: policy.ShieldRed, Code: "UnverifiedIdentity"}},
		policy.StateVerificationViolation: {{Color: policy.ShieldRed, Code: "VerificationViolation"}, {Color: policy.ShieldRed, Code: "UnverifiedIdentity"}},
		policy.StateDeviceInfo:            {{Color: policy.ShieldRed, Code: "UnsignedDevice"}, {Color: policy.ShieldRed, Code: "UnverifiedIdentity"}},
		policy.StateUnknownDevice:         {{Color: policy.ShieldRed, Code: "UnknownDevice"}, {Color: policy.ShieldRed, Code: "UnknownDevice"}},
		policy.StateInsecureSource:        {{Color: policy.ShieldGrey, Code: "AuthenticityNotGuaranteed"}, {Color: policy.ShieldRed, Code: "AuthenticityNotGuaranteed"}},
		policy.StateInsecureSourceLegacy:  {{Color: policy.ShieldGrey, Code: "AuthenticityNotGuaranteed"}, {Color: policy.ShieldRed, Code: "AuthenticityNotGuaranteed"}},
		policy.StateDeviceInfoLegacy:      {{Color: policy.ShieldGrey, Code: "AuthenticityNotGuaranteed"}, {Color: policy.ShieldRed, Code: "UnverifiedIdentity"}},
		policy.StateUnknownDeviceLegacy:   {{Color: policy.ShieldGrey, Code: "AuthenticityNotGuaranteed"}, {Color: policy.ShieldRed, Code: "UnknownDevice"}},
		policy.StateMismatchedSender:      {{Color: policy.ShieldRed, Code: "MismatchedSender"}, {Color: policy.ShieldRed, Code: "MismatchedSender"}},
	} {
		v := policy.Lookup(state, policy.Untrusted)
		if v.Shield != want[0] || v.Strict != want[1] {
			t.Errorf("%v: %+v and %+v", state, v.Shield, v.Strict)
		}
		for _, shield := range want {
			if _, ok := policy.ShieldNames(shield.Code); ok != (shield.Code != "") {
				t.Errorf("%q has no names", shield.Code)
			}
		}
	}
	for _, state := range policy.States() {
		for r := range policy.TrustRequirement(policy.Requirements) {
			if code := policy.Lookup(state, r).Code; code != "" {
				if names, ok := policy.CodeNames(code); !ok || names.MatrixSDKCrypto == "" || names.MatrixJSSDK == "" {
					t.Errorf("%q has no names", code)
				}
			}
		}
	}
	if _, ok := policy.CodeNames("?"); ok {
		t.Error("everything has names")
	}
}

func TestRequirementNames(t *testing.T) {
	for r := range policy.TrustRequirement(policy.Requirements) {
		if got, ok := policy.ParseTrustRequirement(r.String()); !ok || got != r {
			t.Errorf("%v", r)
		}
	}
	if _, ok := policy.ParseTrustRequirement("Everything"); ok {
		t.Error("an unknown requirement was accepted")
	}
	// A requirement that does not exist shows nothing, rather than everything.
	for _, state := range policy.States() {
		if policy.Lookup(state, 9).Shown {
			t.Errorf("%v is shown under requirement 9", state)
		}
	}
}

// Scenario 129: states, levels and problems, and their earlier spellings.
func TestVerificationStateNames(t *testing.T) {
	for _, story := range []struct {
		json  string
		level policy.Level
		exact bool
	}{
		{`"Verified"`, policy.LevelVerified, true},
		{`"Trusted"`, policy.LevelVerified, false},
		{`"Untrusted"`, policy.LevelUnsignedDevice, false},
		{`"UnknownDevice"`, policy.LevelMissingDevice, false},
		{`{"Unverified":"UnverifiedIdentity"}`, policy.LevelUnverifiedIdentity, true},
		{`{"Unverified":"VerificationViolation"}`, policy.LevelVerificationViolation, true},
		{`{"Unverified":"PreviouslyVerified"}`, policy.LevelVerificationViolation, false},
		{`{"Unverified":"UnsignedDevice"}`, policy.LevelUnsignedDevice, true},
		{`{"Unverified":"MismatchedSender"}`, policy.LevelMismatchedSender, true},
		{`{"Unverified":{"None":"MissingDevice"}}`, policy.LevelMissingDevice, true},
		{`{"Unverified":{"None":"InsecureSource"}}`, policy.LevelInsecureSource, true},
	} {
		level, err := policy.ParseVerificationState([]byte(story.json))
		if err != nil || level != story.level {
			t.Errorf("%s: %v, %v", story.json, level, err)
		}
		if written := string(level.AppendJSON(nil)); story.exact && written != story.json {
			t.Errorf("%s is written as %s", story.json, written)
		}
	}
	for _, bad := range []string{``, `null`, `"Perhaps"`, `7`, `{}`, `{"Unverified":"Perhaps"}`, `{"Unverified":7}`, `{"Unverified":{}}`,
		`{"Unverified":{"None":"Perhaps"}}`, `{"Unverified":{"None":7}}`, `{"Verified":"UnsignedDevice"}`, `{"Unverified":"UnsignedDevice","x":1}`, `"Verified`} {
		level, err := policy.ParseVerificationState([]byte(bad))
		coded, ok := err.(interface{ ErrorCode() string })
		if level != policy.LevelNone || !ok || coded.ErrorCode() != policy.CodeBadVerificationState || err.Error() == "" {
			t.Errorf("%s: %v, %v", bad, level, err)
		}
	}
	if got := string(policy.LevelNone.AppendJSON(nil)); got != "null" {
		t.Error(got)
	}
}
