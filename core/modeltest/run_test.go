package modeltest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/policy"
	"knownsender/core/store"
	"knownsender/core/store/storetest"
)

// run is one Machine at work on one snapshot.
type run struct {
	w       *world
	archive *archive
	disk    *store.Memory
	broken  *storetest.Faulty // over disk
	rows    store.Store       // what the Machine sees
	machine *core.Machine
	clock   int64
	server  string // the answer /keys/query gives; "" for none
	verify  keys.Verifier

	background sync.WaitGroup // requests under way
	mu         sync.Mutex     // of what the listener notes down

	receipt   core.Receipt
	reception *core.Reception
	took      string // the event that was shown and has taken its index
	told      []core.PeerNews
	commits   []snapshot // the store after each commit, when watched
	watched   bool
	wrongs    []string
}

// beginning is the clock of the first state.
const beginning = 1_700_000_000_000

// begin opens a Machine on a snapshot. seed, when there is one, puts a fault between the Machine and the store.
func (a *archive) begin(from snapshot, clock int64, seed func(store.Store) store.Store) *run {
	r := &run{w: a.w, archive: a, disk: a.restore(from), clock: clock, verify: a.w.memo}
	if a.credulous {
		r.verify = credulous{}
	}
	r.broken = storetest.NewFaulty(r.disk)
	r.rows = &watch{r.broken, r}
	if seed != nil {
		r.rows = seed(r.rows)
	}
	if err := r.open(); err != nil {
		panic(err)
	}
	return r
}

func (r *run) open() error {
	machine, err := core.Open(context.Background(), core.Options{
		Own: r.w.own, Store: unclosed{r.rows}, Verifier: r.verify, Now: func() int64 { return r.clock },
		VerifyNow: func(checks []keys.Check) []bool { return must(r.verify.Verify(context.Background(), checks)) },
		Listener:  r, Fetcher: r, Spawn: r.background.Go, Jitter: func() float64 { return 0 },
	})
	r.machine = machine
	return err
}

// play does what a letter says, and waits until nothing is under way any more.
func (r *run) play(l *letter) error {
	defer r.background.Wait()
	return l.do(r)
}

// hear is told by another tab.
func (r *run) hear(news core.PeerNews) error {
	defer r.background.Wait()
	return r.machine.HearPeers(context.Background(), news)
}

// wrong notes a broken law.
func (r *run) wrong(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrongs = append(r.wrongs, fmt.Sprintf(format, args...))
}

// note looks at an error that is an answer (I21).
func (r *run) note(err error) {
	if r.w.leaks(err.Error()) {
		r.wrong("I21: an error has a piece of a session key: %v", err)
	}
}

// Send implements lane.Fetcher. The devices of the model have their Olm elsewhere, so it is always a /keys/query.
func (r *run) Send(context.Context, *lane.Request) ([]byte, error) {
	if r.server == "" {
		return nil, &lane.FetchError{Code: lane.CodeFetchFailed, Err: errors.New("no network")}
	}
	return r.w.answers[r.server], nil
}

// The listener.
func (r *run) RoomKeysUpdated([]core.RoomKeyInfo) {}

func (r *run) SenderDataUpdated(updates []core.SenderDataUpdate) {
	for i := range updates {
		u := &updates[i]
		if u.After.Kind < u.Before.Kind {
			r.wrong("I3: told that %v became %v", u.Before.Kind, u.After.Kind)
		}
		if u.Because == "" {
			r.wrong("a change was told without its cause")
		}
	}
}

func (r *run) StoreReported(report core.StoreReport) {
	if report.Code == core.CodeRecordQuarantined {
		r.wrong("N5: a row of %s was set aside: %s", report.Table, report.Message)
	}
	if r.w.leaks(report.Message) {
		r.wrong("I21: a report has a piece of a session key: %s", report.Message)
	}
}

func (r *run) PeersTold(news core.PeerNews) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, news)
}

// watch takes a snapshot after each commit: the places where a crash may fall.
type watch struct {
	store.Store
	r *run
}

func (s *watch) Commit(ctx context.Context, b store.Batch) error {
	err := s.Store.Commit(ctx, b)
	if err == nil && s.r.watched {
		s.r.commits = append(s.r.commits, s.r.archive.take(s.r.disk))
	}
	return err
}

// unclosed survives the Machine that closes it.
type unclosed struct{ store.Store }

func (unclosed) Close() error { return nil }

// view is what a Machine says to everything it can be asked about a state.
type view struct {
	shown uint64   // a bit a probe
	all   [16]byte // of all answers
}

// probe is one question: who is the event's sender, which index, which room, under which policy.
type probe struct {
	room    ids.RoomID
	from    ids.UserID
	index   uint32
	under   policy.TrustRequirement
	eventID ids.EventID
}

var probes = func() []probe {
	var all []probe
	for _, in := range []ids.RoomID{room, otherRoom} {
		for _, from := range []ids.UserID{alice, mallory} {
			for under := range policy.TrustRequirement(policy.Requirements) {
				all = append(all, probe{in, from, 0, under, "$zero"}, probe{in, from, 2, under, "$first"})
			}
		}
	}
	return all
}()

// look asks the Machine everything. It must not write (I22).
func (r *run) look() view {
	ctx := context.Background()
	for _, in := range []ids.RoomID{room, otherRoom} {
		if err := r.machine.LoadRoom(ctx, in); err != nil {
			r.wrong("the room does not load: %v", err)
		}
	}
	r.watched, r.commits = true, nil
	var v view
	all := make([]byte, 0, 256)
	for i := range probes {
		p := &probes[i]
		r.machine.SetTrustRequirement(p.under)
		info, err := r.machine.RoomEventEncryptionInfo(core.EventName{
			RoomID: p.room, SessionID: r.w.name, Sender: p.from, EventID: p.eventID, Index: p.index,
		})
		if err != nil {
			r.wrong("no verdict: %v", err)
			continue
		}
		if info.Verdict.Shown {
			v.shown |= 1 << i
		}
		all = append(all, byte(info.Verdict.State))
	}
	if len(r.commits) != 0 {
		r.wrong("I22: asking has written")
	}
	r.watched = false
	r.machine.SetTrustRequirement(policy.Untrusted)
	for _, user := range []ids.UserID{alice, mallory, me} {
		identity, verification, violation, known := r.machine.Identity(user)
		all = append(append(all, byte(verification)), identity.Master[:]...)
		all = append(append(all, identity.Pinned[:]...), identity.SelfSigning[:]...)
		for _, is := range []bool{violation, known, identity.PreviouslyVerified, identity.SignedByUs} {
			all = append(all, map[bool]byte{false: 0, true: 1}[is])
		}
	}
	v.all = hash(all)
	return v
}
