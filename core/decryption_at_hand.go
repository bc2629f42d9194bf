package core

import (
	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/redact"
)

// Decrypting from memory alone. Where everything that bears on an event is at hand, as in a room that is shown, nothing has to be waited for but the
// check of one signature, and that is left to whoever calls: to begin, to have it checked and to finish costs a quarter of a call that waits.

// Decryption is an event that was decrypted from memory and is not judged yet. Its plaintext goes no further before FinishDecryption.
type Decryption struct {
	redact.Secret
	// Check is the signature to be checked. Strict holds for it.
	Check keys.Check

	event *roomEvent
	open  opened
}

// BeginDecryption begins to decrypt an event that is named, and has no other nested in it; nil where something has to be read first, or anything is wrong:
// DecryptRoomEvent is for that, and says what.
func (m *Machine) BeginDecryption(name EventName, ciphertext string) *Decryption {
	m.turn.look()
	defer m.leave()
	message, err := megolm.ParseMessage(ciphertext)
	if m.closed || err != nil {
		return nil
	}
	event := &roomEvent{sender: name.Sender, eventID: name.EventID, name: sessionName{name.RoomID, name.SessionID}}
	in := m.atHand(event.name, nil)
	if in == nil {
		return nil
	}
	d := &Decryption{event: event}
	d.open, d.Check, err = in.open(message)
	if err == nil && d.Check.Strict() && m.atHand(event.name, &d.open) != nil {
		return d
	}
	clear(d.open.plaintext)
	return nil
}

// FinishDecryption judges the event, once Check has been found to hold or not. It returns nil and no error where something has to be read after all, because
// memory was let go of meanwhile: call DecryptRoomEvent then. Otherwise it is as DecryptRoomEvent, but that of the clear event there is only what was inside, its
// type and content: what stood around is with whoever calls.
func (m *Machine) FinishDecryption(d *Decryption, held bool) (*DecryptedEvent, error) {
	m.turn.look()
	defer m.leave()
	defer clear(d.open.plaintext)
	if m.closed {
		return nil, errClosed()
	}
	if !held {
		return nil, errBadSignature()
	}
	in := m.atHand(d.event.name, &d.open)
	if in == nil {
		return nil, nil
	}
	return m.conclude(d.event, in, d.open)
}

// atHand is the session if every copy of it is in memory, and everything that bears on what it has opened, nil for not yet; else nil.
func (m *Machine) atHand(name sessionName, open *opened) *session {
	in := m.shelf.find(name)
	if in == nil || !in.whole.copies {
		return nil
	}
	if open != nil && (!in.knows(blockOf(open.index)) || !in.whole.graves && anyClaimed(open.copies)) {
		return nil
	}
	return in
}
