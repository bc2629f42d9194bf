package keys_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"os"
	"slices"
	"testing"

	"filippo.io/edwards25519"

	"knownsender/core/keys"
)

func unhex(t *testing.T, digits string) []byte {
	t.Helper()
	decoded, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

// T29: the vectors of filippo.io/mostly-harmless/ed25519vectors, which combine every kind of A and R that libraries disagree on. All of
// them satisfy the equation with cofactor.
//
// What a strict verifier without cofactor gives: low order or a second spelling of A or R is refused by Strict; a low-order residue, left
// over when R and [k]A have parts of low order that do not cancel, is refused by the equation. A mere component of low order is no reason
// to refuse: parts that cancel satisfy the equation, and dalek's verify_strict accepts them as we do. To find them would cost a second
// scalar multiplication and gain nothing: only the holder of the key can make them.
func TestEd25519Vectors(t *testing.T) {
	file, err := os.ReadFile("../testdata/ed25519vectors/ed25519vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		A, R, S, M string
		Flags      []string
	}
	if err := json.Unmarshal(file, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) != 768 {
		t.Fatalf("%d vectors, expected 768", len(vectors))
	}
	var accepted, strict, standard int
	for i, v := range vectors {
		has := func(flags ...string) bool {
			return slices.ContainsFunc(flags, func(flag string) bool { return slices.Contains(v.Flags, flag) })
		}
		check := keys.Check{
			Key:       keys.Ed25519(unhex(t, v.A)),
			Signature: keys.Signature(append(unhex(t, v.R), unhex(t, v.S)...)),
			Message:   []byte(v.M),
		}
		wantStrict := !has("LowOrderA", "LowOrderR", "NonCanonicalA", "NonCanonicalR")
		if got := check.Strict(); got != wantStrict {
			t.Errorf("#%d %v: Strict %v", i, v.Flags, got)
		}
		if got, want := check.Verify(), wantStrict && !has("LowOrderResidue"); got != want {
			t.Errorf("#%d %v: Verify %v", i, v.Flags, got)
		}
		if check.Strict() {
			strict++
		}
		if check.Verify() {
			accepted++
		}
		if ed25519.Verify(check.Key[:], check.Message, check.Signature[:]) {
			standard++
		}
	}
	// The numbers themselves, so that a change of the file or of the Go library is noticed.
	if accepted != 43 || strict != 106 || standard != 198 {
		t.Errorf("accepted %d (strict by bytes %d), the Go library alone %d", accepted, strict, standard)
	}
}

// genuine is a question to which the answer is yes.
func genuine(message string) keys.Check {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{29}, 32))
	return keys.Check{
		Key:       keys.Ed25519(private.Public().(ed25519.PublicKey)),
		Signature: keys.Signature(ed25519.Sign(private, []byte(message))),
		Message:   []byte(message),
	}
}

// order is the prime order of the group.
func order() *big.Int {
	l, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	return l
}

// withS replaces the scalar of a signature.
func withS(c keys.Check, s *big.Int) keys.Check {
	s.FillBytes(c.Signature[32:])
	slices.Reverse(c.Signature[32:])
	return c
}

// T29: S and S + order are the same number to the arithmetic, and two signatures to everybody else.
func TestSBelowTheOrder(t *testing.T) {
	check := genuine("hello")
	little := slices.Clone(check.Signature[32:])
	slices.Reverse(little)
	s := new(big.Int).SetBytes(little)
	for name, c := range map[string]struct {
		s      *big.Int
		strict bool
	}{
		"as signed":            {s, true},
		"zero":                 {big.NewInt(0), true},
		"order - 1":            {new(big.Int).Sub(order(), big.NewInt(1)), true},
		"order":                {order(), false},
		"order + 1":            {new(big.Int).Add(order(), big.NewInt(1)), false},
		"as signed + order":    {new(big.Int).Add(s, order()), false},
		"2^253":                {new(big.Int).Lsh(big.NewInt(1), 253), false},
		"2^256 - 1":            {new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)), false},
		"order's second word":  {new(big.Int).Add(order(), new(big.Int).Lsh(big.NewInt(1), 64)), false},
		"order - second word":  {new(big.Int).Sub(order(), new(big.Int).Lsh(big.NewInt(1), 64)), true},
		"2^252, third word up": {new(big.Int).Add(order(), new(big.Int).Lsh(big.NewInt(1), 128)), false},
	} {
		changed := withS(check, c.s)
		if got := changed.Strict(); got != c.strict {
			t.Errorf("%s: Strict %v", name, got)
		}
		if got := changed.Verify(); got != (name == "as signed") {
			t.Errorf("%s: Verify %v", name, got)
		}
	}
}

// Given a genuine signature, when one bit of key, signature or message changes, then it does not verify.
func TestEveryBitCounts(t *testing.T) {
	check := genuine("m")
	if !check.Verify() {
		t.Fatal("the genuine signature is refused")
	}
	for bit := range 8 {
		for i := range check.Key {
			changed := check
			changed.Key[i] ^= 1 << bit
			if changed.Verify() {
				t.Errorf("key, byte %d bit %d", i, bit)
			}
		}
		for i := range check.Signature {
			changed := check
			changed.Signature[i] ^= 1 << bit
			if changed.Verify() {
				t.Errorf("signature, byte %d bit %d", i, bit)
			}
		}
		changed := check
		changed.Message = []byte{'m' ^ 1<<bit}
		if changed.Verify() {
			t.Errorf("message, bit %d", bit)
		}
	}
}

// Given questions with different answers, when they are asked together, then each gets its own, in order; an empty list is no special case.
func TestAnswersComeOneByOne(t *testing.T) {
	wrong, lowOrder := genuine("two"), genuine("three")
	wrong.Message = []byte("zwei")
	lowOrder.Key = keys.Ed25519{1}
	checks := []keys.Check{genuine("one"), wrong, lowOrder, genuine("four")}
	want := []bool{true, false, false, true}

	var verifier keys.Verifier = keys.Go{}
	got, err := verifier.Verify(context.Background(), checks)
	if err != nil || !slices.Equal(got, want) || !slices.Equal(keys.VerifyAll(checks), want) {
		t.Errorf("got %v, %v and %v", got, err, keys.VerifyAll(checks))
	}
	if got, err := verifier.Verify(context.Background(), nil); err != nil || len(got) != 0 || len(keys.VerifyAll(nil)) != 0 {
		t.Errorf("nothing asked: %v, %v", got, err)
	}
	stopped, stop := context.WithCancel(context.Background())
	stop()
	if got, err := verifier.Verify(stopped, checks); err != context.Canceled || got != nil {
		t.Errorf("when stopped: %v, %v", got, err)
	}
}

// FuzzCheckStrict compares Strict, which looks at bytes, with what arithmetic says of the same points and scalar.
func FuzzCheckStrict(f *testing.F) {
	f.Fuzz(func(t *testing.T, key, signature, message []byte) {
		if len(key) != 32 || len(signature) != 64 {
			return
		}
		check := keys.Check{Key: keys.Ed25519(key), Signature: keys.Signature(signature), Message: message}
		if check.Verify() && !(check.Strict() && ed25519.Verify(key, message, signature)) {
			t.Fatal("Verify is weaker than its parts")
		}
		want := canonicalAndNotLowOrder(key) && canonicalAndNotLowOrder(signature[:32])
		if _, err := edwards25519.NewScalar().SetCanonicalBytes(signature[32:]); err != nil {
			want = false
		}
		// What is no point at all has no spelling to be wrong: Strict may hold, Verify may not.
		if check.Strict() != want && isPoint(key) && isPoint(signature[:32]) {
			t.Fatalf("Strict %v, arithmetic says %v", check.Strict(), want)
		}
		if check.Verify() && !(isPoint(key) && isPoint(signature[:32])) {
			t.Fatal("verified with what is no point")
		}
		_, err := keys.ParseEd25519(encode(key))
		if isPoint(key) && (err == nil) != canonicalAndNotLowOrder(key) {
			t.Fatalf("ParseEd25519: %v", err)
		}
	})
}

func isPoint(encoded []byte) bool {
	_, err := new(edwards25519.Point).SetBytes(encoded)
	return err == nil
}

func canonicalAndNotLowOrder(encoded []byte) bool {
	point, err := new(edwards25519.Point).SetBytes(encoded)
	return err == nil && bytes.Equal(point.Bytes(), encoded) &&
		new(edwards25519.Point).MultByCofactor(point).Equal(edwards25519.NewIdentityPoint()) != 1
}

func BenchmarkStrict(b *testing.B) {
	check := genuine("hello")
	for b.Loop() {
		if !check.Strict() {
			b.Fatal("refused")
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	check := genuine("hello")
	for b.Loop() {
		if !check.Verify() {
			b.Fatal("refused")
		}
	}
}

func BenchmarkParseEd25519(b *testing.B) {
	for b.Loop() {
		if _, err := keys.ParseEd25519(genuineEd25519); err != nil {
			b.Fatal(err)
		}
	}
}
