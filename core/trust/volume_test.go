package trust_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"knownsender/core/keys"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

// Answers that are a lot, and too much: T49. They take seconds, and stand in the last file, so that what fails elsewhere too fails there first.

func TestTooMuch(t *testing.T) {
	list := func(user string, devices int) string {
		var out strings.Builder
		for n := range devices {
			if n > 0 {
				out.WriteByte(',')
			}
			fmt.Fprintf(&out, `"D%d":{"user_id":%q,"device_id":"D%d","algorithms":[],"keys":{},"signatures":{}}`, n, user, n)
		}
		return out.String()
	}
	timed := func(t *testing.T, w *world, raw []byte, limits trust.Limits) *trust.Change {
		t.Helper()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		answer, err := trust.ParseAnswer(raw, limits)
		if err != nil {
			t.Fatal(err)
		}
		application, err := w.index.Prepare(answer, 0, w.rows)
		if err != nil {
			t.Fatal(err)
		}
		change := application.Finish(nil)
		runtime.ReadMemStats(&after)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<30 {
			t.Errorf("allocated %d MB for %d MB", grown>>20, len(raw)>>20)
		}
		return change
	}
	t.Run("T49: one user with 100,000 devices; the others are processed", func(t *testing.T) {
		w := newWorld(t)
		mallory, zoe := w.user("mallory"), w.user("zoe")
		known := mallory.Device("KNOWN")
		phone := zoe.Device("PHONE").CrossSigned()
		w.learn(mallory)
		raw := bytes.Replace(w.kit.KeysQuery(mallory, zoe), []byte(`{"KNOWN":`), []byte(`{`+list(mallory.ID, 100_000)+`,"KNOWN":`), 1)
		change := timed(t, w, raw, trust.DefaultLimits)
		if got := codes(change); len(got) != 3 || got[2] != trust.CodeTooManyDevices { // and Zoe's, whose checks nobody answered
			t.Errorf("%v", got)
		}
		w.answer(raw, 0)
		w.wantCodes(trust.CodeTooManyDevices)
		w.device(known)
		w.wantCross(phone, trust.CrossSignatureValid)
	})
	t.Run("T49: 100 users with 1,000 devices: as many as are read at once", func(t *testing.T) {
		w := newWorld(t)
		var raw strings.Builder
		raw.WriteString(`{"device_keys":{`)
		for n := range 100 {
			if n > 0 {
				raw.WriteByte(',')
			}
			user := fmt.Sprintf("@m%02d:example.org", n)
			fmt.Fprintf(&raw, `%q:{%s}`, user, list(user, 1000))
		}
		raw.WriteString(`}}`)
		change := timed(t, w, []byte(raw.String()), trust.DefaultLimits)
		if len(change.Problems) != trust.DefaultLimits.Problems+1 {
			t.Errorf("%d problems", len(change.Problems))
		}
		last := change.Problems[len(change.Problems)-1]
		if last.Code != trust.CodeTooManyProblems || last.Message != "there are 49050 problems more" {
			t.Errorf("%+v", last)
		}
		if change.Problems[0].Code != trust.CodeTooManyDevices { // named while the answer was taken apart: user 51
			t.Errorf("%+v", change.Problems[0])
		}
	})
	t.Run("T49: more users than are read at once", func(t *testing.T) {
		w := newWorld(t)
		alice, zoe := w.user("alice"), w.user("zoe")
		limits := trust.DefaultLimits
		limits.Users = 1
		change := timed(t, w, w.kit.KeysQuery(alice, zoe), limits)
		var crowded int
		for _, problem := range change.Problems {
			if problem.Code == trust.CodeTooManyUsers {
				crowded++
			}
		}
		if crowded != 1 {
			t.Errorf("said %d times", crowded)
		}
	})
	t.Run("T49: a million users with empty lists", func(t *testing.T) {
		w := newWorld(t)
		var raw strings.Builder
		raw.WriteString(`{"device_keys":{"@a:b":{}`)
		for n := range 1_000_000 {
			fmt.Fprintf(&raw, `,"@%d:b":{}`, n)
		}
		raw.WriteString(`}}`)
		change := timed(t, w, []byte(raw.String()), trust.DefaultLimits)
		if len(change.Records) != 0 || len(change.Problems) != 1 {
			t.Errorf("%d rows, %d problems", len(change.Records), len(change.Problems))
		}
	})
	t.Run("T49: 16 MB of brackets beside a good user", func(t *testing.T) {
		w := newWorld(t)
		zoe := w.user("zoe")
		zoe.Device("PHONE").CrossSigned()
		deep := strings.Repeat("[", 8<<20) + strings.Repeat("]", 8<<20)
		raw := bytes.Replace(w.kit.KeysQuery(zoe), []byte(`"device_keys":{`), []byte(`"device_keys":{"@m:x":{"D":`+deep+`},`), 1)
		timed(t, w, raw, trust.DefaultLimits)
		w.answer(raw, 0)
		w.wantMaster(zoe, zoe.Identity)
	})
}

func TestUnchangedAnswerAsksForNothing(t *testing.T) {
	// Given 500 users with two devices each,
	w := verifiedWorld(t)
	people := crowd(w.kit, w.me, 500, 2)
	raw := w.kit.KeysQuery(people...)
	first := w.prepare(raw, 0)
	// whose first answer asks for each signature once (self-signing key, device, cross-signature; our signature for those whom we verified),
	if want := 500*(1+2+2) + 50; len(first.Checks) != want {
		t.Fatalf("the first answer asks for %d checks, want %d", len(first.Checks), want)
	}
	w.commit(first.Finish(keys.VerifyAll(first.Checks)))

	// when the same answer comes again, then no signature is asked for and no row is written.
	counter := &countingVerifier{}
	second := w.prepare(raw, 0)
	results, err := counter.Verify(t.Context(), second.Checks)
	if err != nil {
		t.Fatal(err)
	}
	change := second.Finish(results)
	if counter.checks != 0 || !change.Empty() {
		t.Errorf("%d checks, %d rows", counter.checks, len(change.Records))
	}

	// One device with a new name: two checks, for its own signature and the cross-signature.
	people[7].Devices[0].Named("renamed")
	third := w.prepare(w.kit.KeysQuery(people...), 0)
	if len(third.Checks) != 2 {
		t.Errorf("one changed device asks for %d checks", len(third.Checks))
	}
}

// countingVerifier is the Go verifier, counting.
type countingVerifier struct {
	keys.Go
	checks int
}

func (v *countingVerifier) Verify(ctx context.Context, checks []keys.Check) ([]bool, error) {
	v.checks += len(checks)
	return v.Go.Verify(ctx, checks)
}

func crowd(kit *testkit.Kit, me *testkit.User, users, devices int) []*testkit.User {
	var people []*testkit.User
	for n := range users {
		user := kit.User(fmt.Sprintf("@person%d:example.org", n))
		for d := range devices {
			user.Device(fmt.Sprintf("DEVICE%04d", d)).CrossSigned()
		}
		if n%10 == 0 {
			me.Verifies(user)
		}
		people = append(people, user)
	}
	return people
}
