package record

// Records of the meta table: single named values, format version 1: [value, ...], and notes of judging that is not finished, format version
// 1: [because, [index, [part, ...], index, [part, ...], ...], ...].

import (
	"bytes"
	"math"

	"knownsender/core/store"
)

const (
	metaVersion      = 1
	metaMembers      = 1
	judgeNoteVersion = 1
	judgeNoteMembers = 2
)

// MetaRow is the row of a named value.
func MetaRow(name string, value []byte) store.Row {
	row := store.Row{Table: store.Meta, Key: MetaKey(name)}
	p := newPacker()
	defer p.done()
	p.record(metaMembers, nil)
	p.bytes(value)
	row.Value = p.seal(metaVersion, &row)
	return row
}

// DecodeMeta reads the row of a named value. Errors are *Error.
func DecodeMeta(row store.Row) ([]byte, error) {
	if len(row.Key) != 1 {
		return nil, &Error{Code: CodeBadRowKey, Table: store.Meta, Reason: "the key is no name"}
	}
	u, _, err := newUnpacker(&row, store.Meta, metaVersion)
	if err != nil {
		return nil, err
	}
	defer u.done()
	more := u.record(metaMembers)
	value := bytes.Clone(u.bytes("the value"))
	u.extra(more)
	if err := u.end(); err != nil {
		return nil, err
	}
	return value, nil
}

// JudgeNote says which copies are to be judged again: written with what was learned, deleted when all have been judged, so that a crash in
// between is made good by the next start.
type JudgeNote struct {
	Name    string
	Because string
	Parts   []JudgePart
}

// JudgePart is the copies that one index finds under one value.
type JudgePart struct {
	Index string
	Value store.Key
}

// JudgeNoteRow is the row of a note.
func JudgeNoteRow(n JudgeNote) store.Row {
	row := store.Row{Table: store.Meta, Key: JudgeNoteKey(n.Name)}
	p := newPacker()
	defer p.done()
	p.record(judgeNoteMembers, nil)
	p.text(n.Because)
	p.array(2 * len(n.Parts))
	for i := range n.Parts {
		p.text(n.Parts[i].Index)
		p.array(len(n.Parts[i].Value))
		for _, part := range n.Parts[i].Value {
			p.text(part)
		}
	}
	row.Value = p.seal(judgeNoteVersion, &row)
	return row
}

// DecodeJudgeNote reads the row of a note. Errors are *Error.
func DecodeJudgeNote(row store.Row) (JudgeNote, error) {
	if len(row.Key) != 2 || row.Key[0] != JudgeNotesPrefix()[0] {
		return JudgeNote{}, &Error{Code: CodeBadRowKey, Table: store.Meta, Reason: "the key names no note"}
	}
	u, _, err := newUnpacker(&row, store.Meta, judgeNoteVersion)
	if err != nil {
		return JudgeNote{}, err
	}
	defer u.done()
	n := JudgeNote{Name: row.Key[1]}
	more := u.record(judgeNoteMembers)
	n.Because = u.text("the cause")
	count := u.array(0, math.MaxInt32, "the parts")
	if count%2 != 0 {
		u.fail("a part has no value", nil)
	}
	for range count / 2 {
		part := JudgePart{Index: u.text("an index")}
		if u.fault == nil && part.Index != store.IndexWaiting && part.Index != store.IndexOwner {
			u.fail("there is no such index", nil)
		}
		for range u.array(1, store.MaxKeyParts, "an index value") {
			part.Value = append(part.Value, u.text("an index value"))
		}
		if u.fault != nil {
			break
		}
		n.Parts = append(n.Parts, part)
	}
	u.extra(more)
	if err := u.end(); err != nil {
		return JudgeNote{}, err
	}
	return n, nil
}
