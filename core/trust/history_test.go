package trust_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

// model is a naive second account of how we stand to people: it remembers which keys were learned and who signed what, and works everything
// out anew each time it is asked.
type model struct {
	ours    *testkit.Identity             // our identity as last learned
	trusted string                        // master key declared to be ours
	was     bool                          // one ever was
	learned map[string]*testkit.Identity  // identity as last learned
	signed  map[string]map[string]bool    // user -> our user-signing keys on the master key as last learned
	latched map[string]bool               // verified once
	pinned  map[string]string             // master key met first or accepted
	devices map[string]map[string]*device // devices as last learned
}

type device struct {
	by      string // self-signing key it was signed by, "" for none
	corrupt bool
}

func (m *model) own() trust.Verification {
	switch {
	case m.ours != nil && m.ours.Master.Public() == m.trusted:
		return trust.Verified
	case m.ours != nil && m.was:
		return trust.Violation
	}
	return trust.Unverified
}

func (m *model) of(user string) trust.Verification {
	switch {
	case m.learned[user] == nil:
		return trust.Unverified
	case m.own() == trust.Verified && m.signed[user][m.ours.UserSigning.Public()]:
		return trust.Verified
	case m.latched[user]:
		return trust.Violation
	}
	return trust.Unverified
}

// latch goes through everybody, as often as anything changes.
func (m *model) latch() {
	for user := range m.learned {
		if m.of(user) == trust.Verified {
			m.latched[user] = true
		}
	}
}

// TestRandomHistories: whatever happens in whatever order, the Index stands where the model stands; memory and rows agree and every change
// names exactly what is different (both looked at after each step by the world).
func TestRandomHistories(t *testing.T) {
	histories := 60
	if testing.Short() {
		histories = 10
	}
	for seed := range histories {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { randomHistory(t, uint64(seed), 40) })
	}
}

func randomHistory(t *testing.T, seed uint64, steps int) {
	random := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t)
	people := []*testkit.User{w.user("alice"), w.user("carol"), w.user("dave")}
	m := &model{learned: map[string]*testkit.Identity{}, signed: map[string]map[string]bool{}, latched: map[string]bool{}, pinned: map[string]string{}, devices: map[string]map[string]*device{}}
	// What is published now, beside the kit.
	signs := map[*testkit.Identity]map[string]bool{}
	published := map[*testkit.Device]*device{}
	serial := 0
	var log []string

	learn := func(users ...*testkit.User) {
		var listed []string
		for _, user := range users {
			listed = append(listed, user.ID)
		}
		log = append(log, fmt.Sprint("learn ", listed))
		w.learn(users...)
		for _, user := range users {
			identity := *user.Identity
			if user == w.me {
				m.ours = &identity
				continue
			}
			m.learned[user.ID] = &identity
			m.signed[user.ID] = map[string]bool{}
			for key := range signs[user.Identity] {
				m.signed[user.ID][key] = true
			}
			if m.pinned[user.ID] == "" {
				m.pinned[user.ID] = identity.Master.Public()
			}
			m.devices[user.ID] = map[string]*device{}
			for _, d := range user.Devices {
				m.devices[user.ID][d.ID] = published[d]
			}
		}
	}
	for range steps {
		user := people[random.IntN(len(people))]
		switch random.IntN(14) {
		case 0, 1, 2:
			learn(user)
		case 3:
			learn(w.me)
		case 4:
			learn(append([]*testkit.User{w.me}, people...)...)
		case 5:
			log = append(log, "verify "+user.ID)
			w.me.Verifies(user)
			if signs[user.Identity] == nil {
				signs[user.Identity] = map[string]bool{}
			}
			signs[user.Identity][w.me.Identity.UserSigning.Public()] = true
		case 6:
			log = append(log, "reset "+user.ID)
			user.ResetIdentity()
		case 7:
			switch random.IntN(3) {
			case 0:
				log = append(log, "we reset")
				w.me.ResetIdentity()
			case 1:
				log = append(log, "we rotate")
				w.me.RotateUserSigning()
			default:
				log = append(log, "rotate "+user.ID)
				user.RotateSelfSigning()
			}
		case 8, 9:
			serial++
			d := user.Device(fmt.Sprintf("D%02d", serial))
			published[d] = &device{}
			switch random.IntN(3) {
			case 0:
				d.CrossSigned()
				published[d] = &device{by: user.Identity.SelfSigning.Public()}
			case 1:
				d.CorruptlyCrossSigned()
				published[d] = &device{by: user.Identity.SelfSigning.Public(), corrupt: true}
			}
			log = append(log, "device of "+user.ID)
		case 10:
			if len(user.Devices) > 0 {
				log = append(log, "logout of "+user.ID)
				user.Devices = user.Devices[1:]
			}
		case 11:
			if m.ours != nil {
				log = append(log, "trust")
				change, err := w.index.TrustOwnIdentity(ed(m.ours.Master.SigningKey), w.rows)
				if err != nil {
					t.Fatal(err)
				}
				w.commit(change)
				m.trusted, m.was = m.ours.Master.Public(), true
			}
		case 12:
			if m.learned[user.ID] != nil {
				log = append(log, "pin "+user.ID)
				change, err := w.index.PinCurrentIdentity(ids.UserID(user.ID), w.rows)
				if err != nil {
					t.Fatal(err)
				}
				w.commit(change)
				m.pinned[user.ID] = m.learned[user.ID].Master.Public()
			}
		case 13:
			if m.learned[user.ID] != nil {
				log = append(log, "withdraw "+user.ID)
				change, err := w.index.WithdrawVerification(ids.UserID(user.ID), w.rows)
				if err != nil {
					t.Fatal(err)
				}
				w.commit(change)
				m.pinned[user.ID] = m.learned[user.ID].Master.Public()
				// Who is verified all the same is latched again by the next thing that is learned of them.
				m.latched[user.ID] = false
				if m.of(user.ID) == trust.Verified {
					learn(user)
				}
			}
		}
		m.latch()
		w.standsLike(m, log)
		if t.Failed() {
			return
		}
	}
	w.recordedOwn = nil
	w.believesOnlyWhatIsSigned()
}

func (w *world) standsLike(m *model, log []string) {
	w.Helper()
	if got := w.index.Verification(ids.UserID(w.me.ID)); got != m.own() {
		w.Errorf("we are %v, want %v, after %v", got, m.own(), log)
	}
	for user, identity := range m.learned {
		id := ids.UserID(user)
		if got := w.index.Verification(id); got != m.of(user) {
			w.Errorf("%s is %v, want %v, after %v", user, got, m.of(user), log)
		}
		if got, _ := w.index.Identity(id); got.Master != ed(identity.Master.SigningKey) || got.SelfSigning != ed(identity.SelfSigning.SigningKey) ||
			got.Pinned.String() != m.pinned[user] || got.PreviouslyVerified != m.latched[user] {
			w.Errorf("%s is %+v after %v", user, got, log)
		}
		if got, want := w.index.PinViolation(id), m.pinned[user] != identity.Master.Public() && m.of(user) != trust.Verified; got != want {
			w.Errorf("%s: pin violation %v, want %v, after %v", user, got, want, log)
		}
		known := 0
		for d := range w.index.Devices(id) {
			known++
			published, want := m.devices[user][string(d.DeviceID)], trust.CrossSignatureAbsent
			switch {
			case published == nil:
				w.Errorf("%s %s should be gone, after %v", user, d.DeviceID, log)
				continue
			case published.by == "":
			case published.by != identity.SelfSigning.Public():
				want = trust.CrossSignatureOtherKey
			case published.corrupt:
				want = trust.CrossSignatureWrong
			default:
				want = trust.CrossSignatureValid
			}
			if d.CrossSigned != want || d.Curve25519 == (keys.Curve25519{}) {
				w.Errorf("%s %s is %v, want %v, after %v", user, d.DeviceID, d.CrossSigned, want, log)
			}
		}
		if known != len(m.devices[user]) {
			w.Errorf("%s has %d devices, want %d, after %v", user, known, len(m.devices[user]), log)
		}
	}
}
