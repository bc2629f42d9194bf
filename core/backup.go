package core

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/url"
	"slices"

	"knownsender/core/keyfile"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/megolm"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/signedjson"
	"knownsender/core/store"
)

// The server-side backup, m.megolm_backup.v1.curve25519-aes-sha2: which one is in use, what is in it, and what is to be uploaded. Copies that are
// not in it are found by an index; a copy that gets an earlier index leaves the backup by itself, for what lies there is not this ratchet
// (scenario 98). A copy that is known only through somebody who handed it over stays here, as in exports: it would come back as our own (T45).

// Backup is a server-side backup: its version, and the key that what goes there is sealed for.
type Backup struct {
	Version string
	Public  keys.Curve25519 // zero while it is only known that such a backup exists: keys came from it, none are to go there
}

// Enabled reports whether room keys are to be uploaded.
func (b *Backup) Enabled() bool { return b.Public != keys.Curve25519{} }

// backupMeta names the meta row of the backup that is in use: 32 bytes of key, and the version.
const backupMeta = "backup"

// CodeBackupDisabled: there is no backup to upload to.
const CodeBackupDisabled = "backup_disabled"

// CodeBadBackupVersion: a version of a backup is empty or absurdly long.
const CodeBadBackupVersion = "bad_backup_version"

// CodeNoFetch: the machine has no Fetcher to send requests through.
const CodeNoFetch = "no_fetch"

// BackupStateError says that what was asked of the backup cannot be done now.
type BackupStateError struct{ Code string }

// Error is a sentence.
func (e *BackupStateError) Error() string {
	switch e.Code {
	case CodeBadBackupVersion:
		return "this is no version of a backup"
	case CodeNoFetch:
		return "the machine was opened without the client's fetch"
	}
	return "no backup is enabled"
}

// ErrorCode is backup_disabled, bad_backup_version or no_fetch.
func (e *BackupStateError) ErrorCode() string { return e.Code }

// Backup is the backup in use, the zero Backup when there is none. Errors: those of the store.
func (m *Machine) Backup(ctx context.Context) (Backup, error) {
	m.turn.Lock()
	defer m.leave()
	if m.closed {
		return Backup{}, errClosed()
	}
	backup, _, err := m.backup(ctx)
	return backup, err
}

// EnableBackup begins to use a backup: BackupRoomKeys lists what to upload. Where it is another version than before, all copies are yet to be
// uploaded; where it is the one in use, nothing changes. Of two tabs that enable different ones, the later has its way. Errors: *BackupStateError and those of the store.
func (m *Machine) EnableBackup(ctx context.Context, to Backup) error {
	m.turn.Lock()
	defer m.leave()
	if m.closed {
		return errClosed()
	}
	if to.Version == "" {
		return &BackupStateError{Code: CodeBadBackupVersion}
	}
	return m.useBackup(ctx, to, false)
}

// DisableBackup forgets the backup in use, and with it what was in it. Errors: those of the store.
func (m *Machine) DisableBackup(ctx context.Context) error {
	m.turn.Lock()
	defer m.leave()
	if m.closed {
		return errClosed()
	}
	return m.useBackup(ctx, Backup{}, false)
}

// adoptBackup is for keys that come from a backup of that version. Where none is in use, it becomes that one, without a key: should it be
// enabled later, what came from it need not go there again.
func (m *Machine) adoptBackup(ctx context.Context, version string) error {
	return m.useBackup(ctx, Backup{Version: version}, true)
}

// useBackup writes which backup is in use from now on, none for the zero Backup; or, when it is only to be adopted, unless there is one. Where another
// tab writes that too it looks again.
func (m *Machine) useBackup(ctx context.Context, to Backup, adopt bool) error {
	if len(to.Version) > 255 {
		return &BackupStateError{Code: CodeBadBackupVersion}
	}
	m.backing.enter()
	defer m.backing.leave()
	for clashes := 0; ; clashes++ {
		now, rev, err := m.backup(ctx)
		if err != nil || adopt && now.Version != "" {
			return err
		}
		if written := rev != 0; now == to && written == (to.Version != "") {
			return nil
		}
		if now.Version != to.Version || to.Version == "" {
			m.uploads = nil
			// Before the version is written: after a crash in between it is done again.
			if err := m.forgetBackedUp(ctx); err != nil {
				return err
			}
		}
		err = m.store.Commit(ctx, store.Batch{Ops: []store.Op{to.row(rev)}})
		if _, lost := clash(err); !lost || clashes == maxClashes {
			return err
		}
	}
}

// row writes which backup is in use, where that row is at revision rev. Beside marks it is written as it is, so that they hold only as long as that
// backup is in use: another tab may change it at any time.
func (b Backup) row(rev uint64) store.Op {
	op := store.Op{Table: store.Meta, Key: record.MetaKey(backupMeta), Expect: rev}
	if b.Version != "" {
		op.Value = record.MetaRow(backupMeta, append(b.Public[:len(b.Public):len(b.Public)], b.Version...)).Value
	}
	return op
}

// backup reads which backup is in use. It is not remembered: another tab may have changed it. A damaged row counts as none.
func (m *Machine) backup(ctx context.Context) (Backup, uint64, error) {
	var b Backup
	rows, err := m.store.Get(ctx, store.Meta, []store.Key{record.MetaKey(backupMeta)})
	if err != nil || rows[0].Rev == 0 {
		return b, 0, err
	}
	value, err := record.DecodeMeta(rows[0])
	if err == nil && len(value) <= len(b.Public) {
		err = &record.Error{Code: record.CodeBadRecord, Table: store.Meta, Reason: "the backup has no version"}
	}
	if err != nil {
		m.quarantine(store.Meta, &rows[0], err)
		return b, rows[0].Rev, nil
	}
	copy(b.Public[:], value)
	b.Version = string(value[len(b.Public):])
	return b, rows[0].Rev, nil
}

// forgetBackedUp marks all copies as not in the backup. It walks all of them, once for each version; and once more while marks are left, for a
// mark comes back where another tab writes the copy at the same time.
func (m *Machine) forgetBackedUp(ctx context.Context) error {
	for {
		forgotten, err := m.forgetAllBackedUp(ctx)
		if err != nil || forgotten == 0 {
			return err
		}
		counters, err := m.store.Counters(ctx)
		if err != nil || counters[counterBackedUp] == 0 {
			return err
		}
	}
}

func (m *Machine) forgetAllBackedUp(ctx context.Context) (forgotten int, err error) {
	for query := (store.Query{Table: store.Copies, Limit: judgePage}); ; {
		rows, err := store.Page(ctx, m.store, query)
		if err != nil {
			return forgotten, err
		}
		for i := range rows {
			if there := m.take(&rows[i]); there != nil && !there.gone && there.copy.BackedUp {
				m.markBackedUp(there, false)
				forgotten++
			}
		}
		if err := m.write(ctx); err != nil || len(rows) < judgePage {
			return forgotten, err
		}
		query = query.Next(&rows[len(rows)-1])
	}
}

func (m *Machine) markBackedUp(there *shelved, backedUp bool) {
	there.copy = there.copy.InBackup(backedUp)
	m.shelf.queue(m.shelf.session(nameOf(there.copy.CopyKey)))
}

// BackupRequest is an upload to make.
type BackupRequest struct {
	lane.Request
	Version string
	Count   int // sessions in it
}

// upload is an upload under way: the copies that it puts into the backup, as they were.
type upload struct {
	id      string
	version string
	copies  []*sender.Copy
}

// maxUploads is how many uploads may be under way; beyond it the oldest is forgotten, and its keys are uploaded once more.
const maxUploads = 8

// backupSessions is how many sessions go into one upload.
const backupSessions = 100

// BackupRoomKeys makes the next upload, nil when everything is in the backup. Of several copies of one session the best known goes there; suspended
// ones and those that are known only through a forwarder do not. Say with MarkBackedUp, or with MarkRequestAsSent, that the server has it; until then the
// same keys are listed again. Errors: *BackupStateError backup_disabled, those of the key agreement and of the store.
func (m *Machine) BackupRoomKeys(ctx context.Context) (*BackupRequest, error) {
	m.turn.Lock()
	defer m.leave()
	return m.nextBackup(ctx)
}

func (m *Machine) nextBackup(ctx context.Context) (*BackupRequest, error) {
	if m.closed {
		return nil, errClosed()
	}
	backup, _, err := m.backup(ctx)
	if err != nil {
		return nil, err
	}
	if !backup.Enabled() {
		return nil, &BackupStateError{Code: CodeBackupDisabled}
	}
	if err := m.flush(ctx); err != nil {
		return nil, err
	}
	chosen, marked, err := m.notBackedUp(ctx)
	if err != nil || len(chosen) == 0 {
		return nil, err
	}
	var made []keyfile.Ephemeral
	m.turn.give(func() { made, err = m.agreement.Ephemeral(ctx, backup.Public, len(chosen)) })
	if err != nil {
		return nil, err
	}
	body, err := m.backupBody(chosen, made)
	if err != nil {
		return nil, err
	}
	r := &BackupRequest{
		Request: lane.Request{ID: rand.Text(), Type: lane.KeysBackup, Target: url.QueryEscape(backup.Version), Body: body},
		Version: backup.Version, Count: len(chosen),
	}
	if len(m.uploads) == maxUploads {
		m.uploads = slices.Delete(m.uploads, 0, 1)
	}
	m.uploads = append(m.uploads, upload{r.ID, backup.Version, marked})
	return r, nil
}

// UploadRoomKeys uploads, through the Fetcher, what is not in the backup yet, and returns how many sessions that was. What the server has taken when it
// fails stays marked as taken. Errors: *BackupStateError backup_disabled or no_fetch, *lane.FetchError, those of the key agreement and of the store.
func (m *Machine) UploadRoomKeys(ctx context.Context) (uploaded int, err error) {
	m.turn.Lock()
	defer m.leave()
	if m.lanes.fetcher == nil {
		return 0, &BackupStateError{Code: CodeNoFetch}
	}
	for {
		next, err := m.nextBackup(ctx)
		if err != nil || next == nil {
			return uploaded, err
		}
		if _, err = m.send(ctx, &next.Request); err == nil {
			err = m.backedUp(ctx, next.ID)
		}
		if err != nil {
			return uploaded, err
		}
		uploaded += next.Count
	}
}

// notBackedUp lists for the next sessions what goes into the backup, and all copies that are done with then.
func (m *Machine) notBackedUp(ctx context.Context) (chosen, marked []*sender.Copy, err error) {
	var last sessionName
	// Of a page there may be nothing to upload: rows that cannot be read.
	for query := (store.Query{Table: store.Copies, Index: store.IndexBackup, Limit: backupSessions}); len(chosen) == 0; {
		rows, err := store.Page(ctx, m.store, query)
		if err != nil {
			return nil, nil, err
		}
		for i := range rows {
			there := m.take(&rows[i])
			if there == nil {
				if err := m.unindex(ctx, &rows[i]); err != nil {
					return nil, nil, err
				}
				continue
			}
			name := nameOf(there.copy.CopyKey)
			if name == last {
				continue
			}
			last = name
			in, err := m.loadCopies(ctx, name)
			if err != nil {
				return nil, nil, err
			}
			all := slices.DeleteFunc(in.all(), func(c *sender.Copy) bool { return c.Suspended || c.Forwarder != nil })
			if len(all) > 0 {
				chosen, marked = append(chosen, oneForAll(all)), append(marked, all...)
			}
		}
		if len(rows) < backupSessions {
			break
		}
		query = query.Next(&rows[len(rows)-1])
	}
	return chosen, marked, nil
}

// oneForAll is the copy that stands for a session where there is room for one, in the backup and in bundles: of its copies, best first, the first,
// with the earliest ratchet there is that leads to it. Of claimed copies that is one of the best source, and of those the earliest: who invents a ratchet can begin it where he likes.
func oneForAll(all []*sender.Copy) *sender.Copy {
	best := all[0] // direct before claimed
	if best.Provenance == sender.Claimed {
		best = slices.MaxFunc(all, func(a, b *sender.Copy) int {
			return cmp.Or(a.CompareSource(b), cmp.Compare(b.Session.FirstKnownIndex(), a.Session.FirstKnownIndex()))
		})
	}
	earliest := best.Session
	for _, c := range all {
		if c.Session.FirstKnownIndex() < earliest.FirstKnownIndex() && c.Session.Compare(best.Session) != megolm.Unconnected {
			earliest = c.Session
		}
	}
	return withSession(best, earliest)
}

// backupBody is {"rooms": {room: {"sessions": {session: KeyBackupData}}}}. Sessions of one room lie together.
func (m *Machine) backupBody(chosen []*sender.Copy, made []keyfile.Ephemeral) ([]byte, error) {
	dst := []byte(`{"rooms":{`)
	for i, c := range chosen {
		if i == 0 || c.RoomID != chosen[i-1].RoomID {
			if i > 0 {
				dst = append(dst, "}}"...)
			}
			dst = append(signedjson.AppendName(dst, string(c.RoomID)), `{"sessions":{`...)
		}
		dst = signedjson.AppendName(dst, c.SessionID.String())
		sealed, err := made[i].Seal(c, m.senderDataKey)
		if err != nil {
			return nil, err
		}
		dst = append(dst, sealed...)
	}
	return append(dst, "}}}}"...), nil
}

// MarkBackedUp says that the server has taken an upload. A copy that has become better meanwhile is not marked. Errors: *RequestError for an id
// that names none, and those of the store; after one of those it can be said again.
func (m *Machine) MarkBackedUp(ctx context.Context, id string) error {
	m.turn.Lock()
	defer m.leave()
	return m.backedUp(ctx, id)
}

func (m *Machine) backedUp(ctx context.Context, id string) error {
	if m.closed {
		return errClosed()
	}
	m.backing.enter()
	defer m.backing.leave()
	at := slices.IndexFunc(m.uploads, func(u upload) bool { return u.id == id })
	if at < 0 {
		return &RequestError{ID: id}
	}
	done := m.uploads[at]
	for clashes := 0; ; clashes++ {
		backup, rev, err := m.backup(ctx)
		if err != nil {
			return err
		}
		if backup.Version != done.version { // it went into a backup that is no longer the one in use
			break
		}
		row := backup.row(rev)
		err = m.writeMarks(ctx, done.copies, &row)
		if err == nil {
			break
		}
		if conflict, lost := clash(err); !lost || clashes == maxClashes || !conflict.Names([]store.Op{row}) {
			return err
		}
	}
	m.uploads = slices.DeleteFunc(m.uploads, func(u upload) bool { return u.id == id })
	return nil
}

// writeMarks marks copies as being in the backup, those that are still as they went there, together with the row that says which one that is. No other
// batch takes the marks: when this one is not written they are taken back.
func (m *Machine) writeMarks(ctx context.Context, copies []*sender.Copy, row *store.Op) error {
	m.writing.enter()
	defer m.writing.leave()
	var marked []*shelved
	var err error
	for _, c := range copies {
		var there *shelved
		if there, err = m.find(ctx, c.CopyKey); err != nil {
			break
		}
		if there != nil && there.copy.Session.Compare(c.Session) == megolm.Equal {
			m.markBackedUp(there, true)
			marked = append(marked, there)
		}
	}
	if err == nil {
		err = m.commit(ctx, nil, row)
	}
	if err != nil {
		for _, there := range marked {
			if there.marks() {
				there.copy = there.copy.InBackup(false)
			}
		}
	}
	return err
}

// find returns a copy that is kept, from memory or from the store; nil when there is none any more.
func (m *Machine) find(ctx context.Context, key sender.CopyKey) (*shelved, error) {
	in, err := m.loadCopies(ctx, nameOf(key))
	if err != nil {
		return nil, err
	}
	if there := in.find(key); there != nil && !there.gone {
		return there, nil
	}
	return nil, nil
}
