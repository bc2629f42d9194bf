package core

import (
	"knownsender/core/lane"
	"knownsender/core/sender"
)

// Lane is the speed at which a room key's sender is found.
type Lane uint8

const (
	// Fast: everything needed was in memory; the sender data are final.
	Fast Lane = iota
	// Slow: the key is kept, and an answer to /keys/query may tell more.
	Slow
)

// String is "fast" or "slow".
func (l Lane) String() string {
	if l == Fast {
		return "fast"
	}
	return "slow"
}

// Receipt says what became of one room key.
type Receipt struct {
	// Copy is the copy as it is kept, joined with what was in memory of it; nil when the key was refused or discarded.
	Copy    *sender.Copy
	Finding *sender.Finding // nil when the gate refused the key
	Lane    Lane
	// Tombstone is what remains of a discarded key.
	Tombstone *sender.Tombstone
	// Err is why the key was refused; nothing of it is stored.
	Err error
}

// Reception is the answer of ReceiveRoomKeys.
type Reception struct {
	Receipts []Receipt // one per event, in order

	questions []*lane.Question
	entered   []sender.CopyKey // the copies in the slow lane
}

// ReceiveRoomKeys takes room keys in that the host's own Olm decrypted. It is synchronous: when it returns, the sender data of every key are
// as good as memory can make them, and the keys decrypt events. They are durable once Flush has returned
// nil, together with whatever else was unwritten; until then they stay usable in memory, and every commit tries again.
//
// A bad event costs only itself: its receipt has the error, and nothing of it is kept.
func (m *Machine) ReceiveRoomKeys(events []sender.DecryptedOlmEvent) *Reception {
	m.turn.Lock()
	defer m.leave()
	r := &Reception{Receipts: make([]Receipt, len(events))}
	now := m.now()
	for i := range events {
		r.Receipts[i] = m.receive(&events[i], now)
		if r.Receipts[i].Lane == Slow {
			m.lanes.enter(r, r.Receipts[i].Copy)
		}
	}
	m.rememberRecent(r, now)
	return r
}

// receive walks one event through the stages. The checks are answered here and now: this path must not wait.
func (m *Machine) receive(event *sender.DecryptedOlmEvent, now int64) Receipt {
	if m.closed {
		return Receipt{Err: errClosed()}
	}
	prepared, err := m.finder.Prepare(m.trust, *event)
	if err != nil {
		return Receipt{Err: err}
	}
	m.checks = prepared.AppendChecks(m.checks[:0])
	return m.keepRoomKey(prepared, m.verifyNow(m.checks), now)
}

// keepRoomKey keeps what the finder makes of a room key.
func (m *Machine) keepRoomKey(prepared *sender.Reception, held []bool, now int64) Receipt {
	found, err := prepared.Finish(held, now)
	if err != nil {
		return Receipt{Err: err}
	}
	if found.Tombstone != nil {
		in := m.shelf.session(nameOf(found.Tombstone.CopyKey))
		in.bury(found.Tombstone)
		m.shelf.queue(in)
		return Receipt{Finding: &found.Finding, Tombstone: found.Tombstone}
	}
	kept, report := m.shelf.put(found.Copy, BecauseRoomKey)
	if report.Refused != "" {
		return Receipt{Finding: &found.Finding, Err: &RoomKeyConflict{Code: report.Refused, CopyKey: kept.CopyKey}}
	}
	receipt := Receipt{Copy: kept, Finding: &found.Finding}
	if kept.Waiting() {
		receipt.Lane = Slow
	}
	return receipt
}

// CodeTooManyClaims: more devices are said to have made one session than can be.
const CodeTooManyClaims = "too_many_claims"

// RoomKeyConflict says that a room key cannot be put together with the copy that is kept under its name: it is another ratchet under the same
// session id, or another device key or user was proved for it (T27, I18). The kept copy stays as it is. Among keys that are only claimed, one that
// contradicts the kept copy takes its place when its source is better: then it is no conflict (sender.Join).
type RoomKeyConflict struct {
	Code string // sender.ReasonUnconnected, sender.ReasonOtherOwner or CodeTooManyClaims
	sender.CopyKey
}

// Error is a sentence.
func (e *RoomKeyConflict) Error() string {
	switch e.Code {
	case sender.ReasonOtherOwner:
		return "the session is kept as another device's or user's"
	case CodeTooManyClaims:
		return "too many devices are said to have made the session"
	}
	return "the session is kept with another ratchet, which this one does not lead to"
}

// ErrorCode is unconnected, other_owner or too_many_claims.
func (e *RoomKeyConflict) ErrorCode() string { return e.Code }

// bury adds a tombstone. The first one of a copy stays: the same forgery delivered again changes nothing (F44).
func (in *session) bury(t *sender.Tombstone) {
	for i := range in.graves {
		if in.graves[i].CopyKey == t.CopyKey {
			return
		}
	}
	in.graves = append(in.graves, grave{Tombstone: t})
}

// Settled is where a received copy stands by now.
type Settled struct {
	sender.CopyKey
	Data  sender.Data
	Known bool
}

// Settled says what is known by now of the senders of a reception's keys, without waiting for anything.
func (m *Machine) Settled(r *Reception) []Settled {
	m.turn.Lock()
	defer m.leave()
	return m.settled(r)
}

func (m *Machine) settled(r *Reception) []Settled {
	var settled []Settled
	for i := range r.Receipts {
		c := r.Receipts[i].Copy
		if c == nil {
			continue
		}
		if in := m.shelf.find(nameOf(c.CopyKey)); in != nil {
			if now := in.find(c.CopyKey); now != nil {
				c = now.copy
			}
		}
		settled = append(settled, Settled{CopyKey: c.CopyKey, Data: c.Current, Known: c.Current.Kind.Known()})
	}
	return settled
}
