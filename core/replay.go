package core

import (
	"knownsender/core/ids"
	"knownsender/core/record"
	"knownsender/core/store"
)

// Which event took which message index, for ever (decision 13, I19): (session, index) -> event id. The index is the sender's promise that a
// ciphertext is one message; a second event with it is a replay, whoever serves it. Entries lie in blocks, one row for each run of indexes,
// because a row per message would cost a transaction's worth of work per message.

// replayBlock is one block of a session. What is not in memory is not known: blocks are read before they are asked.
type replayBlock struct {
	events    map[uint32]ids.EventID
	rev       uint64
	extra     []byte // what a newer version has written
	unwritten bool
}

func blockOf(index uint32) uint32 { return index / record.ReplayBlockSize }

// knows says whether everything stored of a block is in memory.
func (in *session) knows(block uint32) bool {
	return in.whole.replays || in.replays[block] != nil
}

// replayed says whether another event has the index.
func (in *session) replayed(index uint32, event ids.EventID) bool {
	block := in.replays[blockOf(index)]
	if block == nil {
		return false
	}
	first, taken := block.events[index]
	return taken && first != event
}

// remember gives the index to the event, unless it is taken.
func (m *Machine) remember(in *session, index uint32, event ids.EventID) {
	block := in.replays[blockOf(index)]
	if block == nil {
		block = in.addBlock(blockOf(index), &replayBlock{events: map[uint32]ids.EventID{}})
	}
	if _, taken := block.events[index]; taken {
		return
	}
	block.events[index] = event
	block.unwritten = true
	m.shelf.queue(in)
}

func (in *session) addBlock(number uint32, block *replayBlock) *replayBlock {
	if in.replays == nil {
		in.replays = map[uint32]*replayBlock{}
	}
	in.replays[number] = block
	return block
}

func (w *writing) addReplays(in *session, number uint32, block *replayBlock) {
	w.add(record.ReplayRow(record.ReplayBlock{
		RoomID: in.name.room, SessionID: in.name.session, Number: number, Events: block.events, Extra: block.extra,
	}), block.rev)
	count, rev := len(block.events), block.rev
	w.after = append(w.after, func() {
		if block.rev == rev { // it was not read again while the commit was under way
			block.rev++
		}
		// More may have been remembered meanwhile.
		block.unwritten = len(block.events) != count
	})
}

// reconcileReplays takes over what another tab remembered. Where both tabs gave an index away the stored one keeps it: it was first.
func (m *Machine) reconcileReplays(row *store.Row) {
	if row.Rev == 0 {
		m.overwriteReplays(row)
		return
	}
	stored, err := record.ParseReplayRow(row)
	if err != nil {
		m.quarantine(store.Replays, row, err)
		m.overwriteReplays(row)
		return
	}
	in := m.shelf.session(sessionName{stored.RoomID, stored.SessionID})
	block := in.replays[stored.Number]
	if block == nil {
		block = in.addBlock(stored.Number, &replayBlock{events: map[uint32]ids.EventID{}})
	}
	block.rev, block.extra = row.Rev, stored.Extra
	for index, event := range stored.Events {
		block.events[index] = event
	}
}

// overwriteReplays lets the unwritten block take the place of a row that is damaged or gone. Otherwise its batch would be refused for ever, and
// every room key with it.
func (m *Machine) overwriteReplays(row *store.Row) {
	for _, in := range m.shelf.dirty {
		for number, block := range in.replays {
			if block.unwritten && record.ReplayKey(in.name.room, in.name.session, number).Equal(row.Key) {
				block.rev, block.extra = row.Rev, nil
			}
		}
	}
}
