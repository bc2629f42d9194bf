package record

// The record of our own private cross-signing keys, format version 1: [keys, standing, ...]. The keys are in the form of core/crosssigning, secret.

import (
	"knownsender/core/crosssigning"
	"knownsender/core/store"
)

const (
	crossSigningVersion = 1
	crossSigningMembers = 2
)

// crossSigningName is the name of the keys' row in the meta table.
const crossSigningName = "cross_signing"

// CrossSigningKey is the key of the row of our private cross-signing keys.
func CrossSigningKey() store.Key { return MetaKey(crossSigningName) }

// KeyStanding is how private cross-signing keys stand to our identity as the server has it.
type KeyStanding uint8

const (
	// KeysMade: they were made here, and the server is yet to have them. Another identity there says nothing of them.
	KeysMade KeyStanding = iota
	// KeysKept: they are believed to be ours, and were not held against the server's yet.
	KeysKept
	// KeysOurs: they were found to be those of our identity, which is trusted because of it.
	KeysOurs
	// KeysReplaced: the server shows another identity. They are kept, in case it shows ours again.
	KeysReplaced
)

// CrossSigning are stored private cross-signing keys.
type CrossSigning struct {
	*crosssigning.Keys
	Standing KeyStanding
	Extra    []byte // members a newer version has added
}

// CrossSigningRow is the row of our private cross-signing keys.
func CrossSigningRow(c *CrossSigning) store.Row {
	row := store.Row{Table: store.Meta, Key: CrossSigningKey()}
	p := newPacker()
	defer p.done()
	extra := p.record(crossSigningMembers, c.Extra)
	state := c.AppendState(nil)
	defer clear(state)
	p.bytes(state)
	p.uint(uint64(c.Standing))
	p.raw(extra)
	row.Value = p.seal(crossSigningVersion, &row)
	return row
}

// DecodeCrossSigning reads the row of our private cross-signing keys. Errors are *Error.
func DecodeCrossSigning(row store.Row) (*CrossSigning, error) {
	u, _, err := newUnpacker(&row, store.Meta, crossSigningVersion)
	if err != nil {
		return nil, err
	}
	defer u.done()
	c := &CrossSigning{}
	more := u.record(crossSigningMembers)
	state := u.bytes("the keys")
	if u.fault == nil {
		if c.Keys, err = crosssigning.ParseState(state); err != nil {
			u.fail("the keys are damaged", err)
		}
	}
	c.Standing = KeyStanding(u.uint(uint64(KeysReplaced), "the standing"))
	c.Extra = u.extra(more)
	if err := u.end(); err != nil {
		return nil, err
	}
	return c, nil
}
