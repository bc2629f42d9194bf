package record

// The record of a block of replay memory, format version 1: [[offset, event id, offset, event id, ...], ...], offsets ascending. A block
// holds the message indexes of one session from number * 128 on; a row per message would cost a put per message.

import (
	"math"

	"knownsender/core/ids"
	"knownsender/core/megolm"
	"knownsender/core/store"
)

// ReplayBlockSize is how many message indexes one row covers.
const ReplayBlockSize = 128

// lastBlock is the number of the block that holds the last message index there is.
const lastBlock = math.MaxUint32 / ReplayBlockSize

const (
	replayVersion = 1
	replayMembers = 1
)

// ReplayBlock is which event took which message index, for one run of indexes of a session.
type ReplayBlock struct {
	RoomID    ids.RoomID
	SessionID megolm.SessionID
	Number    uint32 // of the block: message index / ReplayBlockSize
	// Events by message index; each index lies in the block.
	Events map[uint32]ids.EventID
	// Extra is what a newer version has added.
	Extra []byte
}

// ReplayRow is the row of a block. Events whose index is not in the block are left out.
func ReplayRow(b ReplayBlock) store.Row {
	row := store.Row{Table: store.Replays, Key: ReplayKey(b.RoomID, b.SessionID, b.Number)}
	p := newPacker()
	defer p.done()
	extra := p.record(replayMembers, b.Extra)
	// The map is asked 128 times in order, so that equal blocks have equal bytes.
	first := b.Number * ReplayBlockSize
	count := 0
	for offset := range uint32(ReplayBlockSize) {
		if _, taken := b.Events[first+offset]; taken {
			count++
		}
	}
	p.array(2 * count)
	for offset := range uint32(ReplayBlockSize) {
		if event, taken := b.Events[first+offset]; taken {
			p.uint(uint64(offset))
			p.text(string(event))
		}
	}
	p.raw(extra)
	row.Value = p.seal(replayVersion, &row)
	return row
}

// ParseReplayRow reads the row of a block. Errors are *Error.
func ParseReplayRow(row *store.Row) (ReplayBlock, error) {
	room, session, number, ok := parseReplayKey(row.Key)
	if !ok {
		return ReplayBlock{}, &Error{Code: CodeBadRowKey, Table: store.Replays, Reason: "the key names no block"}
	}
	u, _, err := newUnpacker(row, store.Replays, replayVersion)
	if err != nil {
		return ReplayBlock{}, err
	}
	defer u.done()
	more := u.record(replayMembers)
	count := u.array(0, 2*ReplayBlockSize, "the block")
	if count%2 != 0 {
		u.fail("an index has no event", nil)
	}
	b := ReplayBlock{RoomID: room, SessionID: session, Number: number, Events: make(map[uint32]ids.EventID, count/2)}
	least := uint64(0)
	for range count / 2 {
		offset := u.uint(ReplayBlockSize-1, "an index")
		text := u.text("an event")
		if u.fault != nil {
			break
		}
		event, err := ids.ParseEventID(text)
		if err != nil || offset < least {
			u.fail("an event is none, or the events are out of order", err)
			break
		}
		least = offset + 1
		b.Events[number*ReplayBlockSize+uint32(offset)] = event
	}
	b.Extra = u.extra(more)
	if err := u.end(); err != nil {
		return ReplayBlock{}, err
	}
	return b, nil
}
