package core

import (
	"context"
	"fmt"
	"io"

	"knownsender/core/ids"
	"knownsender/core/keyfile"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/policy"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/trust"
)

// Options is what a Machine is made of.
type Options struct {
	// Own is this device. Room keys for any other are refused at the gate. Without identity keys the machine has an Olm account of its own, by
	// OpenAccount.
	Own trust.Own
	// OpenAccount is the function of that name, or nil where no machine is to have an account of its own.
	OpenAccount func(ctx context.Context, s store.Store, user ids.UserID, device ids.DeviceID) (OlmAccount, error)
	// Store keeps everything; the Machine closes it.
	Store store.Store
	// Verifier checks signatures on the calls that may wait. nil: in Go.
	Verifier keys.Verifier
	// VerifyNow checks signatures on ReceiveRoomKeys, which may not wait: one answer for each check. nil: in Go.
	VerifyNow func([]keys.Check) []bool
	// Now is the clock, in milliseconds since 1970.
	Now func() int64
	// TrustRequirement is the policy to begin with.
	TrustRequirement policy.TrustRequirement
	// ClaimsMayOverruleDirect: see policy.Question. Off unless a host knows what it does (decision 12).
	ClaimsMayOverruleDirect bool
	// Listener hears of changes; nil: nobody does.
	Listener Listener
	// Fetcher sends the lanes' requests; nil: the host does, see OutgoingRequests.
	Fetcher lane.Fetcher
	// Spawn runs a function by itself; nil: in a goroutine.
	Spawn func(func())
	// Agreement computes X25519 for the server-side backup, on calls that may wait. nil: in Go.
	Agreement keyfile.Agreement
	// SenderDataKey authenticates what our own devices say of senders in exports and backups. nil: nothing is said there, and nothing believed.
	SenderDataKey *keyfile.SenderDataKey
	// Rest lets the host have its turn in the middle of long work. nil: where work is not done on the host's thread.
	Rest func()
	// Turns is counted up before a verdict may change: as long as it stands RoomEventEncryptionInfo says what it said, and what FinishDecryption did. But when
	// an event is decrypted that shares its message index with one that was not, the other is a replay. nil: nobody looks.
	Turns *uint32
	// Jitter gives random numbers from 0 up to but not 1; nil: the library's.
	Jitter func() float64
}

// Machine tells who sent every room key, keeps that with the key, and decides what may be shown.
type Machine struct {
	store     store.Store
	verifier  keys.Verifier
	verifyNow func([]keys.Check) []bool
	now       func() int64
	rest      func()
	listener  Listener

	account OlmAccount // nil: the host has its own Olm
	trust   *trust.Index
	finder  *sender.Finder
	shelf   *shelf
	reads   map[ids.RoomID]*roomReads
	checks  []keys.Check // scratch of the synchronous path
	pending pending      // re-judging that an earlier run did not finish
	lanes   lanes
	company bool // other tabs are open over the same store
	recent  []recent

	agreement     keyfile.Agreement
	senderDataKey *keyfile.SenderDataKey

	requirement   policy.TrustRequirement
	claimsMayRule bool
	closed        bool

	quarantined map[string]bool // rows that were reported
	aside       []store.Op      // rows to be set aside with the next batch
	queries     map[string]trust.Query
	revs        map[ids.UserID]uint64 // of the rows that trust holds
	uploads     []upload              // to the server-side backup, under way

	turn    turn
	untold  []func(Listener)   // what the listener has yet to hear, in order
	seen    []SenderDataUpdate // what another tab wrote, to be told after that
	telling bool
	// writing orders our own commits, so that they do not conflict with one another. No synchronous call takes it.
	writing queue
	// learning orders changes of trust: each is computed on the rows the one before it wrote.
	learning queue
	// backing orders marks of what is in the server-side backup with changes of which backup that is.
	backing queue
}

// Open loads what the store knows of people and returns a Machine. Damaged rows are set aside and reported to the listener; they never keep
// the rest from loading. Errors: those of the store.
func Open(ctx context.Context, options Options) (*Machine, error) {
	var account OlmAccount
	if own := &options.Own; own.Ed25519 == (keys.Ed25519{}) && own.Curve25519 == (keys.Curve25519{}) {
		if options.OpenAccount == nil {
			return nil, &AccountError{Code: CodeNoAccount}
		}
		var err error
		if account, err = options.OpenAccount(ctx, options.Store, own.UserID, own.DeviceID); err != nil {
			return nil, err
		}
		*own = account.own()
	}
	m := &Machine{
		account:       account,
		now:           options.Now,
		rest:          options.Rest,
		listener:      options.Listener,
		trust:         trust.NewIndex(options.Own),
		finder:        sender.NewFinder(),
		shelf:         newShelf(),
		reads:         map[ids.RoomID]*roomReads{},
		lanes:         newLanes(&options),
		requirement:   options.TrustRequirement,
		claimsMayRule: options.ClaimsMayOverruleDirect,
		quarantined:   map[string]bool{},
		queries:       map[string]trust.Query{},
		revs:          map[ids.UserID]uint64{},
	}
	m.turn.taken = options.Turns
	if m.turn.taken == nil {
		m.turn.taken = new(uint32)
	}
	m.turn.Lock()
	defer m.leave()
	m.store = politeStore{&m.turn, options.Store}
	if account != nil {
		account.bind(m)
	}
	m.writing.turn, m.learning.turn, m.backing.turn = &m.turn, &m.turn, &m.turn
	m.verifier, m.verifyNow = keys.Go{}, options.VerifyNow
	if m.verifyNow == nil {
		m.verifyNow = keys.VerifyAll
	}
	m.agreement, m.senderDataKey = keyfile.GoAgreement{}, options.SenderDataKey
	if options.Agreement != nil {
		m.agreement = options.Agreement
	}
	if options.Verifier != nil {
		m.verifier = politeVerifier{&m.turn, options.Verifier}
	}
	if m.listener == nil {
		m.listener = silence{}
	}

	if err := m.loadPeople(ctx); err != nil {
		return nil, err
	}
	if err := m.loadPending(ctx); err != nil {
		return nil, err
	}
	return m, nil
}

// Close writes what is still unwritten and closes the store. The error is that of the last write; the Machine is closed all the same.
// Calls after Close answer `closed`.
func (m *Machine) Close(ctx context.Context) error {
	m.turn.Lock()
	defer m.leave()
	if m.closed {
		return nil
	}
	err := m.flush(ctx)
	m.closed = true
	if closing := m.store.Close(); err == nil {
		err = closing
	}
	return err
}

// TrustRequirement is the policy in force.
func (m *Machine) TrustRequirement() policy.TrustRequirement {
	m.turn.Lock()
	defer m.leave()
	return m.requirement
}

// SetTrustRequirement changes the policy for every verdict from now on. Nothing is decrypted, judged or written again.
func (m *Machine) SetTrustRequirement(r policy.TrustRequirement) {
	m.turn.Lock()
	defer m.leave()
	m.requirement = r
}

// RoomKeyCounts is how many copies of room keys are stored, and how many of them are in the server's backup. The numbers are kept, not
// counted.
type RoomKeyCounts struct {
	Total    int64
	BackedUp int64 // in the backup in use; suspended keys never are, nor those that are known only through somebody who handed them over
}

// Names of the stored counters.
const (
	counterCopies   = "copies"
	counterBackedUp = "backed_up"
)

// RoomKeyCounts reads the kept numbers.
func (m *Machine) RoomKeyCounts(ctx context.Context) (RoomKeyCounts, error) {
	m.turn.Lock()
	defer m.leave()
	if m.closed {
		return RoomKeyCounts{}, errClosed()
	}
	counters, err := m.store.Counters(ctx)
	if err != nil {
		return RoomKeyCounts{}, err
	}
	return RoomKeyCounts{Total: counters[counterCopies], BackedUp: counters[counterBackedUp]}, nil
}

// Format prints the same for every machine, whatever the verb: it holds ratchets, and rows that hold ratchets, and a log must never be where
// a secret is found.
func (m *Machine) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "core.Machine") }

// errClosed is what every call answers after Close.
func errClosed() error {
	return &store.Error{Code: store.CodeClosed, Message: "the machine was closed"}
}

// clash tells a failed compare-and-set from every other error.
func clash(err error) (*store.Error, bool) {
	e, ok := err.(*store.Error)
	return e, ok && e.Code == store.CodeConflict
}
