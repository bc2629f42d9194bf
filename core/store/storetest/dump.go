package storetest

// The whole of a store as text.

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"testing"

	"knownsender/core/store"
)

// Dump writes all rows and counters of a store as text, in a fixed order, for comparisons of the whole before and after.
func Dump(t testing.TB, s store.Store) string {
	t.Helper()
	var b strings.Builder
	for _, table := range store.Tables() {
		q := store.Query{Table: table, Limit: store.MaxLimit}
		for {
			rows, err := store.Page(context.Background(), s, q)
			if err != nil {
				t.Fatalf("dump: %v", err)
			}
			for _, row := range rows {
				fmt.Fprintf(&b, "%s %q rev %d %x", table, []string(row.Key), row.Rev, row.Value)
				sort.Slice(row.Index, func(i, j int) bool { return row.Index[i].Name < row.Index[j].Name })
				for _, entry := range row.Index {
					fmt.Fprintf(&b, " %s=%q", entry.Name, []string(entry.Value))
				}
				b.WriteByte('\n')
			}
			if len(rows) < q.Limit {
				break
			}
			q = q.Next(&rows[len(rows)-1])
		}
	}
	counters, err := s.Counters(context.Background())
	if err != nil {
		t.Fatalf("dump: %v", err)
	}
	names := make([]string, 0, len(counters))
	for name := range counters {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(&b, "counter %q %d\n", name, counters[name])
	}
	return b.String()
}
