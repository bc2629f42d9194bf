package record

// The record of a copy of a room key, format version 2:
//
//	[session state, flags, ed25519, Olm user, received at, step, embedded device, at reception, current, forwarder,
//	 tries, next, ...]
//
// Sender data are [kind, owner check failed, user, device, master key]. The current data are [] where they are those at reception, and the
// forwarder is [] where there is none. Version 1 is the same up to "received at": it was written before there were sender data. What it
// holds is legacy and of an unknown device; it is read, never written.

import (
	"math"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/megolm"
	"knownsender/core/sender"
	"knownsender/core/store"
)

// CopyFormat is the version in which copies are written. A store in which all copies were walked under another one may hold copies that are
// in no index; see Stale.
const CopyFormat = copyVersion

const (
	copyVersion       = 2
	copyMembers       = 12
	copyMembersBefore = 5 // of version 1
	dataMembers       = 5
)

// CopyRow is the row of a copy, without what a newer version may have added to it; see CopyRowExtra.
func CopyRow(c *sender.Copy) store.Row { return CopyRowExtra(c, nil) }

// CopyRowExtra is the row of a copy with the members that DecodeCopyExtra found behind the known ones.
func CopyRowExtra(c *sender.Copy, extra []byte) store.Row {
	row := store.Row{Table: store.Copies, Key: CopyKey(c.CopyKey)}
	row.Index = copyIndex(c, row.Key)
	p := newPacker()
	defer p.done()
	p.copy(c, extra)
	row.Value = p.seal(copyVersion, &row)
	return row
}

func (p *packer) copy(c *sender.Copy, extra []byte) {
	extra = p.record(copyMembers, extra)
	p.bytesHead(stateLength)
	p.buf = c.Session.AppendState(p.buf)
	p.uint(flags(c.HasEd25519, c.Legacy, c.Suspended, c.SharedHistory, c.BackedUp))
	p.key((*[32]byte)(&c.Ed25519))
	p.text(string(c.OlmUser))
	p.int(c.ReceivedAt)
	p.uint(uint64(c.Step))
	p.bytes(c.EmbeddedDevice)
	p.data(&c.AtReception)
	if c.Current == c.AtReception {
		p.array(0)
	} else {
		p.data(&c.Current)
	}
	if c.Forwarder == nil {
		p.array(0)
	} else {
		p.data(&c.Forwarder.Data)
	}
	p.uint(uint64(c.Schedule.Tries))
	p.int(c.Schedule.Next)
	p.raw(extra)
}

// stateLength is the length of a session's stored form, which megolm fixes.
const stateLength = 165

func (p *packer) data(d *sender.Data) {
	p.array(dataMembers)
	p.uint(uint64(d.Kind))
	p.uint(flags(d.OwnerCheckFailed))
	p.text(string(d.UserID))
	p.text(string(d.DeviceID))
	p.key((*[32]byte)(&d.MasterKey))
}

// DecodeCopy reads the row of a copy. Errors are *Error. Every value is checked as at the edge, and what contradicts itself is refused: a
// claim that knows its sender (I7), a direct copy without proof (I5), a session in another session's row.
func DecodeCopy(row store.Row) (*sender.Copy, error) {
	c, _, err := DecodeCopyExtra(row)
	return c, err
}

// DecodeCopyExtra is DecodeCopy, and returns the members that a newer version has added, nil if there are none. They are the caller's.
func DecodeCopyExtra(row store.Row) (*sender.Copy, []byte, error) {
	key, ok := ParseCopyKey(row.Key)
	if !ok {
		return nil, nil, &Error{Code: CodeBadRowKey, Table: store.Copies, Reason: "the key names no copy"}
	}
	u, version, err := newUnpacker(&row, store.Copies, copyVersion)
	if err != nil {
		return nil, nil, err
	}
	defer u.done()
	c := &sender.Copy{CopyKey: key}
	more := 0
	if version == 1 {
		u.array(copyMembersBefore, copyMembersBefore, "the record")
	} else {
		more = u.record(copyMembers)
	}
	u.session(c)
	set := u.flags(5, "the flags")
	c.HasEd25519, c.Legacy, c.Suspended, c.SharedHistory, c.BackedUp = set&1 != 0, set&2 != 0, set&4 != 0, set&8 != 0, set&16 != 0
	c.Ed25519 = u.ed25519("the device's key")
	c.OlmUser = u.user("the Olm user")
	c.ReceivedAt = u.int("the time")
	if version == 1 {
		c.Legacy = true
	} else {
		u.standing(c)
	}
	u.consistent(c)
	extra := u.extra(more)
	if err := u.end(); err != nil {
		return nil, nil, err
	}
	return c, extra, nil
}

func (u *unpacker) session(c *sender.Copy) {
	state := u.bytes("the session")
	if u.fault != nil {
		return
	}
	session, err := megolm.ParseState(state)
	if err != nil {
		u.fail("the session is damaged", err)
		return
	}
	if session.ID() != c.SessionID {
		u.fail("the session is not the row's", nil)
		return
	}
	c.Session = session
}

// standing reads what version 1 has not.
func (u *unpacker) standing(c *sender.Copy) {
	c.Step = byte(u.uint('Z', "the step"))
	if u.fault == nil && c.Step != 0 && c.Step < 'A' {
		u.fail("the step has no such letter", nil)
	}
	if embedded := u.bytes("the embedded device"); len(embedded) > 0 {
		c.EmbeddedDevice = append([]byte(nil), embedded...)
	}
	u.data(&c.AtReception, dataMembers, "the sender data at reception")
	c.Current = c.AtReception
	if u.data(&c.Current, 0, "the sender data") && c.Current == c.AtReception {
		u.fail("the same sender data are written twice", nil)
	}
	var forwarder sender.Data
	if u.data(&forwarder, 0, "the forwarder") {
		by, ok := sender.ForwarderOf(forwarder)
		if !ok {
			u.fail("the forwarder cannot be one", nil)
		}
		c.Forwarder = &by
	}
	c.Schedule.Tries = uint8(u.uint(math.MaxUint8, "the tries"))
	c.Schedule.Next = u.int("the next try")
}

// consistent refuses copies that nothing can have made.
func (u *unpacker) consistent(c *sender.Copy) {
	switch {
	case u.fault != nil:
	case c.HasEd25519 != (c.Ed25519 != keys.Ed25519{}):
		u.fail("the device's key is there and is not", nil)
	case c.Provenance == sender.Direct && (!c.HasEd25519 || c.OlmUser == ""):
		u.fail("a direct copy has no proof", nil)
	case c.Provenance == sender.Direct && (!owned(&c.AtReception, c.OlmUser) || !owned(&c.Current, c.OlmUser)):
		u.fail("a direct copy belongs to another user than the one who sent it", nil)
	case c.Provenance == sender.Direct && c.Forwarder != nil:
		u.fail("a direct copy was forwarded", nil)
	case c.Provenance == sender.Claimed && c.OlmUser != "":
		u.fail("a claimed copy has an Olm user", nil)
	case c.Provenance == sender.Claimed && c.Current.Kind != sender.UnknownDevice:
		u.fail("a claimed copy knows its sender", nil)
	case c.Schedule != (lane.Schedule{}) && !c.Waiting():
		u.fail("a copy that waits for nothing has a schedule", nil)
	}
}

func owned(d *sender.Data, user ids.UserID) bool { return d.UserID == "" || d.UserID == user }

// data reads sender data of dataMembers members; with least 0 they may be left out, and the answer says whether they were there.
func (u *unpacker) data(into *sender.Data, least int, what string) bool {
	n := u.array(least, dataMembers, what)
	if u.fault != nil || n == 0 {
		return false
	}
	if n != dataMembers {
		u.fail(what+" are incomplete", nil)
		return false
	}
	var d sender.Data
	d.Kind = sender.Kind(u.uint(uint64(sender.SenderVerified), what))
	d.OwnerCheckFailed = u.flags(1, what) != 0
	d.UserID = u.user(what)
	d.DeviceID = u.device(what)
	d.MasterKey = u.ed25519(what)
	if u.fault != nil {
		return false
	}
	switch {
	case d.OwnerCheckFailed && d.Kind != sender.UnknownDevice,
		(d.UserID == "") != (d.Kind == sender.UnknownDevice),
		d.DeviceID == "" && d.Kind == sender.DeviceInfo,
		d.DeviceID != "" && d.Kind == sender.UnknownDevice,
		(d.MasterKey == keys.Ed25519{}) == d.Kind.Known():
		u.fail(what+" contradict themselves", nil)
		return false
	}
	*into = d
	return true
}

// Stale says whether a row that gave this copy is to be written again although the copy has not changed: it is of an older format, or its
// index entries are missing or wrong (F36, scenario 160), so that no index finds it where it should.
func Stale(row *store.Row, c *sender.Copy) bool {
	if len(row.Value) < headerLength || row.Value[2] != copyVersion {
		return true
	}
	want := copyIndex(c, row.Key)
	if len(want) != len(row.Index) {
		return true
	}
	for _, entry := range want {
		if !row.Entry(entry.Name).Equal(entry.Value) {
			return true
		}
	}
	return false
}
