package record_test

import (
	"fmt"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/megolm"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
)

// Records in a store: what the layout is for.

func write(t *testing.T, s store.Store, counters map[string]int64, rows ...store.Row) {
	t.Helper()
	b := store.Batch{Counters: counters}
	for _, row := range rows {
		b.Ops = append(b.Ops, store.Op{Table: row.Table, Key: row.Key, Expect: row.Rev, Value: row.Value, Index: row.Index})
	}
	if err := s.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// list pages through a query two rows at a time and decodes every row; the names of rows that cannot be read are returned beside.
func list(t *testing.T, s store.Store, q store.Query) (found []*sender.Copy, damaged []string) {
	t.Helper()
	q.Limit = 2
	for {
		rows, err := store.Page(t.Context(), s, q)
		if err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			if c, err := record.DecodeCopy(rows[i]); err == nil {
				found = append(found, c)
			} else {
				damaged = append(damaged, rows[i].Key.String())
			}
		}
		if len(rows) < q.Limit {
			return found, damaged
		}
		q = q.Next(&rows[len(rows)-1])
	}
}

// copyIn is the sample copy in another room.
func copyIn(t *testing.T, name string, room ids.RoomID) *sender.Copy {
	c := *copies(t)[name]
	c.RoomID = room
	return &c
}

// Scenario 156: copies are saved, loaded one by one, and listed by room and by session; a room without any lists none. T53: a room whose id
// begins with another's is another room.
func TestListByRoom(t *testing.T) {
	s := store.NewMemory()
	var rows []store.Row
	for _, room := range []ids.RoomID{"!a:example.org", "!a:example.org|", "!b:example.org"} {
		for _, name := range []string{"direct-unknown", "claimed"} {
			rows = append(rows, record.CopyRow(copyIn(t, name, room)))
		}
	}
	write(t, s, nil, rows...)
	for _, prefix := range []store.Key{record.RoomKey("!a:example.org"), record.SessionKey("!a:example.org", directKey().SessionID)} {
		found, _ := list(t, s, store.Query{Table: store.Copies, Prefix: prefix})
		if len(found) != 2 || found[0].RoomID != "!a:example.org" || found[1].RoomID != "!a:example.org" {
			t.Fatalf("%v lists %d copies", prefix, len(found))
		}
	}
	for _, prefix := range []store.Key{record.RoomKey("!c:example.org"), record.SessionKey("!a:example.org", megolm.SessionID(signing("another session")))} {
		if found, damaged := list(t, s, store.Query{Table: store.Copies, Prefix: prefix}); len(found)+len(damaged) != 0 {
			t.Fatalf("%v lists %d copies", prefix, len(found))
		}
	}
	stored, err := s.Get(t.Context(), store.Copies, []store.Key{record.CopyKey(copyIn(t, "claimed", "!b:example.org").CopyKey)})
	if err != nil {
		t.Fatal(err)
	}
	c, err := record.DecodeCopy(stored[0])
	if err != nil || c.RoomID != "!b:example.org" || c.Provenance != sender.Claimed {
		t.Fatalf("loaded %+v, %v", c, err)
	}
}

// Scenario 155: copies are marked as backed up and the mark is taken back, and the number of marked ones is kept beside them.
func TestBackedUp(t *testing.T) {
	s := store.NewMemory()
	var rows []store.Row
	for i := range 5 {
		rows = append(rows, record.CopyRow(copyIn(t, "direct-unknown", ids.RoomID(fmt.Sprintf("!%d:example.org", i)))))
	}
	write(t, s, map[string]int64{"copies": 5}, rows...)
	mark := func(backedUp bool, delta int64, rooms ...int) {
		var changed []store.Row
		for _, i := range rooms {
			c := copyIn(t, "direct-unknown", ids.RoomID(fmt.Sprintf("!%d:example.org", i)))
			c.BackedUp = backedUp
			row := record.CopyRow(c)
			row.Rev = store.AnyRev
			changed = append(changed, row)
		}
		write(t, s, map[string]int64{"backed_up": delta}, changed...)
	}
	count := func() (marked int, kept int64) {
		found, _ := list(t, s, store.Query{Table: store.Copies})
		for _, c := range found {
			if c.BackedUp {
				marked++
			}
		}
		counters, err := s.Counters(t.Context())
		if err != nil || len(found) != 5 || counters["copies"] != 5 {
			t.Fatalf("%d copies, counters %v, %v", len(found), counters, err)
		}
		return marked, counters["backed_up"]
	}
	mark(true, 3, 0, 2, 4)
	if marked, kept := count(); marked != 3 || kept != 3 {
		t.Fatalf("%d marked, %d kept", marked, kept)
	}
	mark(false, -3, 0, 2, 4)
	if marked, kept := count(); marked != 0 || kept != 0 {
		t.Fatalf("after the reset %d marked, %d kept", marked, kept)
	}
}

// Scenario 158: what is known of following a user's devices survives.
func TestTrackedUsersKeepTheirFlags(t *testing.T) {
	for _, tracked := range []bool{false, true} {
		for _, outdated := range []bool{false, true} {
			r := *users()["identity"]
			r.Tracked, r.Outdated = tracked, outdated
			back, err := record.DecodeUser(record.UserRow(&r))
			if err != nil || back.Tracked != tracked || back.Outdated != outdated {
				t.Fatalf("tracked %v, outdated %v came back as %+v, %v", tracked, outdated, back, err)
			}
		}
	}
}

// Scenario 160: rows of an older schema, without sender data and without index columns, are still reached, by walking the table; written
// again, the index finds them.
func TestOldRowsAreReached(t *testing.T) {
	s := store.NewMemory()
	old := copies(t)["direct-unknown"]
	write(t, s, nil, store.Row{Table: store.Copies, Key: record.CopyKey(old.CopyKey), Value: versionOne(t, old)}, record.CopyRow(copies(t)["claimed"]))
	waiting := store.Query{Table: store.Copies, Index: store.IndexWaiting, IndexValue: store.Key{string(alice)}}
	if found, _ := list(t, s, waiting); len(found) != 0 {
		t.Fatal("the index finds a row without its column")
	}
	rows, err := store.Page(t.Context(), s, store.Query{Table: store.Copies})
	if err != nil {
		t.Fatal(err)
	}
	repaired := 0
	for i := range rows {
		c, err := record.DecodeCopy(rows[i])
		if err != nil {
			t.Fatal(err)
		}
		if record.Stale(&rows[i], c) {
			row := record.CopyRow(c)
			row.Rev = rows[i].Rev
			write(t, s, nil, row)
			repaired++
		}
	}
	found, _ := list(t, s, waiting)
	if repaired != 1 || len(found) != 1 || !found[0].Legacy || found[0].Current.Kind != sender.UnknownDevice {
		t.Fatalf("%d repaired, %d found", repaired, len(found))
	}
}

// Scenario 161, F35: rows that cannot be read are passed over and named, and the walk goes on to the end, also when a whole page is damaged.
func TestDamagedRowsDoNotEndTheWalk(t *testing.T) {
	s := store.NewMemory()
	var rows []store.Row
	for i := range 9 {
		row := record.CopyRow(copyIn(t, "direct-unknown", ids.RoomID(fmt.Sprintf("!%d:example.org", i))))
		if i >= 2 && i < 6 {
			row.Value = [][]byte{{}, []byte("[object Object]"), row.Value[:40], append(row.Value[:3:3], 1)}[i-2]
		}
		rows = append(rows, row)
	}
	write(t, s, nil, rows...)
	for _, q := range []store.Query{
		{Table: store.Copies},
		{Table: store.Copies, Index: store.IndexWaiting, IndexValue: store.Key{string(alice)}},
	} {
		found, damaged := list(t, s, q)
		if len(found) != 5 || len(damaged) != 4 || found[4].RoomID != "!8:example.org" {
			t.Fatalf("%d read, %d damaged", len(found), len(damaged))
		}
	}
}
