package core

import (
	"context"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/olm"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/signedjson"
	"knownsender/core/store"
)

// The raw edge: what /sync brings to a device whose Olm account is here.
//
//	1  every to-device event is read; what is not encrypted goes to the host as it came, and no plain event is ever a room key (T17)
//	2  Olm messages are opened one after the other, over the channels as they lie in the store; nothing is changed by one that does not open
//	3  the payloads go through the gate and the finder, the signatures of all of them checked in one go
//	4  Olm state and room keys are written in one batch: when the call returns, the sync token may move (decision 16)
//
// Should another tab have used the same channels meanwhile, 2 is done again on what it wrote. A message that it has opened is then a replay for the
// state, and what it brought is kept once.

// olmAlgorithm is the algorithm of Olm messages.
const olmAlgorithm = "m.olm.v1.curve25519-aes-sha2"

// SyncChanges is what /sync says to a device.
type SyncChanges struct {
	ToDevice      [][]byte // events of to_device, as JSON
	Changed, Left []ids.UserID
	// OneTimeKeyCount is device_one_time_keys_count.signed_curve25519; negative when the answer has no counts at all.
	OneTimeKeyCount int
	// FallbackUsed says that device_unused_fallback_key_types is there and lacks signed_curve25519.
	FallbackUsed bool
}

// ToDeviceKind is what a to-device event turned out to be.
type ToDeviceKind uint8

const (
	// ToDevicePlain: not encrypted; for the host to read, and to believe nothing of it.
	ToDevicePlain ToDeviceKind = iota
	// ToDeviceRoomKey: an m.room_key; Receipt says what became of it.
	ToDeviceRoomKey
	// ToDeviceDecrypted: an Olm payload of another type, of a device that is known.
	ToDeviceDecrypted
	// ToDeviceRefused: it does not decrypt, or the gate refused it; Err says why, and nothing of it was kept.
	ToDeviceRefused
)

var toDeviceKindNames = [...]string{"plain", "room_key", "decrypted", "refused"}

// String is plain, room_key, decrypted or refused.
func (k ToDeviceKind) String() string { return toDeviceKindNames[k%4] }

// ToDeviceEvent says what became of one to-device event.
type ToDeviceEvent struct {
	Kind    ToDeviceKind
	Receipt *Receipt                 // of a room key
	Event   sender.DecryptedOlmEvent // of everything that was decrypted
	From    *sender.Data             // who sent what was decrypted, but for room keys
	Err     error
}

// SyncResult is the answer of ReceiveSyncChanges.
type SyncResult struct {
	Events    []ToDeviceEvent // one per event, in order
	Reception *Reception      // of the room keys among them, for Settle
}

// ToDeviceError says why a to-device event cannot be read at all.
type ToDeviceError struct {
	Code   string
	Member string
	cause  error
}

// Codes of ToDeviceError.
const (
	CodeBadToDevice       = "bad_to_device"       // no event, or a member is missing or of the wrong form
	CodeNotForUs          = "not_for_this_device" // encrypted for other devices only
	CodePlainRoomKey      = "plain_room_key"      // a room key that did not come through Olm (T17)
	CodeToDeviceAlgorithm = "unsupported_algorithm"
)

// Error is a sentence.
func (e *ToDeviceError) Error() string {
	text := "the to-device event cannot be read"
	switch e.Code {
	case CodeNotForUs:
		text = "the to-device event is encrypted for another device"
	case CodePlainRoomKey:
		text = "the room key was not encrypted"
	case CodeToDeviceAlgorithm:
		text = "the to-device event is encrypted in a way that is not for to-device events"
	}
	if e.Member != "" {
		text += ", `" + e.Member + "`"
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// ErrorCode is the stable name of what went wrong.
func (e *ToDeviceError) ErrorCode() string { return e.Code }

// Unwrap is the error of the room below, if one refused something.
func (e *ToDeviceError) Unwrap() error { return e.cause }

// sealedEvent is an Olm message on its way through the channels.
type sealedEvent struct {
	at      int // in the sync
	sender  string
	key     keys.Curve25519
	message olm.Message
	opened  bool
}

// ReceiveSyncChanges takes what /sync brought. When it returns without an error, Olm state, room keys and device lists are durable: move the sync
// token. One event that cannot be read or decrypted costs only itself. Errors: *AccountError no_account, and those of the store; then nothing was
// written of the Olm messages, and the same sync may be given again.
func (m *Machine) ReceiveSyncChanges(ctx context.Context, in SyncChanges) (*SyncResult, error) {
	m.turn.Lock()
	defer m.leave()
	if err := m.hasAccount(); err != nil {
		return nil, err
	}
	a := m.account.(*ownAccount)
	result := &SyncResult{Events: make([]ToDeviceEvent, len(in.ToDevice)), Reception: &Reception{}}
	var sealed []sealedEvent
	for i, raw := range in.ToDevice {
		if message := m.readToDevice(raw, i, &result.Events[i]); message != nil {
			sealed = append(sealed, *message)
		}
	}
	if err := a.receiveSealed(ctx, sealed, result); err != nil {
		return nil, err
	}
	if len(in.Changed)+len(in.Left) > 0 {
		if err := m.receiveDeviceLists(ctx, in.Changed, in.Left); err != nil {
			return nil, err
		}
	}
	if in.OneTimeKeyCount >= 0 || in.FallbackUsed {
		count := in.OneTimeKeyCount
		if count < 0 {
			count = oneTimeKeys
		}
		if err := a.fillUp(ctx, count, in.FallbackUsed); err != nil {
			return nil, err
		}
		a.dispatchUpload()
	}
	return result, nil
}

// readToDevice is step 1: it reads one event, and returns it if it is an Olm message for us.
func (m *Machine) readToDevice(raw []byte, at int, into *ToDeviceEvent) *sealedEvent {
	refuse := func(code, member string, err error) *sealedEvent {
		*into = ToDeviceEvent{Kind: ToDeviceRefused, Err: &ToDeviceError{Code: code, Member: member, cause: err}}
		return nil
	}
	event, err := signedjson.Parse(raw)
	if err != nil {
		return refuse(CodeBadToDevice, "", err)
	}
	kind, err := event.String("type")
	if err != nil {
		return refuse(CodeBadToDevice, "type", err)
	}
	switch kind {
	case "m.room_key", "m.forwarded_room_key":
		return refuse(CodePlainRoomKey, "type", nil)
	case "m.room_key.withheld":
		notice, err := parseWithheld(raw)
		if err == nil {
			m.noteWithheld(notice)
		}
		into.Err = err
		return nil
	case "m.room.encrypted":
	default:
		return nil
	}
	from, err := event.String("sender")
	if err != nil {
		return refuse(CodeBadToDevice, "sender", err)
	}
	content, err := event.Object("content")
	if err != nil {
		return refuse(CodeBadToDevice, "content", err)
	}
	algorithm, err := content.String("algorithm")
	if err != nil {
		return refuse(CodeBadToDevice, "content.algorithm", err)
	}
	if algorithm != olmAlgorithm {
		return refuse(CodeToDeviceAlgorithm, "content.algorithm", nil) // Megolm among them (T18)
	}
	s := &sealedEvent{at: at, sender: from}
	text, err := content.String("sender_key")
	if err == nil {
		s.key, err = keys.ParseCurve25519(text)
	}
	if err != nil {
		return refuse(CodeBadToDevice, "content.sender_key", err)
	}
	ciphertexts, err := content.Object("ciphertext")
	if err != nil {
		return refuse(CodeBadToDevice, "content.ciphertext", err)
	}
	ours := m.trust.Own().Curve25519.String()
	if _, present := ciphertexts.Value(ours); !present {
		return refuse(CodeNotForUs, "content.ciphertext", nil)
	}
	ciphertext, err := ciphertexts.Object(ours)
	if err != nil {
		return refuse(CodeBadToDevice, "content.ciphertext", err)
	}
	messageType, err := ciphertext.Int("type")
	if err != nil || messageType < 0 || messageType > 1 {
		return refuse(CodeBadToDevice, "content.ciphertext.type", err)
	}
	body, err := ciphertext.String("body")
	if err != nil {
		return refuse(CodeBadToDevice, "content.ciphertext.body", err)
	}
	if s.message, err = olm.ParseMessage(int(messageType), body); err != nil {
		return refuse(CodeBadToDevice, "content.ciphertext.body", err)
	}
	return s
}

// receiveSealed takes Olm messages through the steps 2 to 4.
func (a *ownAccount) receiveSealed(ctx context.Context, sealed []sealedEvent, result *SyncResult) error {
	m := a.machine
	if len(sealed) == 0 {
		return m.write(ctx) // there may be notices
	}
	a.queue.enter()
	defer a.queue.leave()
	for clashes := 0; ; clashes++ {
		opened, err := a.openSealed(ctx, sealed, result)
		if err != nil {
			return err
		}
		if clashes == 0 {
			if err := m.receivePayloads(ctx, sealed, result); err != nil {
				return err
			}
		}
		err = m.writeWith(ctx, opened.ops)
		if err == nil {
			if opened.account != nil {
				a.Account, a.rev = opened.account, a.rev+1
			}
			return nil
		}
		if conflict, ok := clash(err); !ok || clashes == maxClashes || !conflict.Names(opened.ops) {
			return err
		}
		if err := a.reread(ctx); err != nil {
			return err
		}
	}
}

// openedSync is what opening the messages of a sync changes of the Olm state.
type openedSync struct {
	ops     []store.Op
	account *record.Account // nil: unchanged
}

// openSealed is step 2. It changes nothing but what result says of the events.
func (a *ownAccount) openSealed(ctx context.Context, sealed []sealedEvent, result *SyncResult) (*openedSync, error) {
	channels, revs, order, err := a.machine.readChannels(ctx, sealed)
	if err != nil {
		return nil, err
	}
	before := a.Account.Account
	account := before
	changed := map[keys.Curve25519]bool{}
	for i := range sealed {
		s := &sealed[i]
		with := channels[s.key]
		decrypted, err := with.Decrypt(account, s.message)
		if err != nil {
			if !s.opened { // else another tab has opened it since: what it brought is here already
				result.Events[s.at] = ToDeviceEvent{Kind: ToDeviceRefused, Err: err}
			}
			continue
		}
		with.Channels, account = decrypted.Channels, decrypted.Account
		changed[s.key] = true
		if !s.opened {
			s.opened = true
			result.Events[s.at] = ToDeviceEvent{Kind: ToDeviceDecrypted, Event: sender.DecryptedOlmEvent{
				Sender: s.sender, SenderKey: s.key.String(), Payload: decrypted.Plaintext,
			}}
		}
	}
	opened := &openedSync{}
	for _, key := range order {
		if changed[key] {
			row := record.ChannelsRow(channels[key])
			opened.ops = append(opened.ops, store.Op{Table: row.Table, Key: row.Key, Expect: revs[key], Value: row.Value})
		}
	}
	if account != before {
		next := *a.Account
		next.Account = account
		opened.account = &next
		opened.ops = append(opened.ops, a.op(&next))
	}
	return opened, nil
}

// readChannels reads the channels with everybody who sent something. Damaged ones count as none, once a copy of them lies in quarantine: whoever is
// at the other end begins new ones.
func (m *Machine) readChannels(ctx context.Context, sealed []sealedEvent) (map[keys.Curve25519]*record.Channels, map[keys.Curve25519]uint64, []keys.Curve25519, error) {
	channels, revs := map[keys.Curve25519]*record.Channels{}, map[keys.Curve25519]uint64{}
	var order []keys.Curve25519
	var wanted []store.Key
	for i := range sealed {
		if key := sealed[i].key; channels[key] == nil {
			channels[key] = &record.Channels{Channels: olm.NewChannels(key)}
			order, wanted = append(order, key), append(wanted, record.ChannelsKey(key))
		}
	}
	rows, err := m.store.Get(ctx, store.Channels, wanted)
	if err != nil {
		return nil, nil, nil, err
	}
	for i := range rows {
		if rows[i].Rev == 0 {
			continue
		}
		revs[order[i]] = rows[i].Rev
		stored, err := record.DecodeChannels(rows[i])
		if err != nil {
			m.quarantine(store.Channels, &rows[i], err)
			continue
		}
		channels[order[i]] = stored
	}
	return channels, revs, order, nil
}

// receivePayloads is step 3.
func (m *Machine) receivePayloads(ctx context.Context, sealed []sealedEvent, result *SyncResult) error {
	now := m.now()
	arrivals := make([]*arrival, 0, len(sealed))
	var checks checkList
	for i := range sealed {
		if !sealed[i].opened {
			continue
		}
		a := &arrival{into: &result.Events[sealed[i].at]}
		if err := a.prepare(m); err != nil {
			a.into.Kind, a.into.Err = ToDeviceRefused, err
			continue
		}
		a.checks = checks.add(a.list())
		arrivals = append(arrivals, a)
	}
	held, err := checks.verify(ctx, m.verifier)
	if err != nil {
		return err
	}
	for _, a := range arrivals {
		m.arrive(a, held, now, result.Reception)
	}
	m.rememberRecent(result.Reception, now)
	return nil
}

// arrival is a decrypted payload on its way.
type arrival struct {
	into   *ToDeviceEvent
	key    *sender.Reception // of a room key
	other  *sender.OlmEvent
	checks []int // which of the list are its own
}

func (a *arrival) prepare(m *Machine) (err error) {
	a.key, err = m.finder.Prepare(m.trust, a.into.Event)
	if refusal, ok := err.(*sender.RoomKeyError); ok && refusal.Code == sender.CodeNotARoomKey {
		a.key = nil
		a.other, err = m.finder.PrepareEvent(m.trust, a.into.Event)
	}
	return err
}

func (a *arrival) list() []keys.Check {
	if a.key != nil {
		return a.key.AppendChecks(nil)
	}
	return a.other.AppendChecks(nil)
}

// arrive takes a payload to its end once the signatures are checked.
func (m *Machine) arrive(a *arrival, held []bool, now int64, reception *Reception) {
	answers := make([]bool, len(a.checks))
	for i, at := range a.checks {
		answers[i] = held[at]
	}
	if a.key == nil {
		finding, err := a.other.Finish(answers)
		if err != nil {
			a.into.Kind, a.into.Err = ToDeviceRefused, err
			return
		}
		a.into.From = &finding.Data
		return
	}
	receipt := m.keepRoomKey(a.key, answers, now)
	reception.Receipts = append(reception.Receipts, receipt)
	if receipt.Lane == Slow {
		m.lanes.enter(reception, receipt.Copy)
	}
	a.into.Kind, a.into.Receipt = ToDeviceRoomKey, &receipt
}

// checkList are the signatures of many payloads, each once: a device that sends fifty keys embeds the same object in all of them.
type checkList struct {
	all  []keys.Check
	seen map[keys.Signature][]int
}

// add lists checks, and returns where each stands.
func (l *checkList) add(checks []keys.Check) []int {
	if l.seen == nil {
		l.seen = map[keys.Signature][]int{}
	}
	places := make([]int, len(checks))
	for i := range checks {
		c := &checks[i]
		places[i] = -1
		for _, at := range l.seen[c.Signature] {
			if l.all[at].Key == c.Key && string(l.all[at].Message) == string(c.Message) {
				places[i] = at
			}
		}
		if places[i] < 0 {
			places[i] = len(l.all)
			l.seen[c.Signature] = append(l.seen[c.Signature], places[i])
			l.all = append(l.all, *c)
		}
	}
	return places
}

func (l *checkList) verify(ctx context.Context, verifier keys.Verifier) ([]bool, error) {
	if len(l.all) == 0 {
		return nil, nil
	}
	return verifier.Verify(ctx, l.all)
}
