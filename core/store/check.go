package store

// What every store refuses before it begins, in one place, so that no store is more lenient than another.

func badKey(what string) error {
	return &Error{Code: CodeBadKey, Message: what + " is empty, longer than 8 parts of 4096 bytes, or not UTF-8"}
}

func badRequest(sentence string) error {
	return &Error{Code: CodeBadRequest, Message: sentence}
}

// CheckGet refuses reads that no store can answer: `bad_request` (unknown table), `bad_key`.
func CheckGet(table Table, keys []Key) error {
	if !table.Known() {
		return badRequest("unknown table")
	}
	for _, key := range keys {
		if len(key) == 0 || !key.check() {
			return badKey("a key")
		}
	}
	return nil
}

// CheckQueries refuses queries that no store can answer and fills in what a query may leave out: Limit and AfterIndex.
// Codes: `bad_request`, `bad_key`.
func CheckQueries(queries []Query) ([]Query, error) {
	checked := make([]Query, len(queries))
	for i, q := range queries {
		var err error
		if checked[i], err = checkQuery(q); err != nil {
			return nil, err
		}
	}
	return checked, nil
}

func checkQuery(q Query) (Query, error) {
	if !q.Table.Known() {
		return q, badRequest("unknown table")
	}
	if q.Index != "" && !hasIndex(q.Table, q.Index) {
		return q, badRequest("unknown index")
	}
	if !q.Prefix.check() || !q.IndexValue.check() || !q.After.check() || !q.AfterIndex.check() {
		return q, badKey("a query's key")
	}
	if q.Limit <= 0 {
		q.Limit = DefaultLimit
	}
	q.Limit = min(q.Limit, MaxLimit)
	if q.Index == "" {
		q.IndexValue, q.AfterIndex = nil, nil
	} else {
		q.Prefix = nil
		if len(q.After) == 0 {
			q.AfterIndex = nil
		} else if len(q.AfterIndex) == 0 {
			q.AfterIndex = q.IndexValue
		}
	}
	return q, nil
}

// CheckBatch refuses batches that no store can apply: `bad_request` (unknown table or index, a row or an index named twice),
// `bad_key`, `too_large`.
func CheckBatch(b *Batch) error {
	type name struct {
		table Table
		key   string
	}
	if b.Lone != nil && (b.Lone.Parts < 1 || !b.Lone.Empty.Known()) {
		return badRequest("no group, or an unknown table")
	}
	var seen map[name]struct{}
	if len(b.Ops) > 1 {
		seen = make(map[name]struct{}, len(b.Ops))
	}
	for i := range b.Ops {
		op := &b.Ops[i]
		if !op.Table.Known() {
			return badRequest("unknown table")
		}
		if len(op.Key) == 0 || !op.Key.check() {
			return badKey("a key")
		}
		if len(op.Value) > MaxValue {
			return &Error{Code: CodeTooLarge, Message: "a value is longer than 64 MiB"}
		}
		for j, entry := range op.Index {
			if !hasIndex(op.Table, entry.Name) {
				return badRequest("unknown index")
			}
			if len(entry.Value) == 0 || !entry.Value.check() {
				return badKey("an index value")
			}
			for _, earlier := range op.Index[:j] {
				if earlier.Name == entry.Name {
					return badRequest("an index is named twice in one row")
				}
			}
		}
		if seen != nil {
			n := name{op.Table, op.Key.mapKey()}
			if _, twice := seen[n]; twice {
				return badRequest("a row is named twice in one batch")
			}
			seen[n] = struct{}{}
		}
	}
	return nil
}
