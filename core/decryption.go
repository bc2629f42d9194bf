package core

import (
	"context"
	"errors"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/policy"
	"knownsender/core/redact"
	"knownsender/core/sender"
	"knownsender/core/signedjson"
	"knownsender/core/trust"
)

// EncryptionInfo is what is known of the sender of an event, and what the policy says to that.
type EncryptionInfo struct {
	Sender    ids.UserID // the event's, empty when it is no user id
	SessionID megolm.SessionID
	Verdict   policy.Verdict // Verdict.Chosen is the copy it is about, nil when there is none
	Hint      *Hint          // whose key a claimed copy says it is, if that is known
}

// DecryptedEvent is a room event that was decrypted and may be shown.
type DecryptedEvent struct {
	redact.Secret
	ClearEvent   []byte // JSON: type and content from inside, the rest from outside
	MessageIndex uint32
	Info         EncryptionInfo
	Nested       []NestedEvent
}

// NestedEvent is an encrypted event that came in the `unsigned` of another. Each is judged on its own (scenario 127).
type NestedEvent struct {
	Location string
	Event    *DecryptedEvent // nil when Err is set
	Err      error
}

// opened is an event that a session opened: which copies can, and what was inside.
type opened struct {
	redact.Secret
	index     uint32
	plaintext []byte
	copies    []*sender.Copy
	others    []*sender.Copy
}

// DecryptRoomEvent decrypts an event and asks the policy about it. When the policy says no, the plaintext goes no further than this call.
//
// Errors are *DecryptionError, and those of the store. An event that is shown takes its message index: another event with the same index
// is a replay from then on (T24). Flush makes that durable; it is not waited for, and whoever calls should see to it soon.
func (m *Machine) DecryptRoomEvent(ctx context.Context, raw []byte, room ids.RoomID) (*DecryptedEvent, error) {
	m.turn.Lock()
	defer m.leave()
	event, err := parseRoomEvent(raw, room)
	if err != nil {
		return nil, err
	}
	decrypted, err := m.decrypt(ctx, event)
	if err != nil {
		return nil, err
	}
	for _, inner := range event.nested() {
		result := NestedEvent{Location: inner.Location}
		var of *roomEvent
		if of, result.Err = readRoomEvent(inner.object, room); result.Err == nil {
			result.Event, result.Err = m.decrypt(ctx, of)
		}
		decrypted.Nested = append(decrypted.Nested, result)
	}
	return decrypted, nil
}

func (m *Machine) decrypt(ctx context.Context, event *roomEvent) (*DecryptedEvent, error) {
	if m.closed {
		return nil, errClosed()
	}
	message, err := megolm.ParseMessage(event.ciphertext)
	if err != nil {
		return nil, unableToDecrypt(err)
	}
	in, fresh, err := m.loadAhead(ctx, event.name)
	if err != nil {
		return nil, err
	}
	open, check, err := in.open(message)
	if err != nil && !fresh {
		// What is not in memory may have been written by another tab.
		if in, err = m.reloadCopies(ctx, event.name); err != nil {
			return nil, err
		}
		open, check, err = in.open(message)
	}
	if err != nil {
		return nil, m.undecrypted(ctx, event, in, open, err)
	}
	defer clear(open.plaintext)

	answers, err := m.verifier.Verify(ctx, []keys.Check{check})
	if err != nil {
		return nil, err
	}
	if !answers[0] {
		return nil, errBadSignature()
	}
	if err := m.loadReplays(ctx, in, blockOf(open.index)); err != nil {
		return nil, err
	}
	if anyClaimed(open.copies) && !in.whole.graves {
		// A tombstone may have something to say against a claim.
		if err := m.loadAsides(ctx, in); err != nil {
			return nil, err
		}
	}
	return m.conclude(event, in, open)
}

func errBadSignature() error {
	return unableToDecrypt(&megolm.DecryptionError{Code: megolm.CodeBadMessageSignature})
}

// conclude judges an event whose signature held. Nothing in it waits: the verdict is about what is known now.
func (m *Machine) conclude(event *roomEvent, in *session, open opened) (*DecryptedEvent, error) {
	inside, err := signedjson.ParseLimit(open.plaintext, maxRoomEvent)
	if err != nil {
		return nil, &DecryptionError{Code: CodeBadPlaintext, cause: err}
	}
	named, err := inside.String("room_id")
	if err != nil {
		return nil, &DecryptionError{Code: CodeBadPlaintext, Member: "room_id", cause: err}
	}
	question := m.question(event, in)
	question.Copies, question.Others = in.now(open.copies), in.now(open.others)
	question.Distrusted = m.distrusted(question.Copies)
	question.WrongRoom = named != string(event.name.room)
	question.Replayed = in.replayed(open.index, event.eventID)
	info := m.judged(event.sender, event.name.session, &question)
	if !info.Verdict.Shown {
		return nil, withhold(info)
	}
	clear, err := event.clear(inside)
	if err != nil {
		return nil, err
	}
	if info.Verdict.State != policy.StateMismatchedSender {
		// An event under somebody else's name does not take the index: it could be served first, and the owner's own event would then
		// be the replay.
		m.remember(in, open.index, event.eventID)
	}
	return &DecryptedEvent{ClearEvent: clear, MessageIndex: open.index, Info: *info}, nil
}

// judged asks the policy.
func (m *Machine) judged(from ids.UserID, session megolm.SessionID, question *policy.Question) *EncryptionInfo {
	info := &EncryptionInfo{Sender: from, SessionID: session, Verdict: policy.Judge(question)}
	if info.Verdict.Chosen != nil {
		info.Hint = m.hint(info.Verdict.Chosen)
	}
	return info
}

// open asks every copy. They are connected or they are not: those that authenticate the message have the same keys for it, so its signature
// and plaintext are one. The error is that of the copy that got furthest.
func (in *session) open(message *megolm.Message) (opened, keys.Check, error) {
	var (
		result opened
		check  keys.Check
		worst  error
	)
	for _, c := range in.all() {
		opening, err := c.Session.Open(message)
		if err != nil {
			result.others = append(result.others, c)
			worst = further(worst, err)
			continue
		}
		// The ratchet belongs to a copy whose MAC held; a wrong signature does not make the ratchet wrong.
		c.Session.Accept(opening)
		result.copies = append(result.copies, c)
		if result.plaintext == nil {
			result.index, result.plaintext, check = opening.Index, opening.Plaintext, opening.Check()
		} else {
			opening.Wipe()
		}
	}
	if len(result.copies) > 0 {
		return result, check, nil
	}
	if worst == nil {
		worst = errNoKey
	}
	return result, check, worst
}

var errNoKey = errors.New("no copy of the room key is here")

// further is the more telling of two errors: a key that is too late says less than a message that does not authenticate.
func further(a, b error) error {
	var e *megolm.DecryptionError
	if a == nil || errors.As(a, &e) && e.Code == megolm.CodeUnknownMessageIndex {
		return b
	}
	return a
}

func anyClaimed(copies []*sender.Copy) bool {
	for _, c := range copies {
		if c.Provenance == sender.Claimed {
			return true
		}
	}
	return false
}

// now is the copies as they stand after a wait; those that were discarded meanwhile are left out.
func (in *session) now(copies []*sender.Copy) []*sender.Copy {
	current := copies[:0]
	for _, c := range copies {
		if there := in.find(c.CopyKey); there != nil && !there.gone {
			current = append(current, there.copy)
		}
	}
	return current
}

// undecrypted makes the error for an event that no copy opens: missing, too early, withheld, discarded, or broken.
func (m *Machine) undecrypted(ctx context.Context, event *roomEvent, in *session, open opened, why error) error {
	if err := m.loadAsides(ctx, in); err != nil {
		return err
	}
	question := m.question(event, in)
	var broken *megolm.DecryptionError
	if errors.As(why, &broken) && broken.Code != megolm.CodeUnknownMessageIndex {
		return unableToDecrypt(why)
	}
	question.Others = open.others
	info := m.judged(event.sender, event.name.session, &question)
	refusal := withhold(info)
	if info.Verdict.State == policy.StateWithheld {
		refusal.Withheld = &in.withheld.Withheld
	}
	return refusal
}

// question is what there is to say of any event of the session.
func (m *Machine) question(event *roomEvent, in *session) policy.Question {
	return policy.Question{
		Requirement:             m.requirement,
		Sender:                  event.sender,
		Tombstones:              in.tombstones(),
		Withheld:                in.withheld != nil,
		ClaimsMayOverruleDirect: m.claimsMayRule,
	}
}

// distrusted are those who handed copies over and have another identity by now than the one we verified.
func (m *Machine) distrusted(copies []*sender.Copy) (users []ids.UserID) {
	for _, c := range copies {
		if c.Forwarder != nil && m.trust.Verification(c.Forwarder.Data.UserID) == trust.Violation {
			users = append(users, c.Forwarder.Data.UserID)
		}
	}
	return users
}

// RoomEventEncryptionInfo says what is known of the sender of an event and what the policy says to that, from memory alone: nothing is
// decrypted and nothing is written (I22). Everything stored that bears on the event must be in memory, because LoadRoom was called or the
// event was decrypted; otherwise the error is a *DecryptionError with code session_not_loaded. Half of it would give another answer: the
// copy of whoever passed the session on, or a replay that passes for the original.
func (m *Machine) RoomEventEncryptionInfo(name EventName) (*EncryptionInfo, error) {
	m.turn.look()
	defer m.turn.Unlock()
	if m.closed {
		return nil, errClosed()
	}
	in := m.shelf.find(sessionName{name.RoomID, name.SessionID})
	_, whole := m.shelf.rooms[name.RoomID]
	switch {
	case whole && in == nil:
		in = &session{}
	case !whole && (in == nil || !in.whole.copies):
		return nil, &DecryptionError{Code: CodeSessionNotLoaded}
	}
	question := m.question(&roomEvent{sender: name.Sender}, in)
	for _, c := range in.all() {
		if c.Session.FirstKnownIndex() <= name.Index {
			question.Copies = append(question.Copies, c)
		} else {
			question.Others = append(question.Others, c)
		}
	}
	question.Distrusted = m.distrusted(question.Copies)
	explained := in.whole.graves && in.whole.withheld
	if len(question.Copies) > 0 {
		explained = in.knows(blockOf(name.Index)) && (in.whole.graves || !anyClaimed(question.Copies))
	}
	if !whole && !explained {
		return nil, &DecryptionError{Code: CodeSessionNotLoaded}
	}
	question.Replayed = in.replayed(name.Index, name.EventID)
	return m.judged(name.Sender, name.SessionID, &question), nil
}

// EventName is what RoomEventEncryptionInfo needs of an event.
type EventName struct {
	RoomID    ids.RoomID
	SessionID megolm.SessionID
	Sender    ids.UserID // empty when the event's sender is no user id
	EventID   ids.EventID
	Index     uint32
}

// ReadEventName reads what RoomEventEncryptionInfo needs from the strings of an event. The error is a *DecryptionError.
func ReadEventName(room ids.RoomID, session, from, event, ciphertext string) (EventName, error) {
	name := EventName{RoomID: room}
	var err error
	if name.SessionID, err = megolm.ParseSessionID(session); err != nil {
		return name, badEvent("content.session_id", err)
	}
	if name.EventID, err = ids.ParseEventID(event); err != nil {
		return name, badEvent("event_id", err)
	}
	name.Sender, _ = ids.ParseUserID(from) // T57: judged, not refused
	if name.Index, err = megolm.MessageIndex(ciphertext); err != nil {
		return name, unableToDecrypt(err)
	}
	return name, nil
}
