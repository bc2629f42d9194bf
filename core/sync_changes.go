package core

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/olm"
	"knownsender/core/policy"
	"knownsender/core/record"
	"knownsender/core/redact"
	"knownsender/core/sender"
	"knownsender/core/signedjson"
	"knownsender/core/store"
)

// The raw edge: what /sync brings to a device whose Olm account is here.
//
//	1  every to-device event is read; what is not encrypted goes to the host as it came, and no plain event is ever a room key (T17)
//	2  Olm messages are opened one after the other, over the channels as they lie in the store, or lay there lately; nothing is changed by one that does not open
//	3  the payloads go through the gate and the finder, the signatures of all of them checked in one go
//	4  Olm state, new one-time keys and room keys are written in one batch: when the call returns, the sync token may move (decision 16)
//
// Should another tab have used the same channels or the account meanwhile, 2 and 3 are done again on what it wrote. A message that it has opened is then a
// replay for the state: what it brought is kept once, and refused here when it had been opened over channels that were only remembered.

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

// ToDeviceError says why a to-device event cannot be read at all, or with a code of the policy's why it is withheld.
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
	case policy.CodeUnsignedDevice, policy.CodeVerificationViolation, policy.CodeUnverifiedIdentity, policy.CodeTampered:
		text = "the policy withholds what the sender of the to-device event writes"
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
	redact.Secret
	at      int // in the sync
	sender  string
	user    ids.UserID // sender, if it is one
	key     keys.Curve25519
	message olm.Message
	opened  bool
	recalls bool // opened over remembered channels
	wedged  bool // it did not decrypt, and a new session could help
}

// ReceiveSyncChanges takes what /sync brought. When it returns without an error, Olm state, room keys and device lists are durable: move the sync
// token. One event that cannot be read or decrypted costs only itself. Errors: *AccountError no_account, and those of the store; then nothing was
// written of the Olm messages, and the same sync may be given again.
func (m *Machine) ReceiveSyncChanges(ctx context.Context, in SyncChanges) (*SyncResult, error) {
	m.turn.Lock()
	defer m.leave()
	a, err := m.ownAccount()
	if err != nil {
		return nil, err
	}
	// These first: should they fail nothing has been opened yet, and they may be said again.
	if len(in.Changed)+len(in.Left) > 0 {
		if err := m.receiveDeviceLists(ctx, in.Changed, in.Left); err != nil {
			return nil, err
		}
	}
	result := &SyncResult{Events: make([]ToDeviceEvent, len(in.ToDevice)), Reception: &Reception{}}
	var sealed []sealedEvent
	for i, raw := range in.ToDevice {
		if message := m.readToDevice(raw, i, &result.Events[i]); message != nil {
			sealed = append(sealed, *message)
		}
	}
	var over channelSet
	err = a.carryFrom(ctx, true, func() (next *record.Account, ops []store.Op, err error) {
		next, over, err = a.receive(ctx, sealed, &in, result)
		return next, over.ops(), err
	})
	if err != nil {
		m.lanes.leave(result.Reception)
		return nil, err
	}
	a.recent.keep(over)
	a.dispatchUpload()
	_ = a.mend(ctx, sealed) // what the sync brought is stored; the next message that does not decrypt begins it again
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
	s.user, _ = ids.ParseUserID(from) // the gate refuses one that is none
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

// receive is the steps 2 and 3, and what is to be written in step 4: the account, nil where it stays, and channels.
func (a *ownAccount) receive(ctx context.Context, sealed []sealedEvent, in *SyncChanges, result *SyncResult) (*record.Account, channelSet, error) {
	next := *a.Account
	var over channelSet
	if len(sealed) > 0 {
		account, channels, fresh, err := a.openSealed(ctx, sealed, result)
		if err == nil && slices.ContainsFunc(sealed, func(s sealedEvent) bool { return !s.opened }) {
			// It may be for a one-time key that another tab has made, or for a channel that it has begun.
			rev := a.rev
			if err = a.refresh(ctx); err == nil && (a.rev != rev || channels.recalled) {
				clear(a.recent)
				next = *a.Account
				var more []*ToDeviceEvent
				account, channels, more, err = a.openSealed(ctx, sealed, result)
				fresh = append(fresh, more...)
			}
		}
		if err == nil {
			err = a.machine.receivePayloads(ctx, fresh, result)
		}
		if err != nil {
			return nil, channelSet{}, err
		}
		next.Account, over = account, channels
	}
	if in.OneTimeKeyCount >= 0 || in.FallbackUsed {
		count := in.OneTimeKeyCount
		if count < 0 {
			count = oneTimeKeys
		}
		next = *a.filled(&next, count, in.FallbackUsed)
	}
	if next.Account == a.Account.Account {
		return nil, over, nil
	}
	return &next, over, nil
}

// maxEffort is for how many Olm messages the host waits for its turn: some fifteen milliseconds, in a page.
const maxEffort = 64

// openSealed is step 2. It returns the account and the channels as they come after it, and those of the events that nobody has opened before;
// nothing is changed but what result says of the events.
func (a *ownAccount) openSealed(ctx context.Context, sealed []sealedEvent, result *SyncResult) (account *olm.Account, set channelSet, fresh []*ToDeviceEvent, err error) {
	wanted := make([]keys.Curve25519, len(sealed))
	for i := range sealed {
		wanted[i] = sealed[i].key
	}
	if set, err = a.machine.recallChannels(ctx, wanted, a.recent); err != nil {
		return nil, set, nil, err
	}
	account = a.Account.Account
	if err = a.agree(ctx, sealed, set); err != nil {
		return nil, set, nil, err
	}
	effort := 0
	for i := range sealed {
		s, into := &sealed[i], &result.Events[sealed[i].at]
		if effort >= maxEffort && a.machine.rest != nil {
			a.machine.turn.give(a.machine.rest)
			effort = 0
		}
		effort++
		channels := set.with[s.key]
		decrypted, err := channels.Decrypt(account, s.message)
		if err != nil {
			// What was opened here, and by another tab at the same time, is here already; by another tab long before, it is a replay.
			if refused, _ := err.(*olm.Error); !s.opened || s.recalls && refused != nil && refused.Code == olm.CodeOlmMessageReplayed {
				*into = ToDeviceEvent{Kind: ToDeviceRefused, Err: err}
				s.opened, s.wedged = false, wedged(err)
			}
			continue
		}
		channels.moveOn(decrypted.Channels)
		account = decrypted.Account
		if !s.opened {
			s.opened, s.recalls, s.wedged = true, channels.recalled, false
			*into = ToDeviceEvent{Kind: ToDeviceDecrypted, Event: sender.DecryptedOlmEvent{
				Sender: s.sender, SenderKey: s.key.String(), Payload: decrypted.Plaintext,
			}}
			fresh = append(fresh, into)
		}
	}
	return account, set, fresh, nil
}

// agree has the keys agreed with which messages begin sessions, all in one go, and for one message of each session: the next ones find it there.
func (a *ownAccount) agree(ctx context.Context, sealed []sealedEvent, set channelSet) error {
	m := a.machine
	var exchanges []keys.Exchange
	defer func() { clear(exchanges) }()
	ends := make([]int, len(sealed))
	seen := map[[sha256.Size]byte]bool{}
	for i := range sealed {
		if s := &sealed[i]; set.with[s.key].Begins(&s.message) && !seen[s.message.Beginning()] {
			seen[s.message.Beginning()] = true
			exchanges = append(exchanges, a.Exchanges(&s.message)...)
		}
		ends[i] = len(exchanges)
	}
	if len(exchanges) == 0 {
		return nil
	}
	secrets, err := m.agreed(ctx, exchanges)
	if err != nil {
		return err
	}
	from := 0
	for i := range sealed {
		sealed[i].message = sealed[i].message.Agreed(secrets[from:ends[i]])
		from = ends[i]
	}
	return nil
}

// receivePayloads is step 3, for those events. When something is learned of people while signatures are checked, what was found before may not hold any
// more, and is found again; the second time here, without a wait.
func (m *Machine) receivePayloads(ctx context.Context, events []*ToDeviceEvent, result *SyncResult) error {
	arrivals, checks := m.prepareArrivals(events)
	known := m.trust.Changes()
	held, err := checks.verify(ctx, m.verifier)
	if err != nil {
		return err
	}
	if m.closed {
		return errClosed()
	}
	if m.trust.Changes() != known {
		arrivals, checks = m.prepareArrivals(events)
		if held, err = checks.verify(ctx, keys.Go{}); err != nil {
			return err
		}
	}
	now := m.now()
	for _, a := range arrivals {
		m.arrive(a, held, now, result.Reception)
	}
	m.rememberRecent(result.Reception, now)
	return nil
}

// prepareArrivals takes payloads as far as it goes without checking signatures.
func (m *Machine) prepareArrivals(events []*ToDeviceEvent) ([]*arrival, *checkList) {
	arrivals, checks := make([]*arrival, 0, len(events)), &checkList{}
	for _, event := range events {
		if event.Kind != ToDeviceDecrypted {
			continue // refused by the time before
		}
		key, other, err := m.finder.PrepareEvent(m.trust, event.Event)
		if err != nil {
			event.Kind, event.Err = ToDeviceRefused, err
			continue
		}
		a := &arrival{into: event, key: key, other: other}
		a.checks = checks.add(a.list())
		arrivals = append(arrivals, a)
	}
	return arrivals, checks
}

// arrival is a decrypted payload on its way.
type arrival struct {
	into   *ToDeviceEvent
	key    *sender.Reception // of a room key
	other  *sender.OlmEvent  // of everything else
	checks []int             // which of the list are its own
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
		if code := m.withheldToDevice(a.other.Type, &finding); code != "" {
			a.into.Kind, a.into.Err = ToDeviceRefused, &ToDeviceError{Code: code}
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

// withheldToDevice is the policy's code where it withholds what such a sender writes, as it does in rooms (scenario 52). Exempt is what may be said without
// encryption too, without which nobody becomes verified, and what has rules of its own for who may bring it.
func (m *Machine) withheldToDevice(kind string, found *sender.Finding) string {
	switch kind {
	case "m.room_key.withheld", "m.room_key_request", "m.secret.request", "m.forwarded_room_key", "m.room_key_bundle":
		return ""
	}
	like := &sender.Copy{Current: found.Data, Suspended: found.Outcome != sender.Keep}
	verdict := policy.Lookup(policy.StateOf(like, found.Data.UserID), m.requirement)
	if verdict.Shown || strings.HasPrefix(kind, "m.key.verification.") {
		return ""
	}
	return verdict.Code
}

// checkList are the signatures of many payloads, each once: a device that sends fifty keys embeds the same object in all of them.
type checkList struct {
	redact.Secret
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
