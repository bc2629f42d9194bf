package trust_test

import (
	"errors"
	"slices"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

// Following device lists, and the order of answers: spec 3.3.

func names(users ...*testkit.User) []ids.UserID {
	var list []ids.UserID
	for _, user := range users {
		list = append(list, ids.UserID(user.ID))
	}
	return list
}

func (w *world) track(users ...*testkit.User) *trust.Change {
	w.Helper()
	change, err := w.index.Track(names(users...), w.rows)
	if err != nil {
		w.Fatal(err)
	}
	return w.commit(change)
}

func (w *world) markOutdated(changed, left []ids.UserID) *trust.Change {
	w.Helper()
	change, err := w.index.MarkOutdated(changed, left, w.rows)
	if err != nil {
		w.Fatal(err)
	}
	return w.commit(change)
}

func (w *world) wantOutdated(want ...*testkit.User) {
	w.Helper()
	if got := w.index.Outdated(); !slices.Equal(got, names(want...)) {
		w.Errorf("outdated %v, want %v", got, names(want...))
	}
}

// answered is a request for those users and its answer, with nothing in between.
func (w *world) answered(users ...*testkit.User) {
	w.Helper()
	query := w.index.BeginQuery(names(users...))
	w.answer(w.kit.KeysQuery(users...), query.Sequence)
}

func TestDeviceLists(t *testing.T) {
	t.Run("our own user is followed from the start", func(t *testing.T) {
		w := newWorld(t)
		w.wantOutdated(w.me)
		if users, devices := w.index.Counts(); users != 0 || devices != 0 {
			t.Error("somebody is known")
		}
		for user := range w.index.Users() {
			t.Errorf("%s has a row", user)
		}
		w.answered(w.me)
		w.wantOutdated()
		w.markOutdated(names(w.me), nil)
		w.wantOutdated(w.me)
		w.markOutdated(nil, names(w.me))
		w.wantOutdated(w.me)
		if !w.index.Tracked(ids.UserID(w.me.ID)) {
			t.Error("we have left ourselves")
		}
	})
	t.Run("scenario 158: followed, asked for, changed, left; the flags persist", func(t *testing.T) {
		w := newWorld(t)
		alice, carol := w.user("alice"), w.user("carol")
		w.answered(w.me)
		w.track(alice)
		if again := w.track(alice); !again.Empty() {
			t.Error("followed twice")
		}
		w.wantOutdated(alice)
		w.answered(alice)
		w.wantOutdated()
		// carol is not followed: a change of her list is passed over.
		if change := w.markOutdated(names(alice, carol), nil); len(change.Records) != 1 {
			t.Errorf("%d rows", len(change.Records))
		}
		w.wantOutdated(alice)
		if again := w.markOutdated(names(alice), nil); !again.Empty() {
			t.Error("marked twice")
		}
		if row := w.rows[ids.UserID(alice.ID)]; !row.Tracked || !row.Outdated || row.AnswerSequence == 0 {
			t.Errorf("%+v", row)
		}
		w.markOutdated(nil, names(alice))
		w.wantOutdated()
		if !w.index.DeviceListOutdated(ids.UserID(alice.ID)) || w.index.Tracked(ids.UserID(alice.ID)) {
			t.Error("a list nobody follows is not up to date")
		}
		w.track(alice)
		w.wantOutdated(alice)
	})
	t.Run("scenario 138: changed while the request was under way", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		w.answered(w.me)
		w.track(alice)
		query := w.index.BeginQuery(names(alice))
		w.markOutdated(names(alice), nil)
		w.answer(w.kit.KeysQuery(alice), query.Sequence)
		w.wantOutdated(alice)
		w.answered(alice)
		w.wantOutdated()
	})
	t.Run("scenario 138: changed while the answer was being applied", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		w.answered(w.me)
		w.track(alice)
		query := w.index.BeginQuery(names(alice))
		application := w.prepare(w.kit.KeysQuery(alice), query.Sequence)
		if _, err := w.index.MarkOutdated(names(alice), nil, w.rows); err != nil {
			t.Fatal(err)
		}
		change := application.Finish(keys.VerifyAll(application.Checks))
		w.commit(change)
		w.wantOutdated(alice)
	})
	t.Run("scenario 138: changed while the rows were being written", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		w.answered(w.me)
		w.track(alice)
		query := w.index.BeginQuery(names(alice))
		application := w.prepare(w.kit.KeysQuery(alice), query.Sequence)
		change := application.Finish(keys.VerifyAll(application.Checks))
		if _, err := w.index.MarkOutdated(names(alice), nil, w.rows); err != nil {
			t.Fatal(err)
		}
		w.index.Apply(change)
		w.wantOutdated(alice)
	})
	t.Run("scenario 138: changed while the request was under way, and followed only then", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		w.answered(w.me)
		w.learn(alice)
		query := w.index.BeginQuery(names(alice))
		w.markOutdated(names(alice), nil)
		w.track(alice)
		w.answer(w.kit.KeysQuery(alice), query.Sequence)
		w.wantOutdated(alice)
		w.answered(alice)
		w.wantOutdated()
	})
	t.Run("scenario 138: marked by another tab while the request was under way", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		w.answered(w.me)
		w.track(alice)
		query := w.index.BeginQuery(names(alice))
		w.index.MarkedElsewhere(ids.UserID(alice.ID))
		w.index.MarkedElsewhere("@nobody:example.org")
		w.answer(w.kit.KeysQuery(alice), query.Sequence)
		w.wantOutdated(alice)
		w.answered(alice)
		w.wantOutdated()
	})
	t.Run("scenario 138: marked in the row by another tab, of which memory has not heard", func(t *testing.T) {
		w := newWorld(t)
		alice, carol := w.user("alice"), w.user("carol")
		w.answered(w.me)
		w.track(alice)
		w.answered(alice)
		marked := *w.rows[ids.UserID(alice.ID)]
		marked.Outdated = true
		// The other tab follows Carol as well.
		w.rows[marked.UserID], w.rows["@carol:example.org"] = &marked, &trust.UserRecord{UserID: "@carol:example.org", Tracked: true, Outdated: true}
		alice.Device("PHONE")
		carol.Device("PHONE")
		w.answered(alice, carol)
		w.wantOutdated(alice, carol)
	})
	t.Run("a list that is up to date: its row is not written again", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		w.track(alice)
		for range 2 {
			w.answered(alice)
			w.answered(alice)
			if !w.change.Empty() {
				t.Errorf("%+v", w.change)
			}
			w.markOutdated(nil, names(alice)) // and likewise when nobody follows it any more
		}
	})
	t.Run("scenario 140: an answer from outside is applied and brings nothing up to date", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		phone := alice.Device("PHONE")
		w.track(alice)
		w.learn(alice, w.me)
		w.device(phone)
		w.device(w.phone)
		w.wantOutdated(alice, w.me)
	})
	t.Run("a user who is not in the answer stays outdated", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		w.track(alice)
		query := w.index.BeginQuery(names(alice, w.me, alice))
		if query.ID == "" || len(query.Users) != 2 {
			t.Errorf("%+v", query)
		}
		w.answer(w.kit.KeysQuery(w.me), query.Sequence)
		w.wantOutdated(alice)
		// Only the identity is mentioned: no list.
		object := w.kit.KeysQueryObject(alice)
		delete(object, "device_keys")
		w.answer(testkit.JSON(object), w.index.BeginQuery(names(alice)).Sequence)
		w.wantOutdated(alice)
	})
	t.Run("scenario 152, T48: an older answer after a newer one", func(t *testing.T) {
		w := newWorld(t)
		alice, carol := w.user("alice"), w.user("carol")
		phone := alice.Device("PHONE").CrossSigned()
		first, old := w.index.BeginQuery(names(alice, carol)), w.kit.KeysQuery(alice, carol)
		second := w.index.BeginQuery(names(alice))
		alice.ResetIdentity()
		laptop := alice.Device("LAPTOP").CrossSigned()
		w.answer(w.kit.KeysQuery(alice), second.Sequence)

		w.answer(old, first.Sequence)
		w.wantCodes(trust.CodeStaleAnswer)
		w.wantMaster(alice, alice.Identity)
		w.wantCross(laptop, trust.CrossSignatureValid)
		w.wantCross(phone, trust.CrossSignatureOtherKey)
		w.wantMaster(carol, carol.Identity) // of her it was the newest

		// The same answer once more is not stale, and changes nothing.
		if again := w.answer(w.kit.KeysQuery(alice), second.Sequence); !again.Empty() || len(again.Problems) != 0 {
			t.Errorf("%+v", again)
		}
	})
	t.Run("T48: an answer that left no mark in the row counts as well", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		w.learn(alice)
		first, old := w.index.BeginQuery(names(alice)), w.kit.KeysQuery(alice)
		w.answered(alice) // nothing new
		alice.Device("PHONE")
		w.learn(alice) // from outside
		w.answer(old, first.Sequence)
		w.wantCodes(trust.CodeStaleAnswer)
		w.device(alice.Devices[0])
	})
	t.Run("our own row without the mark: asked for all the same", func(t *testing.T) {
		w := newWorld(t)
		w.answered(w.me)
		row := *w.rows[ids.UserID(w.me.ID)]
		row.Tracked = false
		if err := w.index.Load(&row); err != nil {
			t.Fatal(err)
		}
		w.wantOutdated(w.me)
		w.wantMaster(w.me, w.me.Identity)
	})
	t.Run("T48: numbers go on after a restart", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		w.track(alice)
		for range 5 {
			w.answered(alice)
			w.markOutdated(names(alice), nil)
		}
		newest := w.rows[ids.UserID(alice.ID)].AnswerSequence
		w.index = trust.NewIndex(w.own())
		for _, row := range w.rows {
			if err := w.index.Load(row); err != nil {
				t.Fatal(err)
			}
		}
		if query := w.index.BeginQuery(names(alice)); query.Sequence <= newest {
			t.Errorf("request %d after %d", query.Sequence, newest)
		}
		w.answered(alice)
		w.wantOutdated(w.me)
	})
	t.Run("a damaged row is passed over; our own is not", func(t *testing.T) {
		w := newWorld(t)
		alice, carol := w.user("alice"), w.user("carol")
		w.learn(w.me, alice)
		rows := w.stored(names(w.me), false)
		change, err := w.index.Track(names(alice, carol), rows)
		if err != nil || len(change.Records) != 1 || !slices.Equal(codes(change), []string{trust.CodeRecordMissing}) {
			t.Errorf("%v %+v", err, change)
		}
		_, err = w.index.MarkOutdated(names(w.me), nil, nil)
		var failed *trust.ApplicationError
		if !errors.As(err, &failed) || failed.Code != trust.CodeRecordMissing || failed.Users[0] != ids.UserID(w.me.ID) {
			t.Errorf("%v", err)
		}
		// An answer with both: Carol is taken, Alice is passed over.
		answer, err := trust.ParseAnswer(w.kit.KeysQuery(alice, carol), trust.DefaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		application, err := w.index.Prepare(answer, 0, rows)
		if err != nil {
			t.Fatal(err)
		}
		w.commit(application.Finish(keys.VerifyAll(application.Checks)))
		w.wantCodes(trust.CodeRecordMissing)
		w.wantMaster(carol, carol.Identity)
	})
}
