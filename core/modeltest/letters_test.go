package modeltest

import (
	"context"
	"errors"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/policy"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/testkit"
)

// The alphabet. A letter does one thing to a Machine; what it may bring about is said in laws_test.go.

type kind uint8

const (
	delivery kind = iota // a room key inside Olm
	imported             // a claim, written by another tab
	answered             // an answer to /keys/query
	decided              // a person decided
	waited               // a pass of the retry lane
	shown                // an event was decrypted and shown
	started              // the client was closed and opened
)

// letter is one thing that may happen.
type letter struct {
	name string
	kind kind
	do   func(*run) error

	// Of deliveries and claims.
	brings   sender.CopyKey
	index    uint32
	genuine  bool         // its ratchet leads to the one Alice's messages are encrypted with
	proves   keys.Ed25519 // the fingerprint key that goes with it
	from     ids.UserID   // the Olm user, none of claims
	legacy   bool         // of claims
	embedded []byte       // the device that came with it
	refused  bool         // the gate must refuse it
	answer   string       // what the server answers meanwhile, if it does
}

// alphabet is every letter.
func (w *world) alphabet() []*letter {
	var all []*letter
	add := func(l *letter) { all = append(all, l) }
	none, hers := []byte(nil), fingerprint(w.phone.Ed25519())

	// Deliveries.
	direct := func(name string, from *testkit.Device, in ids.RoomID, session *testkit.Outbound, index uint32, embedded []byte, hooks ...testkit.Hook) *letter {
		event := w.payload(from, in, session, index, embedded, hooks...)
		l := &letter{
			name: name, kind: delivery, index: index, genuine: session == w.session, embedded: embedded,
			brings: sender.CopyKey{RoomID: in, SessionID: w.name, SenderKey: curve(from.Curve25519()), Provenance: sender.Direct},
			proves: fingerprint(from.Ed25519()), from: ids.UserID(from.User.ID),
		}
		l.do = func(r *run) error { return r.receive(event) }
		add(l)
		return l
	}
	direct("key at 0", w.phone, room, w.session, 0, none)
	direct("key at 2", w.phone, room, w.session, 2, none)
	direct("key at 0, device unsigned", w.phone, room, w.session, 0, w.devices["unsigned"])
	direct("key at 2, device signed", w.phone, room, w.session, 2, w.devices["signed"])
	direct("key at 0, device forged", w.phone, room, w.session, 0, w.devices["forged"])
	direct("key at 2, device signed by the second", w.phone, room, w.session, 2, w.devices["signed by the second"])
	direct("another ratchet at 0", w.phone, room, w.invented, 0, none)
	direct("mallory's at 0", w.hers, room, w.session, 0, none)
	direct("mallory's at 2, device signed", w.hers, room, w.session, 2, w.devices["desk"])
	direct("mallory's at 0, other room", w.hers, otherRoom, w.session, 0, none)
	direct("mallory's at 0, alice's fingerprint", w.hers, room, w.session, 0, none, testkit.In("keys", testkit.Set("ed25519", w.phone.Ed25519()))).proves = hers
	direct("mallory's at 0, alice's device", w.hers, room, w.session, 0, w.devices["signed"]).refused = true
	direct("key at 0, for somebody else", w.phone, room, w.session, 0, none, testkit.Set("recipient", string(mallory))).refused = true

	// The same, with the slow lane waiting for an answer.
	settled := func(of *letter, name, answer string) {
		slow := *of
		slow.name, slow.answer = of.name+", "+name, answer
		slow.do = func(r *run) error {
			r.server = answer
			if err := of.do(r); err != nil || r.reception == nil {
				return err
			}
			_, err := r.machine.Settle(context.Background(), r.reception)
			return err
		}
		add(&slow)
	}
	settled(all[0], "settled in vain", "")
	settled(all[0], "settled", "alice signed")
	settled(all[3], "settled", "alice verified")

	// Claims.
	claimed := func(name string, names *testkit.Device, session *testkit.Outbound, index uint32, legacy bool) {
		c := w.claim(names, session, index, legacy)
		add(&letter{
			name: name, kind: imported, brings: c.CopyKey, index: index, genuine: session == w.session, proves: c.Ed25519, legacy: legacy,
			do: func(r *run) error { return r.importClaim(*c) },
		})
	}
	claimed("claim of alice's at 0", w.phone, w.session, 0, true)
	claimed("claim of alice's at 2", w.phone, w.session, 2, true)
	claimed("claim of mallory's at 0", w.hers, w.session, 0, true)
	claimed("forwarded claim of a stranger's, another ratchet", w.stranger, w.invented, 0, false)

	// What servers answer.
	for _, name := range sorted(w.answers) {
		if name == "everybody signed" {
			continue
		}
		user := alice
		switch name[:2] {
		case "me":
			user = me
		case "ma":
			user = mallory
		}
		add(&letter{name: "answer: " + name, kind: answered, answer: name, do: func(r *run) error { return r.ask(user, name) }})
	}
	add(&letter{name: "answer nobody asked for: alice signed", kind: answered, answer: "alice signed", do: func(r *run) error {
		_, err := r.machine.ReceiveKeysQueryResponse(context.Background(), w.answers["alice signed"], "")
		return err
	}})
	add(&letter{name: "answer: alice rotated, overtaking alice verified", kind: answered, answer: "alice rotated, signed", do: func(r *run) error {
		early := r.machine.QueryKeysForUsers([]ids.UserID{alice})
		if err := r.ask(alice, "alice rotated, signed"); err != nil {
			return err
		}
		_, err := r.machine.ReceiveKeysQueryResponse(context.Background(), w.answers["alice verified"], early.ID)
		return err
	}})

	// What people decide.
	decide := func(name string, do func(*run) error) {
		add(&letter{name: name, kind: decided, do: func(r *run) error {
			err := do(r)
			var coded interface{ ErrorCode() string }
			var failed *store.Error
			if errors.As(err, &coded) && !errors.As(err, &failed) {
				return nil // there is nothing of the kind to decide about
			}
			return err
		}})
	}
	decide("we trust our identity", func(r *run) error { return r.machine.TrustOwnIdentity(context.Background(), w.me1) })
	decide("we trust our reset identity", func(r *run) error { return r.machine.TrustOwnIdentity(context.Background(), w.me2) })
	decide("we withdraw from alice", func(r *run) error { return r.machine.WithdrawVerification(context.Background(), alice) })
	decide("we withdraw from our own", func(r *run) error { return r.machine.WithdrawVerification(context.Background(), me) })
	decide("we accept alice's identity", func(r *run) error { return r.machine.PinCurrentIdentity(context.Background(), alice) })

	// Time.
	pass := func(name, answer string) {
		add(&letter{name: name, kind: waited, answer: answer, do: func(r *run) error { r.server = answer; return r.tick() }})
	}
	pass("a day without network", "")
	pass("a day, and alice is signed", "alice signed")
	pass("a day, and alice is unsigned", "alice unsigned")
	add(&letter{name: "restart", kind: started, do: func(r *run) error {
		if err := r.machine.Close(context.Background()); err != nil {
			return err
		}
		if err := r.open(); err != nil {
			return err
		}
		return r.machine.Resume(context.Background())
	}})

	// Events.
	show := func(name, id string) {
		message := w.message(2, id)
		add(&letter{name: name, kind: shown, do: func(r *run) error { return r.decrypt(message, id) }})
	}
	show("alice's message at 2", "$first")
	show("the same ciphertext as another event", "$second")
	return all
}

// receive receives a room key and makes it durable.
func (r *run) receive(event sender.DecryptedOlmEvent) error {
	reception := r.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{event})
	r.receipt = reception.Receipts[0]
	if r.receipt.Err != nil {
		r.note(r.receipt.Err)
		return nil
	}
	r.reception = reception
	return r.machine.Flush(context.Background())
}

// importClaim is what an import in another tab does to the store, and what that tab tells ours.
func (r *run) importClaim(c sender.Copy) error {
	ctx := context.Background()
	c.ReceivedAt = r.clock
	for {
		key := record.CopyKey(c.CopyKey)
		there, err := r.rows.Get(ctx, store.Copies, []store.Key{key})
		if err != nil {
			return err
		}
		next, batch := &c, store.Batch{Strict: true, Counters: map[string]int64{"copies": 1}}
		if there[0].Rev != 0 {
			stored, err := record.DecodeCopy(there[0])
			if err != nil {
				return err
			}
			joined, report := sender.Join(stored, &c)
			if !report.Changed {
				return nil
			}
			next, batch.Counters = joined, nil
		}
		row := record.CopyRow(next)
		batch.Ops = []store.Op{{Table: row.Table, Key: row.Key, Expect: there[0].Rev, Value: row.Value, Index: row.Index}}
		err = r.rows.Commit(ctx, batch)
		var refused *store.Error
		if errors.As(err, &refused) && refused.Code == store.CodeConflict {
			continue
		}
		if err != nil {
			return err
		}
		news := core.PeerNews{Copies: []sender.CopyKey{c.CopyKey}}
		r.told = append(r.told, news)
		return r.machine.HearPeers(ctx, news)
	}
}

// ask makes a request and brings the answer.
func (r *run) ask(user ids.UserID, answer string) error {
	request := r.machine.QueryKeysForUsers([]ids.UserID{user})
	_, err := r.machine.ReceiveKeysQueryResponse(context.Background(), r.w.answers[answer], request.ID)
	return err
}

// tick lets everything become due and makes one pass of the retry lane.
func (r *run) tick() error {
	r.clock += (lane.MaxDelay + lane.MaxDelay/10).Milliseconds()
	next, err := r.machine.Retry(context.Background())
	r.background.Wait()
	if err == nil && next <= r.clock {
		r.wrong("I20: the next pass of the retry lane is due at once")
	}
	return err
}

// decrypt shows an event, and makes durable that it has taken its index.
func (r *run) decrypt(message []byte, id string) error {
	event, err := r.machine.DecryptRoomEvent(context.Background(), message, room)
	var refused *core.DecryptionError
	if errors.As(err, &refused) {
		r.note(err)
		return nil
	}
	if err != nil {
		return err
	}
	if event.Info.Verdict.State != policy.StateMismatchedSender {
		r.took = id
	}
	return r.machine.Flush(context.Background())
}
