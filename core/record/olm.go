package record

// The record of our own Olm account, format version 2: [user, device, state, flags, fallback at, cross-signer, cross-signature, ...], of which version
// 1 lacks the last two; and of the channels with one device, format version 1: [state, mended at, ...]. The states are those of core/olm, secret, and
// in no form that anybody else would read.

import (
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/olm"
	"knownsender/core/store"
)

const (
	accountVersion  = 2
	accountMembers  = 7
	accountMembers1 = 5
	channelsVersion = 1
	channelsMembers = 2
)

// accountName is the name of the account's row in the meta table.
const accountName = "account"

// AccountKey is the key of the row of our account.
func AccountKey() store.Key { return MetaKey(accountName) }

// Account is a stored account.
type Account struct {
	*olm.Account
	UserID   ids.UserID
	DeviceID ids.DeviceID
	Shared   bool // the server has this device's keys

	FallbackAt int64 // when the present fallback key was made, milliseconds since 1970

	CrossSigner    keys.Ed25519   // the self-signing key that signed this device's keys; zero for none
	CrossSignature keys.Signature // its signature

	Extra []byte // members a newer version has added
}

// AccountRow is the row of an account.
func AccountRow(a *Account) store.Row {
	row := store.Row{Table: store.Meta, Key: AccountKey()}
	p := newPacker()
	defer p.done()
	extra := p.record(accountMembers, a.Extra)
	p.text(string(a.UserID))
	p.text(string(a.DeviceID))
	p.bytes(a.AppendState(nil))
	p.uint(flags(a.Shared))
	p.int(a.FallbackAt)
	p.key((*[32]byte)(&a.CrossSigner))
	p.bytes(a.CrossSignature[:crossSignatureLength(a.CrossSigner)])
	p.raw(extra)
	row.Value = p.seal(accountVersion, &row)
	return row
}

// DecodeAccount reads the row of an account. Errors are *Error.
func DecodeAccount(row store.Row) (*Account, error) {
	u, version, err := newUnpacker(&row, store.Meta, accountVersion)
	if err != nil {
		return nil, err
	}
	defer u.done()
	a, members := &Account{}, accountMembers
	if version == 1 {
		members = accountMembers1
	}
	more := u.record(members)
	a.UserID = u.user("the user")
	a.DeviceID = u.device("the device")
	state := u.bytes("the account")
	if u.fault == nil {
		if a.Account, err = olm.ParseAccountState(state); err != nil {
			u.fail("the account is damaged", err)
		}
	}
	a.Shared = u.flags(1, "the flags") != 0
	a.FallbackAt = u.int("the time")
	if version > 1 {
		a.CrossSigner = u.ed25519("the cross-signer")
		signature := u.bytes("the cross-signature")
		if len(signature) != crossSignatureLength(a.CrossSigner) {
			u.fail("the cross-signature has the wrong length", nil)
		}
		copy(a.CrossSignature[:], signature)
	}
	if u.fault == nil && (a.UserID == "" || a.DeviceID == "") {
		u.fail("the account is nobody's", nil)
	}
	a.Extra = u.extra(more)
	if err := u.end(); err != nil {
		return nil, err
	}
	return a, nil
}

// crossSignatureLength is the length of the signature by that key, none when there is no key.
func crossSignatureLength(by keys.Ed25519) int {
	if by == (keys.Ed25519{}) {
		return 0
	}
	return len(keys.Signature{})
}

// ChannelsKey is the key of the row of the channels with a device.
func ChannelsKey(senderKey keys.Curve25519) store.Key { return store.Key{senderKey.String()} }

// Channels are the stored channels with a device.
type Channels struct {
	olm.Channels
	MendedAt int64  // when a new channel was last begun because messages did not decrypt, milliseconds since 1970; 0: never
	Extra    []byte // members a newer version has added
}

// ChannelsRow is the row of the channels with a device.
func ChannelsRow(c *Channels) store.Row {
	row := store.Row{Table: store.Channels, Key: ChannelsKey(c.SenderKey())}
	p := newPacker()
	defer p.done()
	extra := p.record(channelsMembers, c.Extra)
	p.bytes(c.AppendState(nil))
	p.int(c.MendedAt)
	p.raw(extra)
	row.Value = p.seal(channelsVersion, &row)
	return row
}

// DecodeChannels reads the row of the channels with a device. Errors are *Error.
func DecodeChannels(row store.Row) (*Channels, error) {
	senderKey, err := keys.Curve25519{}, error(nil)
	if len(row.Key) == 1 {
		senderKey, err = keys.ParseCurve25519(row.Key[0])
	}
	if len(row.Key) != 1 || err != nil {
		return nil, &Error{Code: CodeBadRowKey, Table: store.Channels, Reason: "the key names no device"}
	}
	u, _, err := newUnpacker(&row, store.Channels, channelsVersion)
	if err != nil {
		return nil, err
	}
	defer u.done()
	c := &Channels{}
	more := u.record(channelsMembers)
	state := u.bytes("the channels")
	if u.fault == nil {
		if c.Channels, err = olm.ParseChannelsState(state); err != nil {
			u.fail("the channels are damaged", err)
		} else if c.SenderKey() != senderKey {
			u.fail("the channels are with another device", nil)
		}
	}
	c.MendedAt = u.int("the time")
	c.Extra = u.extra(more)
	if err := u.end(); err != nil {
		return nil, err
	}
	return c, nil
}
