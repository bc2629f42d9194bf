package store

// The store in memory: the reference for the order and the conflicts of every other store, used natively in tests and, when the
// host asks for it, in a browser that offers no database. Several handles (Reopen) may share the same rows, as tabs do.

import (
	"context"
	"slices"
	"sync"

	"knownsender/core/redact"
)

type memoryRow struct {
	redact.Secret
	row Row
}

// memoryList is a slice of rows in some order.
type memoryList struct {
	rows []*memoryRow
	less func(a, b *memoryRow) int
}

func (l *memoryList) add(r *memoryRow) {
	i, _ := slices.BinarySearchFunc(l.rows, r, l.less)
	l.rows = slices.Insert(l.rows, i, r)
}

func (l *memoryList) remove(r *memoryRow) {
	if i, found := slices.BinarySearchFunc(l.rows, r, l.less); found {
		l.rows = slices.Delete(l.rows, i, i+1)
	}
}

type memoryTable struct {
	byID    map[string]*memoryRow
	byKey   memoryList
	byIndex map[string]*memoryList
}

type memoryDisk struct {
	mu       sync.Mutex
	tables   map[Table]*memoryTable
	counters map[string]int64
}

// Memory is a Store that keeps its rows in memory. It may be used by several goroutines.
type Memory struct {
	disk   *memoryDisk
	closed bool // under disk.mu
}

// NewMemory returns an empty store in memory.
func NewMemory() *Memory {
	d := &memoryDisk{tables: map[Table]*memoryTable{}, counters: map[string]int64{}}
	for _, name := range Tables() {
		t := &memoryTable{byID: map[string]*memoryRow{}, byIndex: map[string]*memoryList{}}
		t.byKey.less = func(a, b *memoryRow) int { return a.row.Key.Compare(b.row.Key) }
		for _, index := range Indexes(name) {
			t.byIndex[index] = &memoryList{less: func(a, b *memoryRow) int {
				if c := a.row.Entry(index).Compare(b.row.Entry(index)); c != 0 {
					return c
				}
				return a.row.Key.Compare(b.row.Key)
			}}
		}
		d.tables[name] = t
	}
	return &Memory{disk: d}
}

// Reopen returns another handle on the same rows and counters, as a second tab or the next start has it. Closing one handle
// does not close the other.
func (m *Memory) Reopen() *Memory { return &Memory{disk: m.disk} }

// begin takes the lock, or says why not.
func (m *Memory) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return &Error{Code: CodeAborted, Message: "the caller gave up", Err: err}
	}
	m.disk.mu.Lock()
	if m.closed {
		m.disk.mu.Unlock()
		return &Error{Code: CodeClosed, Message: "the store is closed"}
	}
	return nil
}

// Get implements Store.
func (m *Memory) Get(ctx context.Context, table Table, keys []Key) ([]Row, error) {
	if err := CheckGet(table, keys); err != nil {
		return nil, err
	}
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.disk.mu.Unlock()
	t := m.disk.tables[table]
	rows := make([]Row, len(keys))
	for i, key := range keys {
		if r := t.byID[key.mapKey()]; r != nil {
			rows[i] = r.row.clone()
		} else {
			rows[i].Table, rows[i].Key = table, key.Clone()
		}
	}
	return rows, nil
}

// Pages implements Store.
func (m *Memory) Pages(ctx context.Context, queries ...Query) ([][]Row, error) {
	queries, err := CheckQueries(queries)
	if err != nil {
		return nil, err
	}
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.disk.mu.Unlock()
	pages := make([][]Row, len(queries))
	for i := range queries {
		pages[i] = m.disk.page(&queries[i])
	}
	return pages, nil
}

func (d *memoryDisk) page(q *Query) []Row {
	t := d.tables[q.Table]
	list, start, within := &t.byKey, q.Prefix, func(r *memoryRow) bool { return r.row.Key.HasPrefix(q.Prefix) }
	position := func(r *memoryRow, key Key) int { return r.row.Key.Compare(key) }
	if q.Index != "" {
		list, start = t.byIndex[q.Index], q.IndexValue
		within = func(r *memoryRow) bool { return r.row.Entry(q.Index).HasPrefix(q.IndexValue) }
		position = func(r *memoryRow, value Key) int { return r.row.Entry(q.Index).Compare(value) }
	}
	// Everything that begins with a prefix lies behind the prefix itself, in one piece.
	from, _ := slices.BinarySearchFunc(list.rows, start, position)
	if len(q.After) > 0 {
		after, found := slices.BinarySearchFunc(list.rows, q.After, func(r *memoryRow, key Key) int {
			if q.Index != "" {
				if c := r.row.Entry(q.Index).Compare(q.AfterIndex); c != 0 {
					return c
				}
			}
			return r.row.Key.Compare(key)
		})
		if found {
			after++
		}
		from = max(from, after)
	}
	var rows []Row
	for _, r := range list.rows[from:] {
		if len(rows) == q.Limit || !within(r) {
			break
		}
		rows = append(rows, r.row.clone())
	}
	return rows
}

// Commit implements Store.
func (m *Memory) Commit(ctx context.Context, b Batch) error {
	if err := CheckBatch(&b); err != nil {
		return err
	}
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.disk.mu.Unlock()
	var conflicts []Conflict
	ids := make([]string, len(b.Ops))
	for i := range b.Ops {
		op := &b.Ops[i]
		ids[i] = op.Key.mapKey()
		var got uint64
		if r := m.disk.tables[op.Table].byID[ids[i]]; r != nil {
			got = r.row.Rev
		}
		if op.Expect != AnyRev && op.Expect != got {
			conflicts = append(conflicts, Conflict{Table: op.Table, Key: op.Key.Clone(), Expect: op.Expect, Got: got})
		}
	}
	if len(conflicts) > 0 {
		return NewConflict(conflicts)
	}
	for i := range b.Ops {
		m.disk.tables[b.Ops[i].Table].apply(&b.Ops[i], ids[i])
	}
	for name, delta := range b.Counters {
		if n := m.disk.counters[name] + delta; n != 0 {
			m.disk.counters[name] = n
		} else {
			delete(m.disk.counters, name)
		}
	}
	if b.Lone != nil && len(m.disk.tables[b.Lone.Empty].byKey.rows) == 0 {
		for i := range b.Ops {
			if op := &b.Ops[i]; op.Expect == 0 && op.Value != nil && m.disk.tables[op.Table].count(op.Key[:min(b.Lone.Parts, len(op.Key))]) == 1 {
				b.Lone.Found(i)
			}
		}
	}
	return nil
}

// count is how many rows begin with a prefix, but no more than 2.
func (t *memoryTable) count(prefix Key) (n int) {
	from, _ := slices.BinarySearchFunc(t.byKey.rows, prefix, func(r *memoryRow, key Key) int { return r.row.Key.Compare(key) })
	for _, r := range t.byKey.rows[from:] {
		if n == 2 || !r.row.Key.HasPrefix(prefix) {
			break
		}
		n++
	}
	return n
}

func (t *memoryTable) apply(op *Op, id string) {
	var rev uint64
	if old := t.byID[id]; old != nil {
		rev = old.row.Rev
		if op.Value != nil && sameEntries(old.row.Index, op.Index) {
			// Same place in every order: replaced where it is.
			old.row = Row{Table: op.Table, Key: old.row.Key, Rev: rev + 1, Value: slices.Clone(op.Value), Index: old.row.Index}
			return
		}
		t.byKey.remove(old)
		for _, entry := range old.row.Index {
			t.byIndex[entry.Name].remove(old)
		}
		delete(t.byID, id)
	}
	if op.Value == nil {
		return
	}
	put := Row{Table: op.Table, Key: op.Key, Rev: rev + 1, Value: op.Value, Index: op.Index}
	r := &memoryRow{row: put.clone()}
	t.byID[id] = r
	t.byKey.add(r)
	for _, entry := range r.row.Index {
		t.byIndex[entry.Name].add(r)
	}
}

func sameEntries(a, b []IndexEntry) bool {
	return slices.EqualFunc(a, b, func(x, y IndexEntry) bool { return x.Name == y.Name && x.Value.Equal(y.Value) })
}

// clone copies all that a caller might write to. An empty value stays empty, not nil.
func (r *Row) clone() Row {
	c := Row{Table: r.Table, Key: r.Key.Clone(), Rev: r.Rev, Value: append([]byte{}, r.Value...)}
	if len(r.Index) > 0 {
		c.Index = make([]IndexEntry, len(r.Index))
		for i, entry := range r.Index {
			c.Index[i] = IndexEntry{Name: entry.Name, Value: entry.Value.Clone()}
		}
	}
	return c
}

// Counters implements Store.
func (m *Memory) Counters(ctx context.Context) (map[string]int64, error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.disk.mu.Unlock()
	counters := make(map[string]int64, len(m.disk.counters))
	for name, n := range m.disk.counters {
		counters[name] = n
	}
	return counters, nil
}

// Close implements Store.
func (m *Memory) Close() error {
	m.disk.mu.Lock()
	m.closed = true
	m.disk.mu.Unlock()
	return nil
}
