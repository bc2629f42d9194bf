package core

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sort"

	"knownsender/core/ids"
	"knownsender/core/keyfile"
	"knownsender/core/megolm"
	"knownsender/core/sender"
	"knownsender/core/store"
)

// Keys that did not come from their sender: files, backups, bundles. What they say of the sender is hearsay (decision 20), so they are kept as
// claimed copies, which nothing that is learned can raise; but they open messages, and people own tens of thousands of them. So:
//
//   - each entry is judged by itself: a bad one costs only itself, and is reported with its position (T40);
//   - they are written in whole chunks, each in one batch, so that what was interrupted goes on where it stopped (F26);
//   - nothing of a file is held but some chunks, in the order in which they lie in the store: neighbours are written together (F27).
//
// What is not there yet is written without looking whether it is: where something lies there the batch clashes, and the two are joined.

const (
	importChunk  = 512             // how many room keys are written at a time
	importWindow = 8 * importChunk // how many are held, some two megabytes
	importOpened = 128             // how many of a backup are opened at a time: some milliseconds, after which others have a turn
)

// maxClaims is how many claimed copies of one session are taken in, each with another device that is said to have made it; of what somebody handed over
// as many again, so that a bundle cannot keep our own file's claim out. One is true; whoever can write to a file or a bundle could make a message's
// every decryption try thousands (T50).
//
// Those that lie in the store and are not in memory count from the second claim on that an import brings: one more can slip in with each import, for
// to read every session before it is written would cost more than the whole import.
const maxClaims = 16

// maxFailures is how many failures of one import are listed. The others are counted.
const maxFailures = 1000

// ImportOptions says where room keys come from.
type ImportOptions struct {
	// BackupVersion is the version of the server-side backup they were in: they need not be uploaded there again. Empty for files.
	BackupVersion string
	// BackupKey opens what comes by WriteBackup. nil: what comes is a key export, by Write.
	BackupKey *keyfile.BackupKey
}

// ImportCounts is how many room keys came to which end. A key of which an equal or earlier copy is here is Unchanged; Better begins earlier than
// the copy that was here, or contradicts one from a worse source and has taken its place. Within one import, keys count as if they came one after the
// other.
type ImportCounts struct {
	Imported, Unchanged, Better, Failed int
}

// Total is how many keys there were.
func (c ImportCounts) Total() int { return c.Imported + c.Unchanged + c.Better + c.Failed }

// ImportFailure says why one key was refused.
type ImportFailure struct {
	Position int // in the list, or in the order of the backup, from 0
	Err      error
}

// ImportResult is what became of an import so far. What is counted is durable.
type ImportResult struct {
	ImportCounts
	Rooms    map[ids.RoomID]*ImportCounts // of keys that could be read
	Failures []ImportFailure              // in order, the first thousand
}

// ImportError says that an import as a whole cannot go on.
type ImportError struct{ Code string }

// CodeImportEnded: the import was ended, or failed before, or it is one of the other kind.
const CodeImportEnded = "import_ended"

// Error is a sentence.
func (e *ImportError) Error() string { return "the import has ended" }

// ErrorCode is import_ended.
func (e *ImportError) ErrorCode() string { return e.Code }

// Import is an import under way. Its methods are called one after the other; only Abort may come at any time.
type Import struct {
	ImportResult
	machine  *Machine
	options  ImportOptions
	list     keyfile.Splitter
	position int // of the next key of a backup
	window   []importing
	opened   int // how many of them are not sealed, or not any more
	chunk    int // keys that are written at a time
	hold     int // keys in a full window
	ended    bool
	aborted  bool
}

// importing is one key of the chunk under way.
type importing struct {
	position int
	copy     *sender.Copy
	name     string // of its session, as it stands in the key of the row

	// Of a key of a backup, until it is opened.
	sealed *keyfile.SealedSession
	room   ids.RoomID
	id     megolm.SessionID

	there         *shelved // the copy it was put together with
	before, after *sender.Copy
	session       *megolm.InboundSession // as it came
	err           error
}

// BeginImport begins an import of room keys. It writes nothing, except which backup there is, when there was none. Errors: those of the store.
func (m *Machine) BeginImport(ctx context.Context, options ImportOptions) (*Import, error) {
	m.turn.Lock()
	defer m.leave()
	if m.closed {
		return nil, errClosed()
	}
	i := m.newImport(options)
	if options.BackupVersion != "" {
		if err := m.adoptBackup(ctx, options.BackupVersion); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// Format prints the same for every import, whatever the verb: it holds keys that have yet to be stored, and the key of a backup.
func (i Import) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "core.Import") }

func (m *Machine) newImport(options ImportOptions) *Import {
	return &Import{machine: m, options: options, chunk: importChunk, hold: importWindow, ImportResult: ImportResult{Rooms: map[ids.RoomID]*ImportCounts{}}}
}

// Counts are the counts so far.
func (i *Import) Counts() ImportCounts {
	i.machine.turn.Lock()
	defer i.machine.leave()
	return i.ImportCounts
}

// Write takes the next piece of the list, a JSON array cut anywhere, and now and then stores the keys that are complete, in whole chunks. Errors:
// *keyfile.FileError when the list cannot be read any further, *ImportError, and those of the store. What was read before an error stays.
func (i *Import) Write(ctx context.Context, piece []byte) error {
	i.machine.turn.Lock()
	defer i.machine.leave()
	if err := i.goesOn(i.options.BackupKey == nil); err != nil {
		return err
	}
	return i.failed(ctx, i.list.Write(piece, func(position int, raw []byte) error {
		entry, err := keyfile.ParseEntry(raw)
		if err != nil {
			return i.add(ctx, importing{position: position, err: err})
		}
		return i.add(ctx, importing{position: position, copy: i.machine.claimed(entry)})
	}))
}

// WriteBackup takes a part of an answer to GET /room_keys/keys, in the form of the whole, and stores its keys in whole chunks. Of what cannot be
// opened the position counts as of everything else. Errors: *keyfile.BackupError for a part that cannot be followed, and those of Write.
func (i *Import) WriteBackup(ctx context.Context, part []byte) error {
	i.machine.turn.Lock()
	defer i.machine.leave()
	if err := i.goesOn(i.options.BackupKey != nil); err != nil {
		return err
	}
	var storing error
	err := keyfile.EachBackupSession(part, func(row keyfile.BackupRow) bool {
		k := importing{position: i.position, room: row.RoomID, id: row.SessionID}
		i.position++
		if row.Err != nil {
			k.err = row.Err
		} else {
			k.sealed, k.err = keyfile.ParseBackupSession(row.Raw)
		}
		storing = i.add(ctx, k)
		return storing == nil
	})
	if storing != nil {
		err = storing
	}
	return i.failed(ctx, err)
}

// goesOn is nil while the import may go on, in the way that is right for it.
func (i *Import) goesOn(right bool) error {
	switch {
	case i.machine.closed:
		return errClosed()
	case i.ended || !right:
		return &ImportError{Code: CodeImportEnded}
	}
	return nil
}

// add adds a key to the window, and stores the window when it is full. One that cannot be read is added too, so that failures are listed in order.
func (i *Import) add(ctx context.Context, k importing) error {
	if err := i.goesOn(true); err != nil {
		return err // ended while others were being stored
	}
	k.named()
	i.window = append(i.window, k)
	if len(i.window)-i.opened >= min(i.chunk, importOpened) {
		if err := i.open(ctx); err != nil {
			return err
		}
	}
	if len(i.window) < i.hold {
		return nil
	}
	return i.store(ctx)
}

// End takes the end of the list and stores what is left. The counts are final. Errors: those of Write.
func (i *Import) End(ctx context.Context) error {
	i.machine.turn.Lock()
	defer i.machine.leave()
	if err := i.goesOn(true); err != nil {
		return err
	}
	if i.options.BackupKey == nil {
		if err := i.failed(ctx, i.list.Close()); err != nil {
			return err
		}
	}
	i.ended = true
	return i.store(ctx)
}

// Abort ends an import before its end, after the chunk that is being written. What was stored stays; the rest of the window is dropped.
func (i *Import) Abort() {
	i.machine.turn.Lock()
	defer i.machine.leave()
	i.ended, i.aborted, i.window, i.opened = true, true, nil, 0
}

// failed stores what came before an error of the list, and ends the import.
func (i *Import) failed(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	i.ended = true
	switch err.(type) {
	case *keyfile.FileError, *keyfile.BackupError:
		if storing := i.store(ctx); storing != nil {
			return storing
		}
	}
	return err
}

// claimed is the copy that an entry gives, with the evidence of another device of ours if it is that. The entry is of no use afterwards.
func (m *Machine) claimed(entry *keyfile.Entry) *sender.Copy {
	c := entry.Copy(m.now())
	if data, at, held := entry.Evidence(m.senderDataKey); held {
		c.AtReception, c.ReceivedAt = data, at
	}
	entry.Wipe()
	return c
}

func (i *Import) refused(position int, err error) {
	i.Failed++
	if len(i.Failures) < maxFailures {
		i.Failures = append(i.Failures, ImportFailure{position, err})
	}
}

// store writes the window, chunk by chunk, and counts.
func (i *Import) store(ctx context.Context) error {
	if err := i.open(ctx); err != nil {
		return err
	}
	window := i.window
	i.window, i.opened = nil, 0
	sort.Slice(window, func(a, b int) bool { return window[a].compare(&window[b]) < 0 })
	if err := i.machine.breathe(ctx); err != nil {
		return err
	}
	failures := len(i.Failures)
	for chunk := range slices.Chunk(window, i.chunk) {
		if i.aborted {
			return &ImportError{Code: CodeImportEnded}
		}
		if err := i.keep(ctx, chunk); err != nil {
			return err
		}
		for n := range chunk {
			i.count(&chunk[n])
		}
		clear(chunk)
		i.machine.tell()
	}
	fresh := i.Failures[failures:]
	sort.Slice(fresh, func(a, b int) bool { return fresh[a].Position < fresh[b].Position })
	return nil
}

// compare orders keys as their rows lie in the store, those that cannot be read first. Keys of one session stay in their order; a stable sort would move them
// some ten times as often.
func (k *importing) compare(other *importing) int {
	a, b := k.copy, other.copy
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return cmp.Or(cmp.Compare(a.RoomID, b.RoomID), cmp.Compare(k.name, other.name), cmp.Compare(k.position, other.position))
}

// named notes the name under which the key is sorted.
func (k *importing) named() {
	if k.copy != nil {
		k.name = k.copy.SessionID.String()
	}
}

// breathe waits for the store, which has nothing to do: others have their turn between two long works.
func (m *Machine) breathe(ctx context.Context) error {
	if _, err := m.store.Counters(ctx); err != nil {
		return err
	}
	if m.closed {
		return errClosed()
	}
	return nil
}

// keep keeps a chunk. What came from the backup that is in use is marked as being in it.
func (i *Import) keep(ctx context.Context, chunk []importing) error {
	m := i.machine
	if i.options.BackupVersion == "" {
		return m.keep(ctx, chunk, nil)
	}
	m.backing.enter()
	defer m.backing.leave()
	for clashes := 0; ; clashes++ {
		backup, rev, err := m.backup(ctx)
		if err != nil {
			return err
		}
		for n := range chunk {
			if k := &chunk[n]; k.copy != nil {
				*k = importing{position: k.position, copy: k.copy.InBackup(backup.Version == i.options.BackupVersion), name: k.name}
			}
		}
		row := backup.row(rev)
		err = m.keep(ctx, chunk, &row)
		if conflict, lost := clash(err); !lost || clashes == maxClashes || !conflict.Names([]store.Op{row}) {
			return err
		}
	}
}

// open decrypts what is sealed in the window, the key agreements in one go.
func (i *Import) open(ctx context.Context) error {
	chunk := i.window[i.opened:]
	i.opened = len(i.window)
	if i.options.BackupKey == nil {
		return nil
	}
	sealed := make([]*keyfile.SealedSession, 0, len(chunk))
	for n := range chunk {
		if chunk[n].err == nil {
			sealed = append(sealed, chunk[n].sealed)
		}
	}
	m := i.machine
	var secrets [][]byte
	var err error
	m.turn.give(func() { secrets, err = i.options.BackupKey.SharedSecrets(ctx, m.agreement, sealed) })
	if err != nil {
		return err
	}
	if i.aborted {
		return &ImportError{Code: CodeImportEnded}
	}
	for n := range chunk {
		k := &chunk[n]
		if k.err != nil {
			continue
		}
		payload, err := k.sealed.Open(secrets[0])
		secrets = secrets[1:]
		if err == nil {
			var entry *keyfile.Entry
			if entry, err = keyfile.ParseBackupEntry(k.room, k.id, payload); err == nil {
				k.copy = m.claimed(entry)
				k.named()
			}
			clear(payload)
		}
		k.err = err
	}
	return nil
}

// keep puts claimed copies on the shelf and writes them in one batch, with the row marks if that says that they are in the backup (commit). Afterwards
// each knows which copy it was put together with, or why it was refused. The listener is told later.
//
// From the putting to the end it is this call's turn to write. So nobody else writes what is taken back again when the batch fails, and two calls that
// bring the same key do so one after the other.
func (m *Machine) keep(ctx context.Context, chunk []importing, marks *store.Op) error {
	m.writing.enter()
	defer m.writing.leave()
	err := m.putClaims(ctx, chunk)
	if err == nil {
		err = m.commit(ctx, nil, marks)
	}
	for n := len(chunk) - 1; n >= 0; n-- {
		k := &chunk[n]
		if k.there == nil {
			continue
		}
		k.there.expected--
		if err != nil {
			m.takeBack(k)
		} else if k.session.Compare(k.there.copy.Session) == megolm.Unconnected {
			// It was put together with nothing, and then another one turned out to be stored.
			k.err = &RoomKeyConflict{Code: sender.ReasonUnconnected, CopyKey: k.copy.CopyKey}
		}
	}
	return err
}

// putClaims puts claimed copies on the shelf. It waits only where one session is claimed again.
func (m *Machine) putClaims(ctx context.Context, chunk []importing) error {
	for n := range chunk {
		k := &chunk[n]
		if k.copy == nil {
			continue
		}
		k.session = k.copy.Session
		if in := m.shelf.find(nameOf(k.copy.CopyKey)); in != nil && !in.whole.copies && in.find(k.copy.CopyKey) == nil && in.claims(k.copy.Forwarder != nil) > 0 {
			if _, err := m.loadCopies(ctx, in.name); err != nil {
				return err
			}
		}
		if there := m.shelf.copy(k.copy.CopyKey); there != nil {
			k.before = there.copy
		}
		if in := m.shelf.find(nameOf(k.copy.CopyKey)); in != nil && in.crowded(k.before, k.copy) {
			k.err = &RoomKeyConflict{Code: CodeTooManyClaims, CopyKey: k.copy.CopyKey}
			continue
		}
		kept, report := m.shelf.put(k.copy, BecauseRoomKey)
		if report.Refused != "" {
			k.err = &RoomKeyConflict{Code: report.Refused, CopyKey: k.copy.CopyKey}
			continue
		}
		k.after, k.there = kept, m.shelf.copy(k.copy.CopyKey)
		if k.there.expected++; k.there.expected == 1 {
			k.there.was = nil
			if k.there.stored != nil {
				k.there.was = k.there.stored.Session
			}
		}
	}
	return nil
}

// crowded reports whether the session has no place for another claimed copy like c, which would take the place of before (nil: of none).
func (in *session) crowded(before, c *sender.Copy) bool {
	if before != nil && (before.Forwarder == nil || c.Forwarder != nil) {
		return false
	}
	return in.claims(c.Forwarder != nil) >= maxClaims
}

// claims is how many claimed copies of the session are in memory, of those that were handed over or of the others.
func (in *session) claims(handedOver bool) (count int) {
	for _, there := range in.copies {
		if there.copy.Provenance == sender.Claimed && (there.copy.Forwarder != nil) == handedOver {
			count++
		}
	}
	return count
}

// takeBack takes a key off the shelf again that could not be written. A room key that was received stays there, for it may never come again. An
// import can be begun again, and where there is no room for it, it must not keep what is received from being written (F05).
func (m *Machine) takeBack(k *importing) {
	switch in := m.shelf.find(nameOf(k.copy.CopyKey)); {
	case in == nil || k.there.copy != k.after:
		// Somebody has put it together with something else since.
	case k.before != nil:
		k.there.copy = k.before
	case k.there.stored == nil:
		in.drop(k.there)
	default:
		k.there.copy = k.there.stored // another tab's, from a worse source
	}
}

// count counts a key of a chunk that is stored.
func (i *Import) count(k *importing) {
	var counts *ImportCounts
	if k.copy != nil {
		if counts = i.Rooms[k.copy.RoomID]; counts == nil {
			counts = &ImportCounts{}
			i.Rooms[k.copy.RoomID] = counts
		}
	} else {
		counts = &ImportCounts{}
	}
	if k.err != nil {
		i.refused(k.position, k.err)
		counts.Failed++
		return
	}
	switch was := k.there.was; {
	case was == nil:
		i.Imported++
		counts.Imported++
	case opensMore(k.session, was):
		i.Better++
		counts.Better++
	default:
		i.Unchanged++
		counts.Unchanged++
		return
	}
	k.there.was = k.session
}
