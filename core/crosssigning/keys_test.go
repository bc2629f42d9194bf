package crosssigning_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"knownsender/core/crosssigning"
	"knownsender/core/keys"
	"knownsender/core/trust"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func codeOf(t testing.TB, err error) string {
	t.Helper()
	var refused *crosssigning.Error
	if !errors.As(err, &refused) {
		t.Fatalf("not an *Error: %v", err)
	}
	if refused.ErrorCode() == "" || refused.Error() == "" {
		t.Fatalf("an error that says nothing: %#v", refused)
	}
	return refused.ErrorCode()
}

var allRoles = []trust.Role{trust.RoleMaster, trust.RoleSelfSigning, trust.RoleUserSigning}

// rfc8032 is the first test vector of RFC 8032, section 7.1.
const (
	rfc8032Seed   = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
	rfc8032Public = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo"
)

// Given the seed of a known key, in a set that has no other, when it is read, then its public half is the known one, and it comes out as it went in.
func TestSeedsAreThoseOfRFC8032(t *testing.T) {
	for i, export := range []crosssigning.Export{{Master: rfc8032Seed}, {SelfSigning: rfc8032Seed + "="}, {UserSigning: rfc8032Seed}} {
		k := must(crosssigning.Parse(export))
		for j, role := range allRoles {
			public, held := k.Public(role)
			if held != (i == j) || held && public.String() != rfc8032Public {
				t.Errorf("%v of %d: %v, %v", role, i, held, public)
			}
		}
		back := k.Export()
		if got := [...]string{back.Master, back.SelfSigning, back.UserSigning}; got[i] != rfc8032Seed || k.Count() != 1 {
			t.Errorf("%d is exported as something else", i)
		}
	}
}

// Given a new identity, when it is exported and stored, in whole or in part, then what is read again is the same keys.
func TestKeysComeBack(t *testing.T) {
	fresh := crosssigning.New()
	if fresh.Count() != 3 || same(fresh, crosssigning.New()) {
		t.Fatal("a new identity is not new")
	}
	for which := range 8 {
		part := fresh.Only(func(role trust.Role, _ keys.Ed25519) bool { return which&(1<<(role-1)) != 0 })
		back, err := crosssigning.ParseState(part.AppendState([]byte("x"))[1:])
		if err != nil || !same(part, back) {
			t.Errorf("%d does not come back from storage: %v", which, err)
		}
		if back, err = crosssigning.Parse(part.Export()); which == 0 {
			if codeOf(t, err) != crosssigning.CodeNoKeys {
				t.Error(err)
			}
		} else if err != nil || !same(part, back) {
			t.Errorf("%d does not come back from its export: %v", which, err)
		}
	}
	other := crosssigning.New()
	mixed := fresh.With(other.Only(func(role trust.Role, _ keys.Ed25519) bool { return role == trust.RoleMaster }))
	for _, role := range allRoles {
		of := fresh
		if role == trust.RoleMaster {
			of = other
		}
		got, _ := mixed.Public(role)
		if want, _ := of.Public(role); got != want {
			t.Errorf("%v is the wrong one", role)
		}
	}
}

func same(a, b *crosssigning.Keys) bool { return bytes.Equal(a.AppendState(nil), b.AppendState(nil)) }

func TestBadSeedsAreRefused(t *testing.T) {
	for name, seed := range map[string]string{
		"short":         rfc8032Seed[:42],
		"long":          rfc8032Seed + "AA",
		"not base64":    "!" + rfc8032Seed[1:],
		"URL base64":    strings.ReplaceAll(rfc8032Seed, "/", "_"),
		"padded twice":  rfc8032Seed + "==",
		"leftover bits": rfc8032Seed[:42] + "B",
		"white space":   " " + rfc8032Seed,
		"a megabyte":    strings.Repeat("A", 1<<20),
	} {
		k, err := crosssigning.Parse(crosssigning.Export{Master: rfc8032Seed, SelfSigning: seed})
		if k != nil || codeOf(t, err) != crosssigning.CodeBadSeed || !strings.Contains(err.Error(), "self_signing") || strings.Contains(err.Error(), seed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDamagedStatesAreRefused(t *testing.T) {
	state := crosssigning.New().AppendState(nil)
	for name, raw := range map[string][]byte{
		"empty":         nil,
		"a byte less":   state[:len(state)-1],
		"a byte more":   append(bytes.Clone(state), 0),
		"a fourth key":  append([]byte{15}, state[1:]...),
		"one key more":  append([]byte{3}, state[1:]...),
		"one key fewer": {4},
	} {
		if k, err := crosssigning.ParseState(raw); k != nil || codeOf(t, err) != crosssigning.CodeStateDamaged {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// I21: what is secret is printed by no verb, as a pointer, as a value or inside something else.
func TestI21KeysAreNotPrinted(t *testing.T) {
	k := must(crosssigning.Parse(crosssigning.Export{Master: rfc8032Seed, UserSigning: rfc8032Seed}))
	export := k.Export()
	seed := must(keys.DecodeBase64(rfc8032Seed))
	var printed strings.Builder
	for _, value := range []any{k, *k, export, &export, struct{ Keys any }{*k}, []any{k, export}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%08b"} {
			fmt.Fprintf(&printed, verb+"\n", value)
		}
		slog.New(slog.NewTextHandler(&printed, nil)).Info("log", "value", value)
		fmt.Fprintf(&printed, "%s\n", must(json.Marshal(fmt.Sprint(value))))
	}
	for _, secret := range []string{rfc8032Seed[:20], fmt.Sprintf("%x", seed[:8]), fmt.Sprintf("%X", seed[:8]), strings.Trim(fmt.Sprint(seed[:6]), "[]"), "0x"} {
		if strings.Contains(printed.String(), secret) {
			t.Errorf("%q is printed", secret)
		}
	}
	if got := fmt.Sprint(k, export); got != "[secret] [secret]" {
		t.Errorf("printed as %s", got)
	}
}
