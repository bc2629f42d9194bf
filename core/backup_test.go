package core_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/keyfile"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/megolm"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/store/storetest"
	"knownsender/core/testkit"
)

// The server-side backup: what is uploaded, what counts as being there, and what a crash, a better ratchet, another version or another tab in
// between can do to that. What must never be: a copy that counts as backed up and is not.

// enable begins to use a backup.
func (w *world) enable(v *vault, version string) {
	w.t.Helper()
	if err := w.machine.EnableBackup(context.Background(), core.Backup{Version: version, Public: v.key.PublicKey()}); err != nil {
		w.t.Fatal(err)
	}
}

// next is the next upload, nil when there is none.
func (w *world) next() *core.BackupRequest {
	w.t.Helper()
	request, err := w.machine.BackupRoomKeys(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return request
}

func (w *world) mark(request *core.BackupRequest) {
	w.t.Helper()
	if err := w.machine.MarkBackedUp(context.Background(), request.ID); err != nil {
		w.t.Fatal(err)
	}
}

// upload enables a backup and makes its first upload.
func (w *world) upload(v *vault, version string) *core.BackupRequest {
	w.t.Helper()
	w.enable(v, version)
	request := w.next()
	if request == nil {
		w.t.Fatal("there is nothing to upload")
	}
	return request
}

// holds is what lies in a backup after uploads: session and first index, read as a new login reads it.
func (v *vault) holds(t testing.TB, uploads ...*core.BackupRequest) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, upload := range uploads {
		n := 0
		err := keyfile.EachBackupSession(upload.Body, func(row keyfile.BackupRow) bool {
			n++
			sealed, err := keyfile.ParseBackupSession(row.Raw)
			if err != nil {
				t.Fatal(err)
			}
			secrets, err := v.key.SharedSecrets(context.Background(), keyfile.GoAgreement{}, []*keyfile.SealedSession{sealed})
			if err != nil {
				t.Fatal(err)
			}
			payload, err := sealed.Open(secrets[0])
			if err != nil {
				t.Fatal(err)
			}
			entry, err := keyfile.ParseBackupEntry(row.RoomID, row.SessionID, payload)
			if err != nil {
				t.Fatal(err)
			}
			if sealed.FirstMessageIndex != entry.Session.FirstKnownIndex() || sealed.IsVerified {
				t.Errorf("beside it stands %+v", sealed)
			}
			all[row.SessionID.String()] = fmt.Sprint(row.RoomID, " ", entry.SenderKey, " ", entry.Session.FirstKnownIndex())
			return true
		})
		if err != nil || n != upload.Count {
			t.Fatalf("%d sessions, said to be %d, %v", n, upload.Count, err)
		}
	}
	return all
}

// wantBackedUp holds the kept number and the marks against each other, and against what is to be.
func (w *world) wantBackedUp(what string, want int) {
	w.t.Helper()
	counts, err := w.machine.RoomKeyCounts(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	marked := 0
	for _, c := range w.copies() {
		if c.BackedUp {
			marked++
		}
	}
	if int(counts.BackedUp) != want || marked != want {
		w.t.Errorf("%s: counted %d, marked %d, want %d", what, counts.BackedUp, marked, want)
	}
}

// Scenario 155: several rooms' keys go up in several requests; each is marked when the server has it, and then there is nothing more to do, also after
// a restart. A new key is a new upload.
func TestBackupUploads(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	v := newVault(t)
	want := map[string]string{}
	for n := range 230 {
		in := ids.RoomID(fmt.Sprintf("!%d:example.org", n%7))
		session := w.kit.Outbound()
		session.SkipTo(uint32(n % 3))
		if n%2 == 0 {
			w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(phone, in, session)})
		} else {
			w.imports(list(phone.ExportEntry(string(in), session, uint32(n%3))))
		}
		want[session.ID()] = fmt.Sprint(in, " ", phone.Curve25519(), " ", n%3)
	}
	w.enable(v, "1")
	var uploads []*core.BackupRequest
	for request := w.next(); request != nil; request = w.next() {
		if request.Version != "1" || request.Count > 100 {
			t.Errorf("%d sessions for version %s", request.Count, request.Version)
		}
		uploads = append(uploads, request)
		w.mark(request)
	}
	if len(uploads) != 3 {
		t.Errorf("%d uploads", len(uploads))
	}
	if got := v.holds(t, uploads...); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the backup holds %d sessions", len(got))
	}
	w.wantBackedUp("all", 230)
	w.restart()
	if request := w.next(); request != nil {
		t.Errorf("after a restart %d sessions are to be uploaded", request.Count)
	}
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	request := w.next()
	if got := v.holds(t, request); len(got) != 1 || got[session.ID()] == "" {
		t.Errorf("a new key: %v", got)
	}
}

// Until the server has an upload, its keys are listed again: also when the program dies between the upload and the mark, at any operation of the
// store (F01), or when the mark cannot be written (F05) and is made again.
func TestCrashBetweenUploadAndMark(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	v := newVault(t)
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	first := w.upload(v, "1")
	second := w.next()
	if fmt.Sprint(v.holds(t, first)) != fmt.Sprint(v.holds(t, second)) || first.ID == second.ID {
		t.Error("the second upload is another")
	}
	w.restart()
	if err := w.machine.MarkBackedUp(context.Background(), first.ID); err == nil || codeOf(t, err) != core.CodeUnknownRequest {
		t.Errorf("an upload of the run before: %v", err)
	}
	w.wantBackedUp("before any mark", 0)
	for k := 1; ; k++ {
		for _, after := range []bool{false, true} {
			var faulty *storetest.Faulty
			w.wrap = func(under store.Store) store.Store {
				faulty = storetest.NewFaulty(under)
				return faulty
			}
			w.open()
			request := w.next()
			if request == nil {
				// The mark was written, and not heard of.
				w.wantBackedUp("written and not heard of", 1)
				return
			}
			faulty.DieAt("", k, after)
			err := w.machine.MarkBackedUp(context.Background(), request.ID)
			if err == nil {
				t.Fatal("it did not die")
			}
			w.wrap = nil
			w.open()
			if again := w.next(); again != nil && len(v.holds(t, again)) != 1 {
				t.Errorf("operation %d, after %v: %v", k, after, v.holds(t, again))
			}
		}
	}
}

// F05: the store has no room for the mark. The upload stays known, and is marked when there is room.
func TestMarkAgain(t *testing.T) {
	for k := 1; k < 4; k++ {
		w := closedWorld(t)
		var faulty *storetest.Faulty
		w.wrap = func(under store.Store) store.Store {
			faulty = storetest.NewFaulty(under)
			return faulty
		}
		w.open()
		_, phone := w.alice()
		w.kept(w.event(phone, room, w.kit.Outbound()))
		request := w.upload(newVault(t), "1")
		faulty.FailAt("", k, store.CodeQuota)
		err := w.machine.MarkBackedUp(context.Background(), request.ID)
		faulty.Heal()
		if err != nil {
			w.mark(request)
		} else if k == 1 {
			t.Error("no operation failed")
		}
		w.wantBackedUp(fmt.Sprint("operation ", k), 1)
		if err = w.machine.MarkBackedUp(context.Background(), request.ID); err == nil || codeOf(t, err) != core.CodeUnknownRequest || err.Error() == "" {
			t.Errorf("a third time: %v", err)
		}
	}
}

// Scenario 98: while an upload is under way a better ratchet arrives, received or imported. What went up is not that one, so it is not marked, and
// goes up next.
func TestBetterRatchetDuringAnUpload(t *testing.T) {
	for _, way := range []string{"received", "imported", "claimed and imported"} {
		w := newWorld(t)
		_, phone := w.alice()
		v := newVault(t)
		session, other := w.kit.Outbound(), w.kit.Outbound()
		session.SkipTo(5)
		if way == "claimed and imported" {
			w.imports(list(entry(phone, session, 5)))
		} else {
			w.kept(w.event(phone, room, session))
		}
		w.kept(w.event(phone, room, other))
		request := w.upload(v, "1")
		if way == "received" {
			session.SkipTo(2)
			w.kept(w.event(phone, room, session))
		} else {
			w.imports(list(entry(phone, session, 2)))
		}
		w.mark(request)
		next := w.next()
		if got := v.holds(t, next); len(got) != 1 || !strings.HasSuffix(got[session.ID()], " 2") {
			t.Errorf("%s: the next upload is %v", way, got)
		}
		w.mark(next)
		if next := w.next(); next != nil {
			t.Errorf("%s: there is still something: %v", way, v.holds(t, next))
		}
		w.wantBackedUp(way, len(w.copies()))
	}
}

// Of several copies of a session one goes up: of the best known device, from the earliest index that leads to it; and all of them are done with.
func TestSeveralCopiesInTheBackup(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	_, hers := w.mallory()
	w.answer(alice)
	v := newVault(t)
	want := map[string]string{}
	receive := func(from *testkit.Device, session *testkit.Outbound, at uint32) {
		session.SkipTo(at)
		w.kept(w.event(from, room, session, testkit.WithoutDeviceKeys))
	}
	direct := w.kit.Outbound()
	receive(hers, direct, 1)
	receive(phone, direct, 4)
	w.imports(list(entry(phone, direct, 2), entry(hers, direct, 3)))
	want[direct.ID()] = fmt.Sprint(room, " ", phone.Curve25519(), " ", 1)
	// Only claims, the first of a wrong device (T37): the earliest.
	claimed := w.kit.Outbound()
	w.imports(list(entry(hers, claimed, 3), entry(phone, claimed, 0), entry(w.mine, claimed, 5)))
	want[claimed.ID()] = fmt.Sprint(room, " ", phone.Curve25519(), " ", 0)
	// A claim that contradicts what is proved is not what goes up (T36).
	genuine, invented := w.kit.Outbound(), w.kit.Outbound()
	invented.Private = genuine.Private
	w.imports(list(entry(phone, invented, 0)))
	receive(phone, genuine, 3)
	want[genuine.ID()] = fmt.Sprint(room, " ", phone.Curve25519(), " ", 3)
	request := w.upload(v, "1")
	if got := v.holds(t, request); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("it holds\n%v\nwant\n%v", got, want)
	}
	w.mark(request)
	if next := w.next(); next != nil {
		t.Errorf("there is still something: %v", v.holds(t, next))
	}
	w.wantBackedUp("all copies", 9)
}

// A suspended copy goes nowhere, and is not marked with the one beside it: when the suspension is lifted it goes up.
func TestSuspendedCopiesStayHere(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	phone.NotCrossSigned().CorruptlyCrossSigned()
	w.answer(alice)
	v := newVault(t)
	alone, beside := w.kit.Outbound(), w.kit.Outbound()
	w.kept(w.event(phone, room, alone, testkit.WithoutDeviceKeys))
	w.kept(w.event(phone, room, beside, testkit.WithoutDeviceKeys))
	w.enable(v, "1")
	if request := w.next(); request != nil {
		t.Fatalf("suspended copies are uploaded: %v", v.holds(t, request))
	}
	w.imports(list(entry(phone, beside, 3)))
	request := w.next()
	if got := v.holds(t, request); len(got) != 1 || !strings.HasSuffix(got[beside.ID()], " 3") {
		t.Errorf("beside a claim: %v", got)
	}
	w.mark(request)
	w.wantBackedUp("the claim", 1)
	phone.NotCrossSigned().CrossSigned()
	w.answer(alice)
	request = w.next()
	if got := v.holds(t, request); len(got) != 2 || !strings.HasSuffix(got[beside.ID()], " 0") || !strings.HasSuffix(got[alone.ID()], " 0") {
		t.Errorf("lifted: %v", got)
	}
}

// Scenario 155: another version, and everything goes up again; the same version, and nothing does. What was on its way into the old one marks nothing.
func TestAnotherVersionOfTheBackup(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	v := newVault(t)
	for range 150 {
		w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(phone, room, w.kit.Outbound())})
	}
	w.mark(w.upload(v, "1"))
	late := w.next()
	w.enable(v, "1")
	w.wantBackedUp("the same version", 100)
	w.enable(v, "2")
	w.wantBackedUp("another version", 0)
	if err := w.machine.MarkBackedUp(context.Background(), late.ID); err == nil || codeOf(t, err) != core.CodeUnknownRequest {
		t.Errorf("an upload into the old one: %v", err)
	}
	w.wantBackedUp("an upload into the old one", 0)
	count := 0
	for request := w.next(); request != nil; request = w.next() {
		if request.Version != "2" {
			t.Errorf("it goes into version %s", request.Version)
		}
		count += request.Count
		w.mark(request)
	}
	if count != 150 {
		t.Errorf("%d went up again", count)
	}
	// Another tab has changed the version since our upload was made.
	w.kept(w.event(phone, room, w.kit.Outbound()))
	request := w.next()
	other := w.tab()
	other.enable(v, "3")
	w.mark(request)
	w.wantBackedUp("another tab's version", 0)
	if backup, err := w.machine.Backup(context.Background()); err != nil || backup.Version != "3" {
		t.Errorf("%+v, %v", backup, err)
	}
}

// F01: the program dies while marks are being forgotten, at any operation. The next run forgets the rest: nothing counts as being in a backup where it
// is not.
func TestCrashWhileTheVersionChanges(t *testing.T) {
	for k := 1; ; k++ {
		w := newWorld(t)
		_, phone := w.alice()
		v := newVault(t)
		for range 3 {
			w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(phone, room, w.kit.Outbound())})
		}
		w.mark(w.upload(v, "1"))
		var faulty *storetest.Faulty
		w.wrap = func(under store.Store) store.Store {
			faulty = storetest.NewFaulty(under)
			return faulty
		}
		w.restart()
		faulty.DieAt("", k, k%2 == 0)
		err := w.machine.EnableBackup(context.Background(), core.Backup{Version: "2", Public: v.key.PublicKey()})
		w.wrap = nil
		w.open()
		w.enable(v, "2")
		w.wantBackedUp(fmt.Sprint("operation ", k), 0)
		if err == nil {
			if k < 5 {
				t.Errorf("only %d operations", k)
			}
			break
		}
	}
}

// F19: while marks are forgotten another tab writes one of the copies. Its mark comes back by the joining, and is forgotten by another walk.
func TestAnotherTabWritesWhileTheVersionChanges(t *testing.T) {
	w := closedWorld(t)
	v := newVault(t)
	var meanwhile func()
	w.wrap = func(under store.Store) store.Store {
		return &meddling{under, func() {
			if f := meanwhile; f != nil {
				meanwhile = nil
				f()
			}
		}}
	}
	w.open()
	_, phone := w.alice()
	kept := w.kept(w.event(phone, room, w.kit.Outbound()))
	w.mark(w.upload(v, "1"))
	meanwhile = func() {
		c := *kept
		c.BackedUp, c.SharedHistory = true, false
		w.overwrite(&c, 2, nil)
	}
	w.enable(v, "2")
	w.wantBackedUp("after that", 0)
}

// Two calls overlap: while an upload is being marked, another version is enabled. Whichever is first, nothing counts as being in the new one.
func TestMarkWhileTheVersionChanges(t *testing.T) {
	w := closedWorld(t)
	v := newVault(t)
	slow := &slowGet{arrived: make(chan struct{}), release: make(chan struct{})}
	w.wrap = func(under store.Store) store.Store {
		slow.Store = under
		return slow
	}
	w.open()
	_, phone := w.alice()
	w.kept(w.event(phone, room, w.kit.Outbound()))
	request := w.upload(v, "1")
	slow.armed.Store(true)
	marked, enabled := make(chan error, 1), make(chan error, 1)
	go func() { marked <- w.machine.MarkBackedUp(context.Background(), request.ID) }()
	<-slow.arrived // it has read which version is in use
	go func() {
		enabled <- w.machine.EnableBackup(context.Background(), core.Backup{Version: "2", Public: v.key.PublicKey()})
	}()
	select {
	case err := <-enabled: // it did not wait
		enabled <- err
	case <-time.After(50 * time.Millisecond):
	}
	close(slow.release)
	if err := <-marked; err != nil && codeOf(t, err) != core.CodeUnknownRequest {
		t.Fatal(err)
	}
	if err := <-enabled; err != nil {
		t.Fatal(err)
	}
	w.wantBackedUp("the new version", 0)
}

// slowGet is a store of which one answer to Get takes its time.
type slowGet struct {
	store.Store
	armed            atomic.Bool
	arrived, release chan struct{}
}

func (s *slowGet) Get(ctx context.Context, table store.Table, keys []store.Key) ([]store.Row, error) {
	rows, err := s.Store.Get(ctx, table, keys)
	if s.armed.CompareAndSwap(true, false) {
		close(s.arrived)
		<-s.release
	}
	return rows, err
}

// Scenario 104: what comes from the backup in use is in it, what comes from another is not; where none was in use, it is the one from now on.
func TestImportFromTheBackupInUse(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	_, phone := w.alice()
	v := newVault(t)
	mine, others := w.claimed(phone, w.kit.Outbound(), 0), w.claimed(phone, w.kit.Outbound(), 0)
	w.restores(v, "7", v.seal(t, mine))
	w.wantBackedUp("the first", 1)
	if backup, err := w.machine.Backup(ctx); err != nil || backup.Version != "7" || backup.Enabled() {
		t.Errorf("%+v, %v", backup, err)
	}
	if _, err := w.machine.BackupRoomKeys(ctx); err == nil || codeOf(t, err) != core.CodeBackupDisabled {
		t.Errorf("without a key to seal for: %v", err)
	}
	w.restores(v, "6", v.seal(t, others))
	w.wantBackedUp("another one's", 1)
	w.imports(list(entry(phone, w.kit.Outbound(), 0)))
	w.wantBackedUp("a file's", 1)
	w.restart()
	w.enable(v, "7")
	w.wantBackedUp("enabled with its key", 1)
	request := w.next()
	if request.Count != 2 {
		t.Errorf("%d are to be uploaded", request.Count)
	}
	w.mark(request)
	w.wantBackedUp("uploaded", 3)

	// The version changes in the middle of an import: what is stored from then on is not in the new one.
	i := w.begin(core.ImportOptions{BackupVersion: "7", BackupKey: v.key})
	core.ImportInChunksOf(i, 1)
	if err := i.WriteBackup(ctx, v.seal(t, w.claimed(phone, w.kit.Outbound(), 0))); err != nil {
		t.Fatal(err)
	}
	w.wantBackedUp("before", 4)
	w.enable(v, "8")
	if err := i.WriteBackup(ctx, v.seal(t, w.claimed(phone, w.kit.Outbound(), 0))); err != nil {
		t.Fatal(err)
	}
	if err := i.End(ctx); err != nil {
		t.Fatal(err)
	}
	w.wantBackedUp("after", 0)
}

// What cannot be asked of the backup, each with its code.
func TestBackupRefusals(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	v := newVault(t)
	if backup, err := w.machine.Backup(ctx); err != nil || backup != (core.Backup{}) {
		t.Errorf("%+v, %v", backup, err)
	}
	refused := func(what string, err error, code string) {
		t.Helper()
		var state *core.BackupStateError
		if !errors.As(err, &state) || state.Code != code || err.Error() == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := w.machine.BackupRoomKeys(ctx)
	refused("no backup", err, core.CodeBackupDisabled)
	_, err = w.machine.UploadRoomKeys(ctx)
	refused("no fetch", err, core.CodeNoFetch)
	for _, version := range []string{"", strings.Repeat("1", 256)} {
		refused("a bad version", w.machine.EnableBackup(ctx, core.Backup{Version: version, Public: v.key.PublicKey()}), core.CodeBadBackupVersion)
	}
	_, err = w.machine.BeginImport(ctx, core.ImportOptions{BackupVersion: strings.Repeat("1", 256)})
	refused("an import of a bad version", err, core.CodeBadBackupVersion)
	w.enable(v, "1")
	if err := w.machine.DisableBackup(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = w.machine.BackupRoomKeys(ctx)
	refused("disabled", err, core.CodeBackupDisabled)
	if err := w.machine.MarkBackedUp(ctx, "nothing"); err == nil || codeOf(t, err) != core.CodeUnknownRequest {
		t.Errorf("%v", err)
	}

	// T30: a public key with which nothing is secret.
	_, phone := w.alice()
	w.kept(w.event(phone, room, w.kit.Outbound()))
	if err := w.machine.EnableBackup(ctx, core.Backup{Version: "2", Public: keys.Curve25519{1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.machine.BackupRoomKeys(ctx); err == nil || codeOf(t, err) != keyfile.CodeBadBackupSecret {
		t.Errorf("a public key of low order: %v", err)
	}
	if err := w.machine.Close(ctx); err != nil {
		t.Fatal(err)
	}
	_, reading := w.machine.Backup(ctx)
	_, uploading := w.machine.BackupRoomKeys(ctx)
	for what, err := range map[string]error{
		"Backup": reading, "BackupRoomKeys": uploading, "EnableBackup": w.machine.EnableBackup(ctx, core.Backup{Version: "3"}),
		"DisableBackup": w.machine.DisableBackup(ctx), "MarkBackedUp": w.machine.MarkBackedUp(ctx, "1"),
	} {
		if err == nil || codeOf(t, err) != store.CodeClosed {
			t.Errorf("%s after close: %v", what, err)
		}
	}
}

// Disabled and enabled again, be it the same version: nobody knows what became of it meanwhile, so all goes up again.
func TestBackupDisabledAndEnabled(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	v := newVault(t)
	w.kept(w.event(phone, room, w.kit.Outbound()))
	w.mark(w.upload(v, "1"))
	if err := w.machine.DisableBackup(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.enable(v, "1")
	if w.next() == nil {
		t.Error("it counts as backed up")
	}
}

// F35: rows that cannot be read, more of them than go into an upload, do not hide what lies behind them; and a damaged note of the backup in use counts
// as none.
func TestBackupPastDamage(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	v := newVault(t)
	for n := range 250 {
		c := w.claimed(phone, w.kit.Outbound(), 0)
		c.RoomID = "!a:example.org"
		w.plant(c)
		row := record.CopyRow(c)
		if n < 249 {
			w.rot(store.Copies, row.Key, row.Value[:30])
		}
	}
	good := w.kit.Outbound()
	w.kept(w.event(phone, room, good))
	request := w.upload(v, "1")
	got := v.holds(t, request)
	for next := request; next != nil; next = w.next() {
		w.mark(next)
		for id, what := range v.holds(t, next) {
			got[id] = what
		}
	}
	if len(got) != 2 || got[good.ID()] == "" {
		t.Errorf("it holds %v", got)
	}

	for name, value := range map[string][]byte{
		"nonsense": []byte("nonsense"), "too short": record.MetaRow("backup", []byte("1")).Value, "without a version": record.MetaRow("backup", make([]byte, 32)).Value,
	} {
		w.rot(store.Meta, record.MetaKey("backup"), value)
		w.restart()
		w.heard.reports = nil
		if backup, err := w.machine.Backup(context.Background()); err != nil || backup != (core.Backup{}) {
			t.Errorf("%s: %+v, %v", name, backup, err)
		}
		if !slices.ContainsFunc(w.heard.reports, func(r core.StoreReport) bool { return r.Table == store.Meta && r.Message != "" }) {
			t.Errorf("%s: reported %+v", name, w.heard.reports)
		}
		w.enable(v, "1")
		if backup, err := w.machine.Backup(context.Background()); err != nil || backup.Version != "1" {
			t.Errorf("%s: enabled anew: %+v, %v", name, backup, err)
		}
	}
}

// Uploads that nobody answers are forgotten, the oldest first; their keys are in the later ones.
func TestUploadsNobodyAnswers(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	w.kept(w.event(phone, room, w.kit.Outbound()))
	first := w.upload(newVault(t), "1")
	var last *core.BackupRequest
	for range 8 {
		last = w.next()
	}
	if err := w.machine.MarkBackedUp(context.Background(), first.ID); err == nil || codeOf(t, err) != core.CodeUnknownRequest {
		t.Errorf("%v", err)
	}
	w.mark(last)
	w.wantBackedUp("the last", 1)
}

// F44, F45: from one machine through the backup to another: the same sessions from the same indexes, however often.
func TestThroughTheBackup(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	v := newVault(t)
	messages := [][]byte{}
	for range 120 {
		session := w.kit.Outbound()
		messages = append(messages, phone.Message(string(room), session, "hello"))
		session.SkipTo(0)
		w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(phone, room, session)})
	}
	w.enable(v, "1")
	var parts [][]byte
	for request := w.next(); request != nil; request = w.next() {
		parts = append(parts, request.Body)
		w.mark(request)
	}
	other := w.elsewhere()
	wantCounts(t, "restored", other.restores(v, "1", parts...), core.ImportCounts{Imported: 120})
	wantCounts(t, "restored again, backwards", other.restores(v, "1", parts[1], parts[0]), core.ImportCounts{Unchanged: 120})
	other.wantBackedUp("restored", 120)
	for _, message := range messages {
		other.wantCodes(message, legacyClaims)
	}
	if session := other.copies()[0].Session; session.Compare(w.copies()[0].Session) != megolm.Equal {
		t.Error("another ratchet")
	}
}

// callsBack answers news of room keys with calls of its own.
type callsBack struct {
	heard
	call func()
}

func (c *callsBack) RoomKeysUpdated(k []core.RoomKeyInfo) {
	c.heard.RoomKeysUpdated(k)
	c.call()
}

// F31: whoever hears of imported keys may change the backup and begin an import at once, while the first one is under way.
func TestBackupFromWithinTheListener(t *testing.T) {
	w := closedWorld(t)
	v := newVault(t)
	listener := &callsBack{call: func() {}}
	w.listener = listener
	w.open()
	_, phone := w.alice()
	calls := 0
	listener.call = func() {
		if calls++; calls > 1 {
			return
		}
		w.enable(v, "2")
		w.restores(v, "2", v.seal(t, w.claimed(phone, w.kit.Outbound(), 0)))
	}
	i := w.begin(core.ImportOptions{BackupVersion: "1", BackupKey: v.key})
	core.ImportInChunksOf(i, 1)
	done := make(chan error, 1)
	go func() {
		err := i.WriteBackup(context.Background(), v.seal(t, w.claimed(phone, w.kit.Outbound(), 0), w.claimed(phone, w.kit.Outbound(), 0)))
		if err == nil {
			err = i.End(context.Background())
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it hangs")
	}
	wantCounts(t, "the first import", i, core.ImportCounts{Imported: 2})
	w.wantBackedUp("in the backup that is in use now", 1)
}

// F18 for marks: given another tab with the room in memory, when this one changes the version, then the other's next write does not bring back marks
// of the version before, which nobody would ever upload into the new one.
func TestMarksDoNotComeBack(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	v := newVault(t)
	other := w.tab()
	w.machine.MeetPeers()
	other.machine.MeetPeers()
	w.heard.told = func(news core.PeerNews) {
		if err := other.machine.HearPeers(context.Background(), news); err != nil {
			t.Error(err)
		}
	}
	for range 5 {
		w.kept(w.event(phone, room, w.kit.Outbound()))
	}
	w.mark(w.upload(v, "1"))
	if err := other.machine.LoadRoom(context.Background(), room); err != nil {
		t.Fatal(err)
	}
	w.enable(v, "2")
	if err := other.machine.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.wantBackedUp("after the other tab wrote", 0)
	if request := w.next(); request == nil || request.Count != 5 {
		t.Errorf("into the new version: %+v", request)
	}
}

// T36, scenario 155: a claim with an invented, earlier ratchet does not go up in the place of one for which another device of ours vouches; an
// earlier ratchet that leads to that one does.
func TestEvidenceGoesUpBeforeAnEarlierClaim(t *testing.T) {
	w := closedWorld(t)
	w.secret = trusted("ours")
	w.open()
	alice, phone := w.alice()
	_, hers := w.mallory()
	w.verifyMe()
	w.answer(alice)
	v := newVault(t)
	genuine, invented, earlier := w.kit.Outbound(), w.kit.Outbound(), w.kit.Outbound()
	invented.Private = genuine.Private
	early := []map[string]any{entry(hers, invented, 0), entry(hers, earlier, 1)}
	for _, session := range []*testkit.Outbound{genuine, earlier} {
		session.SkipTo(5)
		w.kept(w.event(phone, room, session))
	}
	file, _ := w.exports()
	for _, order := range [][][]byte{{file, list(early...)}, {list(early...), file}} {
		other := w.elsewhere()
		for _, one := range order {
			other.imports(one)
		}
		request := other.upload(v, "1")
		want := map[string]string{genuine.ID(): fmt.Sprint(room, " ", phone.Curve25519(), " 5"), earlier.ID(): fmt.Sprint(room, " ", phone.Curve25519(), " 1")}
		if got := v.holds(t, request); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the backup holds\n%v\nwant\n%v", got, want)
		}
		other.mark(request)
		if next := other.next(); next != nil {
			t.Errorf("there is still something: %v", v.holds(t, next))
		}
	}
}

// beforeCommit is a store before whose next commit something else happens.
type beforeCommit struct {
	store.Store
	meanwhile func()
}

func (b *beforeCommit) Commit(ctx context.Context, batch store.Batch) error {
	if f := b.meanwhile; f != nil {
		b.meanwhile = nil
		f()
	}
	return b.Store.Commit(ctx, batch)
}

// twoTabs is a machine before whose commits something can happen, and another tab.
func twoTabs(t *testing.T) (w *world, before *beforeCommit, other *world) {
	w, before = closedWorld(t), &beforeCommit{}
	w.wrap = func(under store.Store) store.Store {
		before.Store = under
		return before
	}
	w.open()
	w.wrap = nil
	return w, before, w.tab()
}

// F19, scenario 155: another tab enables another version while this one writes a mark. Nothing counts as being in the new one; what has nothing to do
// with the version is written all the same, and a mark of the same version stands.
func TestMarkWhileAnotherTabChangesTheVersion(t *testing.T) {
	for _, story := range []struct {
		name      string
		meanwhile func(other *world, v *vault)
		version   string
		marked    int
	}{
		{"another version", func(other *world, v *vault) { other.enable(v, "2") }, "2", 0},
		{"disabled", func(other *world, _ *vault) {
			if err := other.machine.DisableBackup(context.Background()); err != nil {
				t.Fatal(err)
			}
		}, "", 0},
		{"another and back", func(other *world, v *vault) { other.enable(v, "2"); other.enable(v, "1") }, "1", 1},
	} {
		t.Run(story.name, func(t *testing.T) {
			w, before, other := twoTabs(t)
			v := newVault(t)
			_, phone := w.alice()
			w.kept(w.event(phone, room, w.kit.Outbound()))
			request := w.upload(v, "1")
			w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(phone, room, w.kit.Outbound())})
			before.meanwhile = func() { story.meanwhile(other, v) }
			w.mark(request)
			w.wantBackedUp("marked", story.marked)
			w.flush()
			w.wantBackedUp("and written", story.marked)
			if len(w.copies()) != 2 {
				t.Error("the new key was not written")
			}
			if story.version == "" {
				return
			}
			w.enable(v, story.version)
			if request := w.next(); request == nil || request.Count != 2-story.marked {
				t.Errorf("the next upload is not of %d", 2-story.marked)
			}
		})
	}
}

// The same of an import of a backup, of new keys and of keys that are here; what is imported stays.
func TestImportWhileAnotherTabChangesTheVersion(t *testing.T) {
	for _, known := range []bool{false, true} {
		w, before, other := twoTabs(t)
		v := newVault(t)
		_, phone := w.alice()
		one, two := w.kit.Outbound(), w.kit.Outbound()
		w.enable(v, "1")
		if known {
			w.imports(list(entry(phone, one, 0), entry(phone, two, 3)))
		}
		answer := v.seal(t, w.claimed(phone, one, 0), w.claimed(phone, two, 0))
		before.meanwhile = func() { other.enable(v, "2") }
		i := w.restores(v, "1", answer)
		want := core.ImportCounts{Imported: 2}
		if known {
			want = core.ImportCounts{Unchanged: 1, Better: 1}
		}
		wantCounts(t, "in between", i, want)
		w.wantBackedUp("in between", 0)
		w.restart()
		w.restores(v, "2", answer)
		w.wantBackedUp("of the new one", 2)
	}
}

// F19: another tab has enabled another version, and this one, which remembers the marks of the old one, writes a copy for a reason of its own.
func TestWrittenAfterAnotherTabChangedTheVersion(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	v := newVault(t)
	other := w.tab()
	w.kept(w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys))
	w.mark(w.upload(v, "1"))
	if err := other.machine.LoadRoom(context.Background(), room); err != nil {
		t.Fatal(err)
	}
	w.enable(v, "2")
	other.answer(alice)
	other.flush()
	if kind := w.copy().Current.Kind; kind != sender.SenderUnverified {
		t.Errorf("it is %v", kind)
	}
	w.wantBackedUp("the new version", 0)
}

// A mark that cannot be written is written by nobody else, for whom it may not hold any more.
func TestMarkThatFails(t *testing.T) {
	w := closedWorld(t)
	gate := &gatedStore{arrived: make(chan struct{}), release: make(chan struct{})}
	w.wrap = func(under store.Store) store.Store {
		gate.Store = under
		return gate
	}
	w.open()
	w.wrap = nil
	v := newVault(t)
	_, phone := w.alice()
	w.kept(w.event(phone, room, w.kit.Outbound()))
	request := w.upload(v, "1")
	other := w.tab()
	gate.armed.Store(true)
	close(gate.release)
	if err := w.machine.MarkBackedUp(context.Background(), request.ID); err == nil || codeOf(t, err) != store.CodeQuota {
		t.Fatalf("%v", err)
	}
	other.enable(v, "2")
	w.flush()
	w.wantBackedUp("by somebody else's batch", 0)
}

// Two tabs enable the same backup at their start, or adopt it: neither is told of the other.
func TestTwoTabsEnableTheSameBackup(t *testing.T) {
	ctx := context.Background()
	for _, before := range []string{"none", "the same", "another"} {
		w, gap, other := twoTabs(t)
		v := newVault(t)
		if before == "the same" {
			w.enable(v, "1")
		} else if before == "another" {
			w.enable(newVault(t), "0")
		}
		gap.meanwhile = func() { other.enable(v, "1") }
		w.enable(v, "1")
		gap.meanwhile = nil
		if backup, err := other.machine.Backup(ctx); err != nil || backup != (core.Backup{Version: "1", Public: v.key.PublicKey()}) {
			t.Errorf("%s: %+v, %v", before, backup, err)
		}
		stored := dump(t, w.rows)
		w.enable(v, "1")
		if dump(t, w.rows) != stored {
			t.Errorf("%s: enabled again, it was written again", before)
		}
	}
	// What is adopted by an import does not take the place of what was enabled meanwhile.
	w, gap, other := twoTabs(t)
	v := newVault(t)
	gap.meanwhile = func() { other.enable(v, "1") }
	w.begin(core.ImportOptions{BackupVersion: "1"})
	if backup, err := w.machine.Backup(ctx); err != nil || !backup.Enabled() {
		t.Errorf("adopted: %+v, %v", backup, err)
	}
}

// Disabled, and nothing counts as being anywhere. Disabled twice, or with a note that cannot be read, is no error.
func TestDisabledBackupIsForgotten(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	v := newVault(t)
	disable := func() {
		t.Helper()
		if err := w.machine.DisableBackup(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	w.kept(w.event(phone, room, w.kit.Outbound()))
	w.mark(w.upload(v, "1"))
	w.wantBackedUp("marked", 1)
	disable()
	w.wantBackedUp("disabled", 0)
	disable()
	w.mark(w.upload(v, "1"))
	w.rot(store.Meta, record.MetaKey("backup"), []byte("nonsense"))
	disable()
	w.wantBackedUp("disabled past damage", 0)
	if rows, err := w.rows.Get(context.Background(), store.Meta, []store.Key{record.MetaKey("backup")}); err != nil || rows[0].Rev != 0 {
		t.Errorf("the damaged note is still there: %v", err)
	}
}

// taking is a server that takes uploads of room keys, a number of them.
type taking struct {
	*homeserver
	left  int
	taken []lane.Request
}

func (s *taking) Send(ctx context.Context, request *lane.Request) ([]byte, error) {
	if request.Type != lane.KeysBackup {
		return s.homeserver.Send(ctx, request)
	}
	if s.left == 0 {
		return nil, &lane.FetchError{Code: lane.CodeFetchStatus, Status: 403}
	}
	s.left--
	s.taken = append(s.taken, *request)
	return []byte(`{"count":1,"etag":"1"}`), nil
}

// Given 230 room keys and a server that goes away after one upload, when they are uploaded and uploaded again, then every key goes there once.
func TestUploadRoomKeys(t *testing.T) {
	ctx := context.Background()
	w := closedWorld(t)
	server := &taking{homeserver: &homeserver{kit: w.kit, users: map[ids.UserID]*testkit.User{}}, left: 1}
	w.fetcher = server
	w.open()
	_, phone := w.alice()
	for range 230 {
		w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(phone, room, w.kit.Outbound())})
	}
	w.enable(newVault(t), "v 1")
	if uploaded, err := w.machine.UploadRoomKeys(ctx); uploaded != 100 || err == nil || codeOf(t, err) != lane.CodeFetchStatus {
		t.Fatalf("%d, %v", uploaded, err)
	}
	server.left = 8
	if uploaded, err := w.machine.UploadRoomKeys(ctx); uploaded != 130 || err != nil {
		t.Fatalf("%d, %v", uploaded, err)
	}
	w.wantBackedUp("all", 230)
	if len(server.taken) != 3 || server.taken[0].Path() != "/_matrix/client/v3/room_keys/keys?version=v+1" || server.taken[0].Method() != "PUT" {
		t.Errorf("%d uploads, %s", len(server.taken), server.taken[0].Path())
	}
}

// A host that pumps says of an upload what it says of any request.
func TestUploadMarkedAsSent(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	w.kept(w.event(phone, room, w.kit.Outbound()))
	w.enable(newVault(t), "1")
	request := w.next()
	for _, known := range []bool{true, false} {
		if result, err := w.machine.MarkRequestAsSent(context.Background(), request.ID, []byte("{}")); result != nil || (err == nil) != known {
			t.Errorf("%v, %v", result, err)
		}
	}
	w.wantBackedUp("it", 1)
}
