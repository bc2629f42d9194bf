package core

import (
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/sender"
	"knownsender/core/store"
)

// Listener hears of what happened, always after it has been committed. Its methods are called one at a time, in the order of the commits, and
// must not wait; they may call the Machine's synchronous methods, and begin others.
type Listener interface {
	// RoomKeysUpdated: room keys arrived, or became better.
	RoomKeysUpdated([]RoomKeyInfo)
	// SenderDataUpdated: more is known of the senders of stored room keys.
	SenderDataUpdated([]SenderDataUpdate)
	// StoreReported: something about the store that a host should know and that is no answer to a call.
	StoreReported(StoreReport)
	// PeersTold: what other tabs over the same store should hear.
	PeersTold(PeerNews)
}

// RoomKeyInfo names a room key that arrived or became better, like matrix-sdk-crypto's.
type RoomKeyInfo struct {
	RoomID    ids.RoomID
	SessionID megolm.SessionID
	SenderKey keys.Curve25519
}

// SenderDataUpdate is one change of what is known of the sender of a stored copy.
type SenderDataUpdate struct {
	sender.CopyKey
	Before, After sender.Data
	Suspended     bool
	Because       Cause
}

// Cause is what made a copy's standing change, in one stable word.
type Cause string

// The causes.
const (
	BecauseKeysQuery    Cause = "keys_query"   // devices or identities were answered by the server
	BecauseVerification Cause = "verification" // a user, or we ourselves, became verified
	BecausePeer         Cause = "other_tab"    // another tab over the same store wrote it
	BecauseRoomKey      Cause = "room_key"     // the same room key arrived again, or another tab knew more
)

// StoreReport is one report of Listener.StoreReported.
type StoreReport struct {
	Code    string // record_quarantined or room_key_conflict
	Table   store.Table
	Message string
}

// CodeRecordQuarantined: a stored record could not be read. It was set aside, unchanged; everything else was loaded.
const CodeRecordQuarantined = "record_quarantined"

// report keeps a report for the listener. A damaged row is found in the middle of something: nobody is called there.
func (m *Machine) report(r StoreReport) {
	m.untold = append(m.untold, func(l Listener) { l.StoreReported(r) })
}

// tell tells the listener what it has yet to hear, without the turn, so that it may call the Machine (F31). What is added while it listens is
// told by the same loop, so that nothing overtakes anything.
func (m *Machine) tell() {
	if m.telling {
		return
	}
	m.telling = true
	defer func() { m.telling = false }()
	for m.tellSeen(); len(m.untold) > 0; m.tellSeen() {
		next := m.untold[0]
		m.untold = m.untold[1:]
		m.turn.give(func() { next(m.listener) })
	}
	m.untold = nil
}

// saw notes for the listener what the store has come to say of a copy by another's doing. It is noted where the row is read, whatever it is read
// for: by then memory may have come to the same by itself, and would have nothing to write and nothing to tell.
func (m *Machine) saw(was, now *sender.Copy) {
	if was != nil && (was.Current != now.Current || was.Suspended != now.Suspended) {
		m.seen = append(m.seen, SenderDataUpdate{CopyKey: now.CopyKey, Before: was.Current, After: now.Current, Suspended: now.Suspended, Because: BecausePeer})
	}
}

// tellSeen lists what was seen behind what is to be told already.
func (m *Machine) tellSeen() {
	if updates := m.seen; len(updates) > 0 {
		m.seen = nil
		m.untold = append(m.untold, func(l Listener) { l.SenderDataUpdated(updates) })
	}
}

// leave ends a call: what it has to tell is told, and the turn is free.
func (m *Machine) leave() {
	defer m.turn.Unlock()
	m.tell()
}

// CodeRoomKeyConflict: a room key that was received cannot be put together with the one that turned out to be stored. The stored one stays.
const CodeRoomKeyConflict = "room_key_conflict"

type silence struct{}

func (silence) RoomKeysUpdated([]RoomKeyInfo)        {}
func (silence) SenderDataUpdated([]SenderDataUpdate) {}
func (silence) StoreReported(StoreReport)            {}
func (silence) PeersTold(PeerNews)                   {}
