package keys_test

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"errors"
	"os"
	"strings"
	"testing"

	"filippo.io/edwards25519"

	"knownsender/core/keys"
)

// code is the code of a refusal, "" for none; anything but an *Error is told by its text.
func code(err error) string {
	var refused *keys.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refused):
		if refused.Error() == "" || refused.Error() == refused.Code {
			return "no sentence for " + refused.Code
		}
		return refused.ErrorCode()
	}
	return err.Error()
}

func encode(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }

// A genuine key of each kind, as recorded.
const (
	genuineCurve25519 = "hv4h+eFrL4w/VOTelaVzyWF+vAA/vgHaAa48JSFO1QA"
	genuineEd25519    = "Bv2w5Q6+UXMzXnoO+AOvHVLmaa8rZdghOdFjn/oJWv0"
	genuineSignature  = "PVPiNmcFv+CAJvUQ4fa6/Xdu04GkY5NAx8q/er+9De/lEQdAci5dL6Ec+mQEfXHDJMnnTEXWBedJ2QCsNlIgCQ"
)

func TestGenuineKeysComeBackAsTheyWere(t *testing.T) {
	if key, err := keys.ParseCurve25519(genuineCurve25519); err != nil || key.String() != genuineCurve25519 {
		t.Errorf("curve25519: %s, %v", key, err)
	}
	if key, err := keys.ParseEd25519(genuineEd25519); err != nil || key.String() != genuineEd25519 {
		t.Errorf("ed25519: %s, %v", key, err)
	}
	if signature, err := keys.ParseSignature(genuineSignature); err != nil || signature.String() != genuineSignature {
		t.Errorf("signature: %s, %v", signature, err)
	}
}

// T32: a key or signature has one spelling.
func TestMalformedTextIsRefused(t *testing.T) {
	parsers := map[string]struct {
		parse   func(string) error
		genuine string
		length  string
	}{
		"curve25519": {func(s string) error { _, err := keys.ParseCurve25519(s); return err }, genuineCurve25519, keys.CodeBadKeyLength},
		"ed25519":    {func(s string) error { _, err := keys.ParseEd25519(s); return err }, genuineEd25519, keys.CodeBadKeyLength},
		"signature":  {func(s string) error { _, err := keys.ParseSignature(s); return err }, genuineSignature, keys.CodeBadSignatureLength},
	}
	for name, p := range parsers {
		size := len(p.genuine) * 3 / 4
		for text, want := range map[string]string{
			p.genuine[:len(p.genuine)-1] + "B":                      keys.CodeBadBase64, // spare bits
			p.genuine[:len(p.genuine)-1] + "=":                      keys.CodeBadBase64,
			p.genuine[:len(p.genuine)-1] + "\n":                     keys.CodeBadBase64,
			p.genuine[:5] + "\r" + p.genuine[6:]:                    keys.CodeBadBase64,
			p.genuine[:5] + "-" + p.genuine[6:]:                     keys.CodeBadBase64,
			p.genuine + strings.Repeat("A", (5-len(p.genuine)%4)%4): keys.CodeBadBase64, // 4n + 1 symbols
			"":                           p.length,
			encode(make([]byte, size-1)): p.length,
			encode(make([]byte, size+1)): p.length,
			encode(make([]byte, 100000)): p.length,
			p.genuine + p.genuine + p.genuine + p.genuine: p.length,
		} {
			if err := p.parse(text); code(err) != want {
				t.Errorf("%s: %.90q gave %v, want %s", name, text, err, want)
			}
		}
	}
}

// torsion is the eight points whose order divides 8, as multiples of one of order 8.
func torsion(t *testing.T) []*edwards25519.Point {
	generator := decodePoint(t, "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
	point := edwards25519.NewIdentityPoint()
	var points []*edwards25519.Point
	for range 8 {
		points = append(points, new(edwards25519.Point).Set(point))
		point.Add(point, generator)
	}
	if point.Equal(edwards25519.NewIdentityPoint()) != 1 || points[4].Equal(points[0]) == 1 {
		t.Fatal("the generator is not of order 8")
	}
	return points
}

// encodings is every way a lenient decoder would accept to write point: y or y + p, and either sign when x is zero.
func encodings(t *testing.T, point *edwards25519.Point) [][32]byte {
	var list [][32]byte
	canonical := [32]byte(point.Bytes())
	ys := [][32]byte{canonical}
	if rest := canonical; rest[31]&0x7f == 0 && bytes.Equal(rest[1:31], make([]byte, 30)) && rest[0] < 19 {
		plus := bytes.Repeat([]byte{0xff}, 32) // p + y for y < 19
		plus[0], plus[31] = 0xed+rest[0], 0x7f|canonical[31]
		ys = append(ys, [32]byte(plus))
	}
	for _, y := range ys {
		for _, sign := range []byte{0, 0x80} {
			other := y
			other[31] ^= sign
			if decoded, err := new(edwards25519.Point).SetBytes(other[:]); err == nil && decoded.Equal(point) == 1 {
				list = append(list, other)
			}
		}
	}
	return list
}

// T29: every encoding of every point of low order is refused as a key, and no others are in the table.
func TestLowOrderEd25519Keys(t *testing.T) {
	count := 0
	for _, point := range torsion(t) {
		for _, encoded := range encodings(t, point) {
			count++
			if _, err := keys.ParseEd25519(encode(encoded[:])); code(err) != keys.CodeLowOrderKey {
				t.Errorf("%x gave %v", encoded, err)
			}
		}
	}
	if table := keys.LowOrderPoints(); count != 14 || len(table) != count {
		t.Errorf("%d encodings found, the table has %d", count, len(table))
	}
	for _, encoded := range keys.LowOrderPoints() {
		point, err := new(edwards25519.Point).SetBytes(encoded[:])
		if err != nil || new(edwards25519.Point).MultByCofactor(point).Equal(edwards25519.NewIdentityPoint()) != 1 {
			t.Errorf("%x is in the table but not of low order", encoded)
		}
	}
}

// T29: y and y + p are one key with two names.
func TestNonCanonicalEd25519Keys(t *testing.T) {
	for low := 0xed; low <= 0xff; low++ {
		for _, high := range []byte{0x7f, 0xff} {
			encoded := bytes.Repeat([]byte{0xff}, 32)
			encoded[0], encoded[31] = byte(low), high
			want := keys.CodeNonCanonicalKey
			if low <= 0xee {
				want = keys.CodeLowOrderKey
			}
			if _, err := keys.ParseEd25519(encode(encoded)); code(err) != want {
				t.Errorf("%x gave %v", encoded, err)
			}
		}
	}
	largest := bytes.Repeat([]byte{0xff}, 32) // p - 2
	largest[0], largest[31] = 0xeb, 0x7f
	if _, err := keys.ParseEd25519(encode(largest)); err != nil {
		t.Errorf("%x gave %v", largest, err)
	}
}

// T30: keys with which every agreement gives the same secret. The table is compared with what the Go library finds out by computing, and
// with the points of low order of the other form of the curve.
func TestLowOrderCurve25519Keys(t *testing.T) {
	secret, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	table := map[[32]byte]bool{}
	for _, u := range keys.LowOrderCoordinates() {
		table[u] = true
		for _, topmost := range []byte{0, 0x80} {
			encoded := u
			encoded[31] |= topmost
			public, err := ecdh.X25519().NewPublicKey(encoded[:])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := secret.ECDH(public); err == nil {
				t.Errorf("%x is in the table, but the agreement is not all zero", encoded)
			}
			if _, err := keys.ParseCurve25519(encode(encoded[:])); code(err) != keys.CodeLowOrderKey {
				t.Errorf("%x gave %v", encoded, err)
			}
		}
	}
	for _, point := range torsion(t) {
		if u := [32]byte(point.BytesMontgomery()); !table[u] {
			t.Errorf("%x is of low order and not in the table", u)
		}
	}
}

// T30, T32: X25519 reduces u modulo p and ignores the topmost bit; a key has one spelling nevertheless.
func TestNonCanonicalCurve25519Keys(t *testing.T) {
	genuine, _ := base64.RawStdEncoding.DecodeString(genuineCurve25519)
	genuine[31] |= 0x80
	nine := bytes.Repeat([]byte{0xff}, 32) // p + 9, the base point
	nine[0], nine[31] = 0xed+9, 0x7f
	for _, encoded := range [][]byte{genuine, nine} {
		if _, err := keys.ParseCurve25519(encode(encoded)); code(err) != keys.CodeNonCanonicalKey {
			t.Errorf("%x gave %v", encoded, err)
		}
	}
}

// decodePoint reads a point that is known to be one.
func decodePoint(t *testing.T, digits string) *edwards25519.Point {
	t.Helper()
	point, err := new(edwards25519.Point).SetBytes(unhex(t, digits))
	if err != nil {
		t.Fatal(err)
	}
	return point
}

// A fuzz test whose seeds are gone passes all the same: this one does not.
func TestFuzzCorporaAreThere(t *testing.T) {
	for _, name := range []string{"FuzzBase64", "FuzzCheckStrict"} {
		if entries, err := os.ReadDir("testdata/fuzz/" + name); err != nil || len(entries) < 8 {
			t.Errorf("%s: %d seeds, %v", name, len(entries), err)
		}
	}
}
