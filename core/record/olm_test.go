package record_test

import (
	"testing"

	"knownsender/core/keys"
	"knownsender/core/olm"
	"knownsender/core/record"
	"knownsender/core/store"
)

// account is a stored account with a cross-signature over its device.
func account() *record.Account {
	a := &record.Account{Account: olm.NewAccount(), UserID: alice, DeviceID: "DEVICE", Shared: true, FallbackAt: 5, CrossSigner: signing("self_signing")}
	a.CrossSignature = a.Sign([]byte("anything"))
	return a
}

func TestAccountsComeBack(t *testing.T) {
	for _, a := range []*record.Account{account(), {Account: olm.NewAccount(), UserID: alice, DeviceID: "DEVICE"}} {
		row := record.AccountRow(a)
		back, err := record.DecodeAccount(row)
		if err != nil {
			t.Fatal(err)
		}
		if back.CrossSigner != a.CrossSigner || back.CrossSignature != a.CrossSignature || back.Shared != a.Shared || back.Ed25519() != a.Ed25519() {
			t.Error("another account came back")
		}
		if again := record.AccountRow(back); string(again.Value) != string(row.Value) {
			t.Error("it is written in another way")
		}
	}
}

// An account of before there were cross-signatures is read, and has none; one whose cross-signature has lost its signer, or the other way round, is
// damaged.
func TestAccountsOfOtherShapes(t *testing.T) {
	a := account()
	a.CrossSigner, a.CrossSignature = keys.Ed25519{}, keys.Signature{}
	now := record.AccountRow(a)
	plain := now.Value[8:]
	of := func(version, members byte, plain []byte) store.Row {
		plain = append([]byte{0x90 | members}, plain[1:]...)
		return store.Row{Table: now.Table, Key: now.Key, Value: frame(version, now.Table, now.Key, plain)}
	}
	old, err := record.DecodeAccount(of(1, 5, plain[:len(plain)-4])) // without two times nothing
	if err != nil || old.CrossSigner != (keys.Ed25519{}) || old.Ed25519() != a.Ed25519() || old.FallbackAt != 5 {
		t.Errorf("%+v, %v", old, err)
	}
	signed := record.AccountRow(account()).Value[8:]
	for name, row := range map[string]store.Row{
		"no signature": of(2, 7, append(signed[:len(signed)-66:len(signed)-66], 0xc4, 0)),
		"no signer":    of(2, 7, append(append(plain[:len(plain)-2:len(plain)-2], 0xc4, 64), make([]byte, 64)...)),
	} {
		if _, err := record.DecodeAccount(row); err == nil || err.(*record.Error).Code != record.CodeBadRecord {
			t.Errorf("%s: %v", name, err)
		}
	}
}
