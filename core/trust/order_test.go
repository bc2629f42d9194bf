package trust_test

import (
	"reflect"
	"strings"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

// F23: what is known in the end does not depend on the order in which it was learned.

func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var all [][]int
	for _, rest := range permutations(n - 1) {
		for at := range n {
			all = append(all, append(append(append([]int{}, rest[:at]...), n-1), rest[at:]...))
		}
	}
	return all
}

func TestOrderOfDeliveries(t *testing.T) {
	var first any
	for _, order := range permutations(5) {
		w := newWorld(t)
		alice, carol := w.user("alice"), w.user("carol")
		alice.Device("PHONE").CrossSigned()
		alice.Device("LAPTOP")
		carol.Device("PHONE").CorruptlyCrossSigned()
		w.me.Verifies(alice)
		part := func(user *testkit.User, members ...string) []byte {
			object := w.kit.KeysQueryObject(user)
			for _, member := range members {
				delete(object, member)
			}
			return testkit.JSON(object)
		}
		deliveries := []func(){
			func() { w.answer(part(alice, "master_keys", "self_signing_keys"), 0) },
			func() { w.answer(part(alice, "device_keys"), 0) },
			func() { w.answer(part(carol), 0) },
			func() { w.learn(w.me) },
			func() { // trusted as soon as known
				if _, known := w.index.Identity(w.own().UserID); !known {
					w.answer(part(w.me, "device_keys"), 0)
				}
				w.trustOwn()
			},
		}
		w.track(alice)
		for _, n := range order {
			deliveries[n]()
		}
		got := view(w.index)
		if first == nil {
			first = got
			if len(got) != 3 {
				t.Fatalf("%+v", got)
			}
		}
		if !reflect.DeepEqual(first, any(got)) {
			t.Fatalf("order %v:\n%+v\n%+v", order, first, got)
		}
		w.wantStanding(alice, trust.Verified)
		w.wantStanding(carol, trust.Unverified)
	}
}

func TestOrderOfMembers(t *testing.T) {
	// The members of an answer may come in any order, users and devices too.
	w := verifiedWorld(t)
	alice := w.user("alice")
	w.me.Verifies(alice)
	alice.Device("PHONE").CrossSigned()
	alice.Device("LAPTOP").CrossSigned()
	object := w.kit.KeysQueryObject(alice, w.me)
	var members []string
	for _, name := range []string{"device_keys", "master_keys", "self_signing_keys", "user_signing_keys", "failures"} {
		members = append(members, `"`+name+`":`+string(testkit.JSON(object[name])))
	}
	rows := w.rows
	for _, order := range permutations(len(members)) {
		fresh := &world{TB: t, kit: w.kit, me: w.me, phone: w.phone, index: trust.NewIndex(w.own()), rows: w.stored(names(w.me), false)}
		for _, row := range rows {
			if err := fresh.index.Load(row); err != nil {
				t.Fatal(err)
			}
		}
		var shuffled []string
		for _, n := range order {
			shuffled = append(shuffled, members[n])
		}
		fresh.answer([]byte(" { "+strings.Join(shuffled, " ,\r\n\t")+" } "), 0)
		fresh.wantCodes()
		fresh.wantStanding(alice, trust.Verified)
		fresh.wantCross(alice.Devices[0], trust.CrossSignatureValid)
		fresh.wantCross(alice.Devices[1], trust.CrossSignatureValid)
	}
}

func TestOneAnswerOrMany(t *testing.T) {
	// An answer for everybody comes to the same as one for each, in any order, our own identity last or first.
	var first any
	for _, order := range permutations(4) {
		w := newWorld(t)
		people := []*testkit.User{w.me, w.user("alice"), w.user("carol"), w.user("dave")}
		w.me.Verifies(people[1])
		people[1].Device("PHONE").CrossSigned()
		people[2].Device("PHONE")
		for _, n := range order {
			w.learn(people[n])
		}
		w.trustOwn()
		apart := view(w.index)
		together := newWorld(t)
		together.rows, together.kit, together.me, together.phone = map[ids.UserID]*trust.UserRecord{}, w.kit, w.me, w.phone
		together.index = trust.NewIndex(w.own())
		together.learn(people...)
		together.trustOwn()
		if !reflect.DeepEqual(apart, view(together.index)) {
			t.Fatalf("order %v: one answer and many differ", order)
		}
		if first == nil {
			first = apart
		}
		if !reflect.DeepEqual(first, any(apart)) {
			t.Fatalf("order %v: differs from the first", order)
		}
	}
}
