package trust_test

import (
	"slices"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

// Limits to the last byte, device and row: what is just allowed is taken, and what costs everybody's rows is asked for only where it is needed.

func TestAnswerToTheByte(t *testing.T) {
	raw := []byte(`{"device_keys":{}}`)
	limits := trust.DefaultLimits
	for limits.Bytes = len(raw) - 1; limits.Bytes <= len(raw)+1; limits.Bytes++ {
		if _, err := trust.ParseAnswer(raw, limits); (err == nil) != (limits.Bytes >= len(raw)) {
			t.Errorf("%d bytes, %d allowed: %v", len(raw), limits.Bytes, err)
		}
	}
}

func TestDevicesToTheLast(t *testing.T) {
	kit := testkit.New(t.Name())
	alice := kit.User("@alice:example.org")
	for _, id := range []string{"A", "B", "C"} {
		alice.Device(id)
	}
	for allowed := range 5 {
		for name, limits := range map[string]trust.Limits{
			"of one user": {Bytes: 1 << 20, Users: 10, DevicesPerUser: allowed, Devices: 100, Problems: 10},
			"of all":      {Bytes: 1 << 20, Users: 10, DevicesPerUser: 100, Devices: allowed, Problems: 10},
		} {
			w := newWorld(t)
			answer, err := trust.ParseAnswer(kit.KeysQuery(alice), limits)
			if err != nil {
				t.Fatal(err)
			}
			application, err := w.index.Prepare(answer, 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			change := application.Finish(make([]bool, len(application.Checks)))
			tooMany := slices.ContainsFunc(change.Problems, func(p trust.Problem) bool { return p.Code == trust.CodeTooManyDevices })
			if tooMany != (allowed < 3) {
				t.Errorf("%d %s are allowed, three came: too many is %v", allowed, name, tooMany)
			}
		}
	}
}

// As many servers as users are read to have failed.
func TestFailuresToTheLast(t *testing.T) {
	for name, said := range map[string]bool{"@alice:one.example": true, "@alice:two.example": false} {
		w := newWorld(t)
		raw := `{"failures":{"one.example":{},"two.example":{}},"device_keys":{"` + name + `":{}}}`
		answer, err := trust.ParseAnswer([]byte(raw), trust.Limits{Bytes: 1 << 20, Users: 1, Problems: 10})
		if err != nil {
			t.Fatal(err)
		}
		application, err := w.index.Prepare(answer, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if problems := application.Finish(nil).Problems; (len(problems) == 1) != said {
			t.Errorf("%s: %+v", name, problems)
		}
	}
}

func TestEveryMemberMakesAChange(t *testing.T) {
	user := ids.UserID("@alice:example.org")
	if !(&trust.Change{Problems: []trust.Problem{{}}}).Empty() {
		t.Error("a problem alone changes something")
	}
	for name, change := range map[string]trust.Change{
		"a row":          {Records: map[ids.UserID]*trust.UserRecord{user: {UserID: user}}},
		"a device":       {Devices: []trust.DeviceChange{{UserID: user}}},
		"an identity":    {Identities: []trust.IdentityChange{{UserID: user}}},
		"a verification": {Verifications: []trust.VerificationChange{{UserID: user}}},
	} {
		if change.Empty() {
			t.Errorf("%s changes nothing", name)
		}
	}
}

// All rows are wanted when the answer has another identity of ours, and only then.
func TestWhenAllRowsAreWanted(t *testing.T) {
	w := newWorld(t)
	alice := w.user("alice")
	alice.Device("PHONE").CrossSigned()
	wants := func(what string, raw []byte, want bool) {
		t.Helper()
		answer, err := trust.ParseAnswer(raw, trust.DefaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.index.NeedsAll(answer); got != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	wants("our first identity", w.kit.KeysQuery(w.me), true)
	w.learn(w.me)
	w.trustOwn()
	wants("ours as it is", w.kit.KeysQuery(w.me), false)
	wants("somebody else's", w.kit.KeysQuery(alice), false)
	wants("a key that is none", []byte(`{"master_keys":{"`+w.me.ID+`":{"user_id":"`+w.me.ID+`","usage":["master"],"keys":{"ed25519:x":"x"}}}}`), false)
	ours := string(testkit.JSON(w.me.Identity.Master.Object()))
	w.me.ResetIdentity()
	another := string(testkit.JSON(w.me.Identity.Master.Object()))
	wants("another master key behind ours, listed twice", []byte(`{"master_keys":{"`+w.me.ID+`":`+ours+`,"`+w.me.ID+`":`+another+`}}`), false)
	wants("another identity", w.kit.KeysQuery(w.me), true)
}

// Whom we vouch for, and what trusting our identity does to their rows, also where one of them was not read.
func TestRowsOfThoseWeVouchFor(t *testing.T) {
	w := newWorld(t)
	alice, bob, carol := w.user("alice"), w.user("bob"), w.user("carol")
	for _, user := range []*testkit.User{alice, bob, carol} {
		user.Device("PHONE").CrossSigned()
	}
	w.me.Verifies(alice)
	w.me.Verifies(carol)
	w.learn(w.me, alice, bob, carol, w.user("nobody"))
	vouched := []ids.UserID{ids.UserID(alice.ID), ids.UserID(carol.ID)}
	if got := w.index.VouchedFor(); !slices.Equal(got, vouched) {
		t.Errorf("VouchedFor %v", got)
	}
	rows := w.stored([]ids.UserID{ids.UserID(w.me.ID), vouched[1]}, false) // Alice's row is not there
	change, err := w.index.TrustOwnIdentity(ed(w.me.Identity.Master.SigningKey), rows)
	if err != nil {
		t.Fatal(err)
	}
	if row := change.Records[vouched[1]]; row == nil || !row.Identity.PreviouslyVerified || change.Records[vouched[0]] != nil {
		t.Errorf("%d rows are written", len(change.Records))
	}
	if len(change.Problems) != 1 || change.Problems[0].Code != trust.CodeRecordMissing || change.Problems[0].UserID != vouched[0] {
		t.Errorf("%+v", change.Problems)
	}
	w.trustOwn()
	if again := w.trustOwn(); len(again.Records) != 0 {
		t.Errorf("trusting it once more writes %d rows", len(again.Records))
	}
}

func TestChangesAreCounted(t *testing.T) {
	w := newWorld(t)
	for n := range uint64(3) {
		if got := w.index.Changes(); got != n {
			t.Errorf("%d changes, want %d", got, n)
		}
		w.learn(w.user("alice"))
	}
}
