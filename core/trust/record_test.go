package trust_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/trust"
)

func TestRecordThatContradictsItself(t *testing.T) {
	fresh := func() *trust.UserRecord {
		w := verifiedWorld(t)
		alice := w.user("alice")
		alice.Device("PHONE").CrossSigned()
		alice.Device("LAPTOP")
		w.me.Verifies(alice)
		w.learn(alice)
		row := *w.rows[ids.UserID(alice.ID)]
		identity := *row.Identity
		row.Identity, row.Devices = &identity, slices.Clone(row.Devices)
		return &row
	}
	if err := fresh().Validate(); err != nil {
		t.Fatal(err)
	}
	var zero keys.Ed25519
	for name, spoil := range map[string]func(r *trust.UserRecord){
		"no user id":                    func(r *trust.UserRecord) { r.UserID = "" },
		"user id that is none":          func(r *trust.UserRecord) { r.UserID = "alice" },
		"master key of low order":       func(r *trust.UserRecord) { r.Identity.Master.Key = zero },
		"master key without JSON":       func(r *trust.UserRecord) { r.Identity.Master.Raw = nil },
		"no self-signing key":           func(r *trust.UserRecord) { r.Identity.SelfSigning = trust.KeyRecord{} },
		"user-signing key without JSON": func(r *trust.UserRecord) { r.Identity.UserSigning.Key = r.Identity.Master.Key },
		"user-signing JSON without key": func(r *trust.UserRecord) { r.Identity.UserSigning.Raw = []byte("{}") },
		"user-signing key of low order": func(r *trust.UserRecord) {
			r.Identity.UserSigning = trust.KeyRecord{Key: keys.Ed25519{1}, Raw: []byte("{}")}
		},
		"pin of low order":                      func(r *trust.UserRecord) { r.Identity.Pinned = keys.Ed25519{1} },
		"judged by a key of low order":          func(r *trust.UserRecord) { r.Identity.JudgedBy = keys.Ed25519{1} },
		"signed by us, by nobody":               func(r *trust.UserRecord) { r.Identity.JudgedBy = zero },
		"trusted, never verified":               func(r *trust.UserRecord) { r.TrustedMaster = r.Identity.Master.Key },
		"trusted master of low order":           func(r *trust.UserRecord) { r.TrustedMaster, r.WasVerified = keys.Ed25519{1}, true },
		"no device id":                          func(r *trust.UserRecord) { r.Devices[0].DeviceID = "" },
		"devices out of order":                  func(r *trust.UserRecord) { slices.Reverse(r.Devices) },
		"a device twice":                        func(r *trust.UserRecord) { r.Devices[1] = r.Devices[0] },
		"curve25519 key of low order":           func(r *trust.UserRecord) { r.Devices[0].Curve25519 = keys.Curve25519{} },
		"ed25519 key of low order":              func(r *trust.UserRecord) { r.Devices[0].Ed25519 = zero },
		"device without JSON":                   func(r *trust.UserRecord) { r.Devices[0].Raw = nil },
		"cross-signature unchecked":             func(r *trust.UserRecord) { r.Devices[0].CrossSigned = trust.CrossSignatureUnchecked },
		"cross-signature of no kind":            func(r *trust.UserRecord) { r.Devices[0].CrossSigned = 77 },
		"cross-signature judged by another key": func(r *trust.UserRecord) { r.Devices[0].JudgedBy = r.Identity.Master.Key },
		"cross-signature without identity": func(r *trust.UserRecord) {
			r.Identity = nil
			for n := range r.Devices {
				r.Devices[n].JudgedBy = zero
			}
		},
		"more devices than there can be": func(r *trust.UserRecord) { r.Devices = make([]trust.DeviceRecord, 1<<16) },
	} {
		t.Run(name, func(t *testing.T) {
			row := fresh()
			spoil(row)
			index := trust.NewIndex(trust.Own{UserID: "@me:example.org"})
			err := index.Load(row)
			var failed *trust.RecordError
			if !errors.As(err, &failed) || failed.ErrorCode() != trust.CodeBadRecord || !strings.Contains(failed.Error(), failed.Reason) {
				t.Errorf("%v", err)
			}
			if users, _ := index.Counts(); users != 0 {
				t.Error("loaded all the same")
			}
		})
	}
}

func TestAsManyDevicesAsThereCanBe(t *testing.T) {
	for devices, reason := range map[int]string{1<<16 - 1: "device id", 1 << 16: "more devices"} { // the first says that they are looked at, one by one
		row := &trust.UserRecord{UserID: "@alice:example.org", Devices: make([]trust.DeviceRecord, devices)}
		var failed *trust.RecordError
		if err := row.Validate(); !errors.As(err, &failed) || !strings.Contains(failed.Reason, reason) {
			t.Errorf("%d devices: %v", devices, err)
		}
	}
}

// Our own row that says that we were verified once, and has no identity: nobody is there to be in violation.
func TestOwnRowWithoutIdentity(t *testing.T) {
	w := newWorld(t)
	if err := w.index.Load(&trust.UserRecord{UserID: w.own().UserID, Tracked: true, WasVerified: true}); err != nil {
		t.Fatal(err)
	}
	w.wantStanding(w.me, trust.Unverified)
}

func TestRowWithoutPin(t *testing.T) {
	row := *rowsOf(1, 0)[0]
	identity := *row.Identity
	identity.Pinned = keys.Ed25519{}
	row.Identity = &identity
	if got, _ := load(t, []*trust.UserRecord{&row}).Identity(row.UserID); got.Pinned != identity.Master.Key {
		t.Error("the pin is not the key that is there")
	}
}

func TestExtraGoesAlong(t *testing.T) {
	// I24: what a newer version wrote into a row is in every row that replaces it.
	w := verifiedWorld(t)
	alice := w.user("alice")
	w.learn(alice)
	id := ids.UserID(alice.ID)
	row := *w.rows[id]
	row.Extra = []byte("from the future")
	w.rows[id] = &row
	if err := w.index.Load(&row); err != nil {
		t.Fatal(err)
	}
	w.track(alice)
	w.markOutdated(nil, names(alice))
	alice.ResetIdentity()
	alice.Device("PHONE")
	w.learn(alice)
	change, err := w.index.PinCurrentIdentity(id, w.rows)
	if err != nil {
		t.Fatal(err)
	}
	w.commit(change)
	if string(w.rows[id].Extra) != "from the future" {
		t.Error("lost")
	}
}

func TestRowsAreNotChangedOnceHandedOut(t *testing.T) {
	w := verifiedWorld(t)
	alice := w.user("alice")
	phone := alice.Device("PHONE").CrossSigned()
	w.learn(alice)
	before, old := w.dump(), w.stored(names(alice), false)
	row := *old[ids.UserID(alice.ID)]
	alice.ResetIdentity()
	phone.CrossSigned()
	w.prepare(w.kit.KeysQuery(w.me, alice), 0).Finish(nil)
	if w.dump() != before {
		t.Error("preparing or finishing changed a row")
	}
	w.learn(w.me, alice)
	kept := old[ids.UserID(alice.ID)]
	if kept.Identity != row.Identity || &kept.Devices[0] != &row.Devices[0] || kept.Devices[0].CrossSigned != trust.CrossSignatureValid {
		t.Error("applying changed a row that had been handed out")
	}
}

func TestAnswerIsNotKept(t *testing.T) {
	// The rows and the index live on after the buffer of the answer has been used for something else.
	w := newWorld(t)
	alice := w.user("alice")
	alice.Device("PHONE").CrossSigned()
	raw := w.kit.KeysQuery(alice)
	w.answer(raw, 0)
	before := w.dump()
	for n := range raw {
		raw[n] = 'x'
	}
	if w.dump() != before {
		t.Error("a row shares its bytes with the answer")
	}
	w.reload()
}
