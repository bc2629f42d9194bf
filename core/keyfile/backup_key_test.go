package keyfile_test

import (
	"bytes"
	"io"
	"math/big"
	"strings"
	"testing"

	"knownsender/core/keyfile"
	"knownsender/core/testkit"
)

const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// base58 is the textbook's way, with numbers of any size.
func base58(raw []byte) string {
	number, base, digit := new(big.Int).SetBytes(raw), big.NewInt(58), new(big.Int)
	var text []byte
	for number.Sign() > 0 {
		number.DivMod(number, base, digit)
		text = append([]byte{alphabet[digit.Int64()]}, text...)
	}
	return string(text)
}

func grouped(text string) string {
	var groups []string
	for ; len(text) > 4; text = text[4:] {
		groups = append(groups, text[:4])
	}
	return strings.Join(append(groups, text), " ")
}

// recoveryOf is the recovery key of 32 bytes by way of the textbook.
func recoveryOf(key []byte) string {
	raw := append([]byte{0x8b, 0x01}, key...)
	parity := byte(0)
	for _, b := range raw {
		parity ^= b
	}
	return grouped(base58(append(raw, parity)))
}

// Every spelling of a key is read and written, at the ends of what there is and at random.
func TestRecoveryKeys(t *testing.T) {
	random := testkit.New(t.Name()).Random()
	for i := range 300 {
		raw := make([]byte, 32)
		switch i {
		case 0:
		case 1:
			raw = bytes.Repeat([]byte{255}, 32)
		default:
			if _, err := io.ReadFull(random, raw); err != nil {
				t.Fatal(err)
			}
		}
		key, err := keyfile.ParseBackupKey(testkit.Base64(raw))
		if err != nil {
			t.Fatal(err)
		}
		text := key.RecoveryKey()
		if text != recoveryOf(raw) {
			t.Fatalf("%x: %s, not %s", raw, text, recoveryOf(raw))
		}
		for _, spelled := range []string{text, strings.ReplaceAll(text, " ", ""), " \n" + strings.ReplaceAll(text, " ", "\t\r\n") + " "} {
			if back, err := keyfile.ParseRecoveryKey(spelled); err != nil || back.Base64() != testkit.Base64(raw) {
				t.Fatalf("%x: %v", raw, err)
			}
		}
	}
}

func TestTextsThatAreNoRecoveryKey(t *testing.T) {
	raw := bytes.Repeat([]byte{7}, 32)
	text := strings.ReplaceAll(recoveryOf(raw), " ", "")
	around := func(first, second, parity byte) string {
		return base58(append(append([]byte{first, second}, raw...), parity))
	}
	for reason, texts := range map[string][]string{
		"bad_length": {"", text[1:], text + "1", "1" + text, strings.Repeat(text, 100), "correct horse battery staple"},
		"bad_base58": {"0" + text[1:], text[:47] + "O", "I" + text[1:], "l" + text[1:], text[:20] + "-" + text[21:], text[:46] + "é", strings.Repeat("z", 48), "\x00" + text[1:]},
		"bad_prefix": {strings.Repeat("1", 48), around(0x8b, 0x02, 0x89), around(0x8c, 0x01, 0x8d), around(0x8b, 0x00, 0x8b)},
		"bad_parity": {around(0x8b, 0x01, 0), around(0x8b, 0x01, 0x8b)},
	} {
		for _, text := range texts {
			_, err := keyfile.ParseRecoveryKey(text)
			if refusal := refused[*keyfile.BackupError](t, err, keyfile.CodeBadRecoveryKey); refusal != nil && refusal.Reason != reason {
				t.Errorf("%q: %s, not %s", text, refusal.Reason, reason)
			}
		}
	}
	// One symbol written wrongly is found out nearly always, and never does harm.
	found := 0
	for i := range text {
		for _, c := range alphabet {
			bad := text[:i] + string(c) + text[i+1:]
			if _, err := keyfile.ParseRecoveryKey(bad); err != nil {
				found++
			} else if bad != text {
				if back, _ := keyfile.ParseRecoveryKey(bad); strings.ReplaceAll(back.RecoveryKey(), " ", "") != bad {
					t.Errorf("%s has a second spelling", bad)
				}
			}
		}
	}
	if found < 48*57*98/100 {
		t.Errorf("%d of %d wrong symbols were found", found, 48*57)
	}
}

func TestTextsThatAreNoBackupKey(t *testing.T) {
	good := testkit.Base64(bytes.Repeat([]byte{7}, 32))
	for _, text := range []string{"", good[1:], good + "A", good + "==", good[:42] + "=", good + "\n", " " + good, good[:42] + "!", good[:42] + "d", strings.Repeat("-", 43)} {
		_, err := keyfile.ParseBackupKey(text)
		refused[*keyfile.BackupError](t, err, keyfile.CodeBadBackupKey)
	}
	if _, err := keyfile.NewBackupKey(bytes.NewReader(make([]byte, 31))); err == nil {
		t.Error("a key of 31 bytes")
	}
	key, err := keyfile.ParseBackupKey(good)
	if err != nil {
		t.Fatal(err)
	}
	if key.Wipe(); key.Base64() != strings.Repeat("A", 43) {
		t.Error("wiped, and still there")
	}
}
