package sender_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/sender"
	"knownsender/core/testkit"
)

// shared is an inbound session made of session's key at index, signed as in m.room_key.
func shared(t testing.TB, session *testkit.Outbound, index uint32) *megolm.InboundSession {
	key, err := megolm.ParseSessionKey(session.SessionKeyAt(index))
	if err != nil {
		t.Fatal(err)
	}
	return key.Session()
}

// exported is the same made of an export.
func exported(t testing.TB, session *testkit.Outbound, index uint32) *megolm.InboundSession {
	inbound, err := megolm.ParseExportedSessionKey(session.ExportedAt(index))
	if err != nil {
		t.Fatal(err)
	}
	return inbound
}

// claim is a claimed copy that names device as its sender.
func claim(t testing.TB, session *testkit.Outbound, index uint32, device *testkit.Device) *sender.Copy {
	inbound := exported(t, session, index)
	return &sender.Copy{
		CopyKey: sender.CopyKey{RoomID: room, SessionID: inbound.ID(), SenderKey: curve(t, device.Curve25519()), Provenance: sender.Claimed},
		Session: inbound, Ed25519: ed25519(t, device.Ed25519()), HasEd25519: true, Legacy: true,
	}
}

// direct is a direct copy with sender data of a kind.
func direct(t testing.TB, session *testkit.Outbound, index uint32, device *testkit.Device, kind sender.Kind) *sender.Copy {
	inbound := shared(t, session, index)
	return &sender.Copy{
		CopyKey: sender.CopyKey{RoomID: room, SessionID: inbound.ID(), SenderKey: curve(t, device.Curve25519())},
		Session: inbound, Ed25519: ed25519(t, device.Ed25519()), HasEd25519: true, OlmUser: ids.UserID(device.User.ID), Current: data(t, kind, device),
	}
}

func data(t testing.TB, kind sender.Kind, device *testkit.Device) sender.Data {
	d := sender.Data{Kind: kind}
	if kind != sender.UnknownDevice {
		d.UserID, d.DeviceID = ids.UserID(device.User.ID), ids.DeviceID(device.ID)
	}
	if kind.Known() {
		d.MasterKey = ed25519(t, device.User.Identity.Master.Public())
	}
	return d
}

// Scenarios 85 to 96: the twelve cells of the table, nothing stored being the trivial ones.
func TestJoinTable(t *testing.T) {
	kit := testkit.New(t.Name())
	phone := kit.User("@alice:example.org").Device("ALICEPHONE")
	session := kit.Outbound()
	const stored, storedIndex = sender.SenderUnverified, 5
	for _, cell := range []struct {
		name      string
		index     uint32
		kind      sender.Kind
		wantIndex uint32
		wantKind  sender.Kind
		ratchet   megolm.Ordering
		changed   bool
	}{
		{"scenario 85: better ratchet, lower trust", 2, sender.DeviceInfo, 2, stored, megolm.Better, true},
		{"scenario 86: better ratchet, equal trust", 2, stored, 2, stored, megolm.Better, true},
		{"scenario 87: better ratchet, higher trust", 2, sender.SenderVerified, 2, sender.SenderVerified, megolm.Better, true},
		{"scenario 88: equal ratchet, lower trust", 5, sender.UnknownDevice, 5, stored, megolm.Equal, false},
		{"scenario 89: equal ratchet, equal trust", 5, stored, 5, stored, megolm.Equal, false},
		{"scenario 90: equal ratchet, higher trust", 5, sender.SenderVerified, 5, sender.SenderVerified, megolm.Equal, true},
		{"scenario 91: worse ratchet, lower trust", 9, sender.VerificationViolation, 5, stored, megolm.Worse, false},
		{"scenario 92: worse ratchet, equal trust", 9, stored, 5, stored, megolm.Worse, false},
		{"scenario 93: worse ratchet, higher trust", 9, sender.SenderVerified, 5, sender.SenderVerified, megolm.Worse, true},
	} {
		t.Run(cell.name, func(t *testing.T) {
			a, b := direct(t, session, storedIndex, phone, stored), direct(t, session, cell.index, phone, cell.kind)
			joined, report := sender.Join(a, b)
			if joined.Session.FirstKnownIndex() != cell.wantIndex || joined.Current.Kind != cell.wantKind {
				t.Errorf("index %d, %v", joined.Session.FirstKnownIndex(), joined.Current.Kind)
			}
			if report.Ratchet != cell.ratchet || report.Changed != cell.changed || (joined == a) == cell.changed || report.Refused != "" || report.PinKept {
				t.Errorf("%+v", report)
			}
			if a.Session.FirstKnownIndex() != storedIndex || a.Current.Kind != stored {
				t.Error("the stored copy was changed in place")
			}
		})
	}
	for i, kind := range []sender.Kind{sender.DeviceInfo, stored, sender.SenderVerified} {
		t.Run("scenarios 94 to 96: unconnected ratchet, trust "+[]string{"lower", "equal", "higher"}[i], func(t *testing.T) {
			a := direct(t, session, storedIndex, phone, stored)
			b := direct(t, forged(kit, session), 0, phone, kind)
			joined, report := sender.Join(a, b)
			if joined != a || report.Refused != sender.ReasonUnconnected || report.Changed {
				t.Errorf("%+v", report)
			}
		})
	}
}

// forged is another ratchet under the same session id: only the session's maker can sign one.
func forged(kit *testkit.Kit, session *testkit.Outbound) *testkit.Outbound {
	other := kit.Outbound()
	other.Private = session.Private
	return other
}

func TestJoin(t *testing.T) {
	kit := testkit.New(t.Name())
	alice := kit.User("@alice:example.org")
	phone, laptop := alice.Device("ALICEPHONE"), alice.Device("ALICELAPTOP")
	mallory := kit.User("@mallory:example.org").Device("HERS")
	session := kit.Outbound()

	t.Run("scenario 59: two deliveries of one session", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		session := w.kit.Outbound()
		first := w.keeps(w.from(phone, session, bare))
		w.asks(alice)
		second := w.keeps(w.from(phone, session))
		joined, report := sender.Join(first, second)
		w.wantKnown(joined, sender.SenderUnverified, phone)
		if joined.AtReception != first.AtReception || joined.ReceivedAt != first.ReceivedAt || !report.Changed {
			t.Errorf("%+v", joined)
		}
	})
	t.Run("shared history: passed on only when every copy says so", func(t *testing.T) {
		for _, said := range [][2]bool{{false, false}, {false, true}, {true, false}, {true, true}} {
			a, b := direct(t, session, 5, phone, sender.DeviceInfo), direct(t, session, 0, phone, sender.DeviceInfo)
			a.SharedHistory, b.SharedHistory = said[0], said[1]
			if joined, _ := sender.Join(a, b); joined.SharedHistory != (said[0] && said[1]) {
				t.Errorf("%v: %v", said, joined.SharedHistory)
			}
		}
	})
	t.Run("scenario 97: unconnected by room, session, sender key, device key, user, ratchet", func(t *testing.T) {
		a := direct(t, session, 5, phone, sender.DeviceInfo)
		for name, story := range map[string]struct {
			change func(*sender.Copy)
			reason string
		}{
			"room":       {func(c *sender.Copy) { c.RoomID = "!other:example.org" }, sender.ReasonOtherCopy},
			"session":    {func(c *sender.Copy) { c.SessionID[0] ^= 1 }, sender.ReasonOtherCopy},
			"sender key": {func(c *sender.Copy) { c.SenderKey[0] ^= 1 }, sender.ReasonOtherCopy},
			"provenance": {func(c *sender.Copy) { c.Provenance = sender.Claimed }, sender.ReasonOtherCopy},
			"device key": {func(c *sender.Copy) { c.Ed25519[0] ^= 1 }, sender.ReasonOtherOwner},
			"user":       {func(c *sender.Copy) { c.OlmUser = "@mallory:example.org" }, sender.ReasonOtherOwner},
			"ratchet":    {func(c *sender.Copy) { c.Session = shared(t, forged(kit, session), 0) }, sender.ReasonUnconnected},
		} {
			b := direct(t, session, 0, phone, sender.SenderVerified)
			story.change(b)
			if joined, report := sender.Join(a, b); joined != a || report.Refused != story.reason || report.Changed {
				t.Errorf("%s: %+v", name, report)
			}
		}
	})
	t.Run("scenario 98: a better ratchet is not backed up; the same one stays so", func(t *testing.T) {
		a := direct(t, session, 5, phone, sender.SenderUnverified)
		a.BackedUp = true
		if joined, _ := sender.Join(a, direct(t, session, 2, phone, sender.DeviceInfo)); joined.BackedUp {
			t.Error("still marked")
		}
		for _, index := range []uint32{5, 9} {
			if joined, _ := sender.Join(a, direct(t, session, index, phone, sender.SenderVerified)); !joined.BackedUp {
				t.Errorf("index %d took the mark away", index)
			}
		}
		// And the other way round: the stored one is better, and what came in was backed up.
		if joined, _ := sender.Join(direct(t, session, 2, phone, sender.DeviceInfo), a); joined.BackedUp {
			t.Error("another ratchet's backup counts")
		}
	})
	t.Run("scenarios 99, 100 and 107: direct and claimed copies never meet, whichever is first", func(t *testing.T) {
		for _, index := range []uint32{2, 5, 9} {
			d, c := direct(t, session, 5, phone, sender.UnknownDevice), claim(t, session, index, phone)
			for _, pair := range [][2]*sender.Copy{{d, c}, {c, d}} {
				if joined, report := sender.Join(pair[0], pair[1]); joined != pair[0] || report.Refused != sender.ReasonOtherCopy {
					t.Errorf("%+v", report)
				}
			}
		}
		// T36, scenario 100: an invented ratchet in a file stands beside the genuine one, not in its place.
		bogus := claim(t, forged(kit, session), 0, phone)
		genuine := direct(t, session, 3, phone, sender.DeviceInfo)
		if joined, report := sender.Join(bogus, genuine); joined != bogus || report.Refused != sender.ReasonOtherCopy {
			t.Errorf("%+v", report)
		}
	})
	t.Run("scenario 101: duplicates fold to the best of all", func(t *testing.T) {
		for _, order := range [][]uint32{{0, 5}, {5, 0}, {5, 2, 0, 2}, {0, 0, 5}} {
			folded := claim(t, session, order[0], phone)
			for _, index := range order[1:] {
				folded, _ = sender.Join(folded, claim(t, session, index, phone))
			}
			if folded.Session.FirstKnownIndex() != 0 || !folded.Legacy || folded.Current != (sender.Data{}) {
				t.Errorf("%v: %+v", order, folded)
			}
		}
	})
	t.Run("scenario 102: an upgrade and a reset of the backup mark, both kept", func(t *testing.T) {
		base := direct(t, session, 5, phone, sender.DeviceInfo)
		base.BackedUp = true
		finding := sender.Finding{Data: data(t, sender.SenderUnverified, phone), Step: 'J', Resolved: true}
		upgraded, _ := base.Apply(&finding)
		joined, _ := sender.Join(base, direct(t, session, 1, phone, sender.DeviceInfo))
		both, _ := sender.Join(upgraded, joined)
		if both.Current.Kind != sender.SenderUnverified || both.Session.FirstKnownIndex() != 1 || both.BackedUp {
			t.Errorf("%+v", both)
		}
	})
	t.Run("T27: at 100, at 0, and another ratchet under the same id", func(t *testing.T) {
		other := direct(t, forged(kit, session), 0, phone, sender.SenderVerified)
		copies := []*sender.Copy{direct(t, session, 100, phone, sender.DeviceInfo), direct(t, session, 0, phone, sender.DeviceInfo)}
		for _, order := range [][]*sender.Copy{{copies[0], copies[1], other}, {copies[1], copies[0], other}, {copies[0], other, copies[1]}, {copies[1], other, copies[0]}} {
			folded := order[0]
			for _, c := range order[1:] {
				folded, _ = sender.Join(folded, c)
			}
			if folded.Session.FirstKnownIndex() != 0 || folded.Session.Compare(copies[1].Session) != megolm.Equal || folded.Current.Kind != sender.DeviceInfo {
				t.Errorf("%+v", folded)
			}
		}
	})
	t.Run("T12, I4: another master key never takes the pin, whatever its rank", func(t *testing.T) {
		a, b := direct(t, session, 5, phone, sender.VerificationViolation), direct(t, session, 2, phone, sender.SenderVerified)
		b.Current.MasterKey = keys.Ed25519{1}
		joined, report := sender.Join(a, b)
		if joined.Current != a.Current || !report.PinKept || joined.Session.FirstKnownIndex() != 2 {
			t.Errorf("%+v %+v", joined.Current, report)
		}
	})
	t.Run("I6: the stored legacy mark stays", func(t *testing.T) {
		for _, legacy := range []bool{true, false} {
			a, b := claim(t, session, 5, phone), claim(t, session, 2, phone)
			a.Legacy, b.Legacy = legacy, !legacy
			if joined, report := sender.Join(a, b); joined.Legacy != legacy || !report.LegacyKept || joined.Session.FirstKnownIndex() != 2 {
				t.Errorf("%+v", report)
			}
		}
	})
	t.Run("a suspended copy delivered again stays suspended until its sender is known", func(t *testing.T) {
		a := direct(t, session, 5, phone, sender.DeviceInfo)
		a.Suspended = true
		if joined, _ := sender.Join(a, direct(t, session, 5, phone, sender.DeviceInfo)); !joined.Suspended {
			t.Error("recovered")
		}
		if joined, _ := sender.Join(a, direct(t, session, 5, phone, sender.SenderUnverified)); joined.Suspended {
			t.Error("not recovered")
		}
	})
	t.Run("one device under two ids: one of them, always the same", func(t *testing.T) {
		a, b := direct(t, session, 5, phone, sender.DeviceInfo), direct(t, session, 5, phone, sender.DeviceInfo)
		b.Current.DeviceID = ids.DeviceID(laptop.ID)
		ab, _ := sender.Join(a, b)
		ba, _ := sender.Join(b, a)
		if ab.Current != ba.Current {
			t.Error("it depends on the order")
		}
	})
	t.Run("a claim that leaves the device key out, and one that does not", func(t *testing.T) {
		a, b := claim(t, session, 5, phone), claim(t, session, 5, phone)
		a.Ed25519, a.HasEd25519 = keys.Ed25519{}, false
		if joined, _ := sender.Join(a, b); !joined.HasEd25519 || joined.Ed25519 != b.Ed25519 {
			t.Error("left out")
		}
		if joined, report := sender.Join(b, a); joined != b || report.Changed {
			t.Error("taken away")
		}
		// T37: a wrong claim does not keep a better ratchet out.
		b.Ed25519 = ed25519(t, mallory.Ed25519())
		better := claim(t, session, 0, phone)
		if joined, _ := sender.Join(b, better); joined.Session.FirstKnownIndex() != 0 || joined.Ed25519 != b.Ed25519 {
			t.Error("blocked")
		}
	})
	t.Run("who handed it over", func(t *testing.T) {
		a, b := claim(t, session, 5, phone), claim(t, session, 5, phone)
		f, _ := sender.ForwarderOf(data(t, sender.SenderUnverified, mallory))
		b.Forwarder = &f
		ab, _ := sender.Join(a, b)
		ba, _ := sender.Join(b, a)
		if ab.Forwarder != nil || ba.Forwarder != nil {
			t.Error("a copy of our own file came under the forwarder of another")
		}
		c := claim(t, session, 5, phone)
		g, _ := sender.ForwarderOf(data(t, sender.SenderVerified, phone))
		c.Forwarder = &g
		bc, _ := sender.Join(b, c)
		cb, _ := sender.Join(c, b)
		if bc.Forwarder == nil || *bc.Forwarder != g || *cb.Forwarder != g || bc.Current.Kind != sender.UnknownDevice {
			t.Error("not the better of two forwarders")
		}
	})
	t.Run("evidence of a reception elsewhere", func(t *testing.T) {
		plain, proven := claim(t, session, 5, phone), claim(t, session, 5, phone)
		plain.ReceivedAt, proven.ReceivedAt, proven.AtReception = 1, 2, data(t, sender.SenderUnverified, phone)
		ab, _ := sender.Join(plain, proven)
		ba, _ := sender.Join(proven, plain)
		if ab.AtReception != proven.AtReception || ba.AtReception != proven.AtReception || ab.ReceivedAt != 2 || ba.ReceivedAt != 2 {
			t.Error("lost")
		}
		if ab.Current.Kind != sender.UnknownDevice {
			t.Error("I7: evidence has become knowledge")
		}
	})
}

// I14: over copies that can all be true at once, Join is a join, in the order of what is known.
func TestJoinIsAJoin(t *testing.T) {
	kit := testkit.New(t.Name())
	alice := kit.User("@alice:example.org")
	phone := alice.Device("ALICEPHONE")
	session := kit.Outbound()
	random := rand.New(rand.NewPCG(1, 2))
	indexes := []uint32{0, 3, 255, 256}
	sessions, exports := map[uint32]*megolm.InboundSession{}, map[uint32]*megolm.InboundSession{}
	for _, index := range indexes {
		sessions[index], exports[index] = shared(t, session, index), exported(t, session, index)
	}
	forwarders := []*sender.Forwarder{nil, {Data: data(t, sender.SenderUnverified, phone)}, {Data: data(t, sender.SenderVerified, phone)}}
	embeddeds := [][]byte{nil, []byte(`{"a":1}`), []byte(`{"b":1}`), []byte(`{"a":1,"b":2}`)}
	steps := [...]byte{'C', 'F', 'J', 'J', 'J'}

	generate := func(provenance sender.Provenance) *sender.Copy {
		index := indexes[random.IntN(len(indexes))]
		c := direct(t, session, 0, phone, sender.Kind(random.IntN(5)))
		c.Session, c.Provenance = sessions[index], provenance
		c.AtReception, c.ReceivedAt = data(t, sender.Kind(random.IntN(5)), phone), random.Int64N(3)
		c.SharedHistory, c.BackedUp = random.IntN(2) == 0, random.IntN(2) == 0
		if provenance == sender.Claimed {
			c.Session, c.OlmUser, c.Current, c.Legacy = exports[index], "", sender.Data{}, true
			if random.IntN(2) == 0 {
				c.AtReception = sender.Data{}
			}
			c.Forwarder = forwarders[random.IntN(3)]
			if random.IntN(2) == 0 {
				c.Ed25519, c.HasEd25519 = keys.Ed25519{}, false
			}
			return c
		}
		c.Step = steps[c.Current.Kind]
		if c.Current.Kind == sender.DeviceInfo && random.IntN(2) == 0 {
			c.Step = 'G'
			c.Current.DeviceID = "TWIN"
		}
		if !c.Current.Kind.Known() {
			c.EmbeddedDevice = embeddeds[random.IntN(len(embeddeds))]
			c.Suspended = random.IntN(4) == 0
		}
		return c
	}
	join := func(a, b *sender.Copy) *sender.Copy {
		joined, report := sender.Join(a, b)
		if report.Refused != "" || report.PinKept || report.LegacyKept {
			t.Fatalf("%+v", report)
		}
		if report.Changed == (joined == a) {
			t.Fatal("changed, and the same")
		}
		for _, side := range []*sender.Copy{a, b} {
			if joined.Current.Rank() < side.Current.Rank() { // I3
				t.Fatalf("fell from %v to %v", side.Current.Kind, joined.Current.Kind)
			}
			if joined.Session.FirstKnownIndex() > side.Session.FirstKnownIndex() { // I2
				t.Fatal("an index was lost")
			}
			if side.Current.Kind.Known() && !joined.Current.SamePin(side.Current) { // I4
				t.Fatal("the pin was lost")
			}
			if joined.Provenance != side.Provenance || joined.OlmUser != side.OlmUser || joined.Legacy != side.Legacy { // I5, I6
				t.Fatal("what never changes has changed")
			}
			if joined.Provenance == sender.Claimed && joined.Current.Rank() > 0 { // I7
				t.Fatal("a claim became proof")
			}
		}
		return joined
	}
	for i := range 3_000 {
		provenance := sender.Provenance(i % 2)
		a, b, c := generate(provenance), generate(provenance), generate(provenance)
		if left, right := join(join(a, b), c), join(a, join(b, c)); !alike(left, right) {
			t.Fatalf("not associative:\n%+v\n%+v\n%+v\n->\n%+v\n%+v", a, b, c, left, right)
		}
		if ab, ba := join(a, b), join(b, a); !alike(ab, ba) {
			t.Fatalf("not commutative:\n%+v\n%+v\n->\n%+v\n%+v", a, b, ab, ba)
		}
		if join(a, a) != a {
			t.Fatalf("not idempotent: %+v", a)
		}
		if ab := join(a, b); join(ab, b) != ab || join(ab, a) != ab { // I12
			t.Fatal("a second delivery changed something")
		}
	}
}

// Where both cannot be true the stored copy stays, however often and whatever comes: I4 and I6 along any history.
func TestNothingTakesThePin(t *testing.T) {
	kit := testkit.New(t.Name())
	phone := kit.User("@alice:example.org").Device("ALICEPHONE")
	session := kit.Outbound()
	random := rand.New(rand.NewPCG(3, 4))
	masters := []keys.Ed25519{{1}, {2}, {3}}
	for range 500 {
		stored := direct(t, session, 9, phone, sender.Kind(random.IntN(5)))
		for range 8 {
			next := direct(t, session, uint32(random.IntN(10)), phone, sender.Kind(random.IntN(5)))
			next.ReceivedAt = random.Int64N(100) - 50 // clocks jump
			if next.Current.Kind.Known() {
				next.Current.MasterKey = masters[random.IntN(3)]
			}
			joined, _ := sender.Join(stored, next)
			if stored.Current.Kind.Known() && !joined.Current.SamePin(stored.Current) {
				t.Fatalf("%+v became %+v", stored.Current, joined.Current)
			}
			if joined.Current.Rank() < stored.Current.Rank() {
				t.Fatal("fell")
			}
			stored = joined
		}
	}
}

// alike compares two copies member by member; sessions by what they open.
func alike(a, b *sender.Copy) bool {
	if a.Session.Compare(b.Session) != megolm.Equal || !bytes.Equal(a.EmbeddedDevice, b.EmbeddedDevice) {
		return false
	}
	if (a.Forwarder == nil) != (b.Forwarder == nil) || a.Forwarder != nil && *a.Forwarder != *b.Forwarder {
		return false
	}
	return a.CopyKey == b.CopyKey && a.Ed25519 == b.Ed25519 && a.HasEd25519 == b.HasEd25519 && a.OlmUser == b.OlmUser &&
		a.AtReception == b.AtReception && a.Current == b.Current && a.Legacy == b.Legacy && a.Suspended == b.Suspended &&
		a.SharedHistory == b.SharedHistory && a.ReceivedAt == b.ReceivedAt && a.BackedUp == b.BackedUp && a.Step == b.Step
}

// T36: of two claims that contradict each other the one from the better source stays, in either order and whatever else is said of them: with
// evidence before without, out of our own file before handed over. Of one source the stored one stays. Direct copies are never replaced.
func TestContradictingClaims(t *testing.T) {
	kit := testkit.New(t.Name())
	phone := kit.User("@alice:example.org").Device("ALICEPHONE")
	session := kit.Outbound()
	other := forged(kit, session)
	by, _ := sender.ForwarderOf(data(t, sender.SenderVerified, phone))
	kinds := []func(*sender.Copy){
		func(c *sender.Copy) { c.Forwarder, c.BackedUp, c.ReceivedAt = &by, true, -1 },
		func(c *sender.Copy) { c.ReceivedAt = 5 },
		func(c *sender.Copy) { c.AtReception, c.ReceivedAt = data(t, sender.DeviceInfo, phone), 9 },
	}
	for i, worse := range kinds {
		for j, better := range kinds {
			a, b := claim(t, session, 0, phone), claim(t, other, 7, phone)
			worse(a)
			better(b)
			joined, report := sender.Join(a, b)
			switch {
			case j > i:
				if joined != b || !report.Replaced || !report.Changed || report.Refused != "" || report.Ratchet != megolm.Unconnected {
					t.Errorf("%d, then %d: %+v", i, j, report)
				}
				if back, report := sender.Join(b, a); back != b || report.Refused != sender.ReasonUnconnected || report.Changed || report.Replaced {
					t.Errorf("%d, then %d: %+v", j, i, report)
				}
			case joined != a || report.Refused != sender.ReasonUnconnected || report.Replaced || report.Changed:
				t.Errorf("%d, then %d: %+v", i, j, report)
			}
		}
	}
	a, b := direct(t, session, 0, phone, sender.DeviceInfo), direct(t, other, 0, phone, sender.SenderVerified)
	if joined, report := sender.Join(a, b); joined != a || report.Replaced {
		t.Errorf("a direct copy: %+v", report)
	}
}
