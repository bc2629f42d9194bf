package record

// The record of a user, format version 1:
//
//	[flags, answer sequence, trusted master key, identity, devices, ...]
//	identity: [] or [master key, JSON, self-signing key, JSON, user-signing key, JSON, pinned key, judged by, flags]
//	device:   [id, curve25519, ed25519, flags, cross-signed, judged by, JSON]
//
// The JSON is the JSON as received. Its bytes are what signatures are over, so nothing here looks into it.

import (
	"bytes"
	"math"

	"knownsender/core/ids"
	"knownsender/core/store"
	"knownsender/core/trust"
)

const (
	userVersion     = 1
	userMembers     = 5
	identityMembers = 9
	deviceMembers   = 7
)

// UserRow is the row of a user.
func UserRow(r *trust.UserRecord) store.Row {
	row := store.Row{Table: store.Users, Key: UserKey(r.UserID)}
	p := newPacker()
	defer p.done()
	extra := p.record(userMembers, r.Extra)
	p.uint(flags(r.Tracked, r.Outdated, r.WasVerified))
	p.uint(uint64(r.AnswerSequence))
	p.key((*[32]byte)(&r.TrustedMaster))
	if i := r.Identity; i == nil {
		p.array(0)
	} else {
		p.array(identityMembers)
		for _, key := range []*trust.KeyRecord{&i.Master, &i.SelfSigning, &i.UserSigning} {
			p.key((*[32]byte)(&key.Key))
			p.bytes(key.Raw)
		}
		p.key((*[32]byte)(&i.Pinned))
		p.key((*[32]byte)(&i.JudgedBy))
		p.uint(flags(i.PreviouslyVerified, i.SignedByUs))
	}
	p.array(len(r.Devices))
	for n := range r.Devices {
		d := &r.Devices[n]
		p.array(deviceMembers)
		p.text(string(d.DeviceID))
		p.bytes(d.Curve25519[:])
		p.bytes(d.Ed25519[:])
		p.uint(flags(d.Dehydrated))
		p.uint(uint64(d.CrossSigned))
		p.key((*[32]byte)(&d.JudgedBy))
		p.bytes(d.Raw)
	}
	p.raw(extra)
	row.Value = p.seal(userVersion, &row)
	return row
}

// DecodeUser reads the row of a user. Errors are *Error; a record that contradicts itself is refused as trust.UserRecord.Validate says. What
// is returned shares nothing with the row.
func DecodeUser(row store.Row) (*trust.UserRecord, error) {
	r := &trust.UserRecord{}
	var err error
	if len(row.Key) == 1 {
		r.UserID, err = ids.ParseUserID(row.Key[0])
	}
	if err != nil || r.UserID == "" {
		return nil, &Error{Code: CodeBadRowKey, Table: store.Users, Reason: "the key names no user", Err: err}
	}
	// One copy of the row holds all the JSON of a user, who may have hundreds of devices.
	row.Value = bytes.Clone(row.Value)
	u, _, err := newUnpacker(&row, store.Users, userVersion)
	if err != nil {
		return nil, err
	}
	defer u.done()
	more := u.record(userMembers)
	set := u.flags(3, "the flags")
	r.Tracked, r.Outdated, r.WasVerified = set&1 != 0, set&2 != 0, set&4 != 0
	r.AnswerSequence = trust.Sequence(u.uint(math.MaxUint64, "the answer sequence"))
	r.TrustedMaster = u.ed25519("the trusted master key")
	if n := u.array(0, identityMembers, "the identity"); n == identityMembers {
		r.Identity = u.identity()
	} else if n != 0 {
		u.fail("the identity is incomplete", nil)
	}
	count := u.array(0, math.MaxInt32, "the devices")
	// Room for what can really be there: the smallest device takes some hundred bytes of JSON, but not even that is believed.
	if count > 0 {
		r.Devices = make([]trust.DeviceRecord, 0, min(count, u.from.Len()/80+1))
	}
	for range count {
		if u.fault != nil {
			break
		}
		r.Devices = append(r.Devices, u.deviceRecord())
	}
	r.Extra = u.extra(more)
	if err := u.end(); err != nil {
		return nil, err
	}
	if err := r.Validate(); err != nil {
		return nil, &Error{Code: CodeBadRecord, Table: store.Users, Reason: "the user's record contradicts itself", Err: err}
	}
	return r, nil
}

func (u *unpacker) identity() *trust.IdentityRecord {
	i := &trust.IdentityRecord{}
	for _, key := range []*trust.KeyRecord{&i.Master, &i.SelfSigning, &i.UserSigning} {
		key.Key = u.key("a key of the identity")
		if raw := u.bytes("a key of the identity"); len(raw) > 0 {
			key.Raw = raw
		}
	}
	i.Pinned = u.key("the pinned key")
	i.JudgedBy = u.key("the key the identity was judged by")
	set := u.flags(2, "the identity's flags")
	i.PreviouslyVerified, i.SignedByUs = set&1 != 0, set&2 != 0
	return i
}

// deviceRecord reads one device. Whether its ids and keys are any good is for Validate to say.
func (u *unpacker) deviceRecord() trust.DeviceRecord {
	var d trust.DeviceRecord
	u.array(deviceMembers, deviceMembers, "a device")
	d.DeviceID = u.device("a device")
	d.Curve25519 = u.key("a device's curve25519 key")
	d.Ed25519 = u.key("a device's ed25519 key")
	d.Dehydrated = u.flags(1, "a device's flags") != 0
	d.CrossSigned = trust.CrossSignature(u.uint(uint64(trust.CrossSignatureValid), "a device's cross-signature"))
	d.JudgedBy = u.key("the key a device was judged by")
	d.Raw = u.bytes("a device's JSON")
	return d
}
