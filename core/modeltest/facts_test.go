package modeltest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"

	"knownsender/core/lane"
	"knownsender/core/megolm"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/trust"
)

// A state is what lies in the store. Rows are kept once, decoded once and given numbers, for few different ones make up all the states.

// facts is one row: as it lies there, what it means, and what it is called in a state's name.
type facts struct {
	store.Row
	name [16]byte // equal for rows that differ only in what is no part of a state's name

	copy      *sender.Copy
	connected bool // of a copy: its ratchet leads to the genuine one
	person    *trust.UserRecord
	tombstone *sender.Tombstone
	replays   *record.ReplayBlock
	unjudged  *record.JudgeNote
	fault     string // why this row must not exist (I24)
}

// snapshot is a store's rows, as numbers, by table and key; and its count of copies.
type snapshot struct {
	rows    []uint32
	counted int64
}

// archive numbers rows. It is safe for concurrent use.
type archive struct {
	w         *world
	credulous bool // the Machines over these states find every signature good

	mu sync.RWMutex

	numbers map[string]uint32
	all     []*facts
}

func newArchive(w *world) *archive { return &archive{w: w, numbers: map[string]uint32{}} }

func (a *archive) fact(number uint32) *facts {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.all[number]
}

// number is the number of a row.
func (a *archive) number(row *store.Row) uint32 {
	var b strings.Builder
	b.WriteString(string(row.Table))
	for _, part := range row.Key {
		b.WriteByte(0)
		b.WriteString(part)
	}
	for i := range row.Index {
		b.WriteByte(1)
		b.WriteString(row.Index[i].Name)
		b.WriteString(row.Index[i].Value.String())
	}
	b.WriteByte(2)
	b.Write(row.Value)
	text := b.String()
	a.mu.RLock()
	number, known := a.numbers[text]
	a.mu.RUnlock()
	if known {
		return number
	}
	read := a.read(row)
	a.mu.Lock()
	defer a.mu.Unlock()
	if number, known := a.numbers[text]; known {
		return number
	}
	a.all = append(a.all, read)
	number = uint32(len(a.all) - 1)
	a.numbers[text] = number
	return number
}

// take reads a whole store.
func (a *archive) take(disk store.Store) snapshot {
	var s snapshot
	for _, table := range store.Tables() {
		for _, row := range must(store.Page(context.Background(), disk, store.Query{Table: table, Limit: store.MaxLimit})) {
			if row.Table == store.Meta && len(row.Key) == 2 {
				rename(&row)
			}
			if number := a.number(&row); !slices.Contains(s.rows, number) {
				s.rows = append(s.rows, number)
			}
		}
	}
	s.counted = must(disk.Counters(context.Background()))["copies"]
	return s
}

// rename gives a note of unfinished judging a name that follows from what it says: its own was drawn by lot.
func rename(row *store.Row) {
	note, err := record.DecodeJudgeNote(*row)
	if err != nil {
		return
	}
	note.Name = ""
	named := hash(record.JudgeNoteRow(note).Value)
	note.Name = fmt.Sprintf("%x", named[:8])
	renamed := record.JudgeNoteRow(note)
	row.Key, row.Value = renamed.Key, renamed.Value
}

// restore makes a store of a snapshot.
func (a *archive) restore(s snapshot) *store.Memory {
	disk := store.NewMemory()
	batch := store.Batch{Ops: make([]store.Op, len(s.rows)), Counters: map[string]int64{"copies": s.counted}}
	for i, number := range s.rows {
		row := a.fact(number)
		batch.Ops[i] = store.Op{Table: row.Table, Key: row.Key, Value: row.Value, Index: row.Index}
	}
	if err := disk.Commit(context.Background(), batch); err != nil {
		panic(err)
	}
	return disk
}

// identity is the state's name.
func (a *archive) identity(s snapshot) [16]byte {
	names := make([][16]byte, len(s.rows))
	for i, number := range s.rows {
		names[i] = a.fact(number).name
	}
	slices.SortFunc(names, func(x, y [16]byte) int { return bytes.Compare(x[:], y[:]) })
	all := make([]byte, 0, 16*len(names))
	for i := range names {
		all = append(all, names[i][:]...)
	}
	return hash(all)
}

func hash(text []byte) [16]byte {
	sum := sha256.Sum256(text)
	return [16]byte(sum[:16])
}

// read decodes a row, encodes it again (I24), and names it.
func (a *archive) read(row *store.Row) *facts {
	f := &facts{Row: *row}
	plain := *row // the row without what is no part of its name
	var again store.Row
	var err error
	switch row.Table {
	case store.Copies:
		if f.copy, err = record.DecodeCopy(*row); err == nil {
			again = record.CopyRow(f.copy)
			f.connected = f.copy.Session.Compare(a.w.genuine) != megolm.Unconnected
			bare := *f.copy
			bare.AtReception, bare.ReceivedAt, bare.Step, bare.Schedule = bare.Current, 0, 0, lane.Schedule{}
			plain = record.CopyRow(&bare)
		}
	case store.Users:
		if f.person, err = record.DecodeUser(*row); err == nil {
			again = record.UserRow(f.person)
			bare := *f.person
			bare.AnswerSequence = 0
			plain = record.UserRow(&bare)
			err = f.person.Validate()
		}
	case store.Tombstones:
		if f.tombstone, err = record.DecodeTombstone(*row); err == nil {
			again = record.TombstoneRow(f.tombstone)
			bare := *f.tombstone
			bare.At = 0
			plain = record.TombstoneRow(&bare)
		}
	case store.Replays:
		var block record.ReplayBlock
		if block, err = record.ParseReplayRow(row); err == nil {
			f.replays, again = &block, record.ReplayRow(block)
		}
	case store.Meta:
		if row.Key.HasPrefix(record.JudgeNotesPrefix()) {
			var note record.JudgeNote
			if note, err = record.DecodeJudgeNote(*row); err == nil {
				f.unjudged, again = &note, record.JudgeNoteRow(note)
			}
		} else {
			again = *row
		}
	default:
		f.fault = "a row in " + string(row.Table)
	}
	switch {
	case err != nil:
		f.fault = fmt.Sprintf("I24: a row in %s does not decode: %v", row.Table, err)
	case f.fault == "" && !bytes.Equal(again.Value, row.Value):
		f.fault = fmt.Sprintf("I24: a row in %s is not what its contents encode to", row.Table)
	case f.copy != nil && record.Stale(row, f.copy):
		f.fault = "F36: a copy stands in the wrong indexes"
	}
	f.name = hash(fmt.Appendf(nil, "%s %q %x", row.Table, plain.Key, plain.Value))
	return f
}

// state is a snapshot read for its meaning.
type state struct {
	copies  map[sender.CopyKey]*facts
	people  map[string]*trust.UserRecord
	graves  map[sender.CopyKey]*sender.Tombstone
	replays map[uint32]string // event ids in the one room, by index
	notes   int               // of unfinished judging
	faults  []string
}

func (a *archive) meaning(s snapshot) *state {
	st := &state{
		copies: map[sender.CopyKey]*facts{}, people: map[string]*trust.UserRecord{}, graves: map[sender.CopyKey]*sender.Tombstone{}, replays: map[uint32]string{},
	}
	for _, number := range s.rows {
		f := a.fact(number)
		switch {
		case f.fault != "":
			st.faults = append(st.faults, f.fault)
		case f.copy != nil:
			st.copies[f.copy.CopyKey] = f
		case f.person != nil:
			st.people[string(f.person.UserID)] = f.person
		case f.tombstone != nil:
			st.graves[f.tombstone.CopyKey] = f.tombstone
		case f.replays != nil && f.replays.RoomID == room:
			for index, event := range f.replays.Events {
				st.replays[index] = string(event)
			}
		case f.unjudged != nil:
			st.notes++
		}
	}
	return st
}

// describe is a state for people.
func (st *state) describe() string {
	var lines []string
	for key, f := range st.copies {
		c := f.copy
		lines = append(lines, fmt.Sprintf("copy %s %s of %.6s from %d: %v %s under %.6s suspended %v legacy %v genuine %v embedded %d step %c tries %d",
			key.RoomID, key.Provenance, key.SenderKey, c.Session.FirstKnownIndex(), c.Current.Kind, c.OlmUser, c.Current.MasterKey, c.Suspended, c.Legacy, f.connected, len(c.EmbeddedDevice), max(c.Step, ' '), c.Schedule.Tries))
	}
	for name, p := range st.people {
		line := "person " + name
		if i := p.Identity; i != nil {
			line += fmt.Sprintf(" master %.6s pinned %.6s latched %v signed by us %v", i.Master.Key, i.Pinned, i.PreviouslyVerified, i.SignedByUs)
		}
		if p.WasVerified {
			line += fmt.Sprintf(" trusted %.6s", p.TrustedMaster)
		}
		for i := range p.Devices {
			line += fmt.Sprintf(" device %s %v", p.Devices[i].DeviceID, p.Devices[i].CrossSigned)
		}
		lines = append(lines, line)
	}
	for key, t := range st.graves {
		lines = append(lines, fmt.Sprintf("tombstone %.6s %s", key.SenderKey, t.Reason))
	}
	for index, event := range st.replays {
		lines = append(lines, fmt.Sprintf("index %d is taken by %s", index, event))
	}
	if st.notes > 0 {
		lines = append(lines, fmt.Sprintf("%d notes of unfinished judging", st.notes))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
