package record_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"reflect"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"knownsender/core/ids"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/trust"
)

// frame frames plain for a row as the documentation says, independent of the code under test.
func frame(version byte, table store.Table, key store.Key, plain []byte) []byte {
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	sum.Write([]byte{version, 0, byte(len(table))})
	sum.Write([]byte(table))
	for _, part := range key {
		sum.Write([]byte{byte(len(part) >> 8), byte(len(part))})
		sum.Write([]byte(part))
	}
	sum.Write(plain)
	return append(sum.Sum([]byte{'K', 'S', version, 0}), plain...)
}

// pack encodes with the reflection this package avoids: an independent writer.
func pack(t testing.TB, value any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := msgpack.NewEncoder(&b)
	e.UseCompactInts(true)
	if err := e.Encode(value); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func versionOne(t testing.TB, c *sender.Copy) []byte {
	plain := pack(t, []any{state(), 1 + 8 + 16, c.Ed25519[:], string(c.OlmUser), c.ReceivedAt})
	return frame(1, store.Copies, record.CopyKey(c.CopyKey), plain)
}

func code(err error) string {
	var coded interface{ ErrorCode() string }
	if errors.As(err, &coded) {
		return coded.ErrorCode()
	}
	return ""
}

// Scenario 14: a row with sender data comes back equal. Every kind of copy does, from its row alone.
func TestCopiesComeBack(t *testing.T) {
	for name, c := range copies(t) {
		t.Run(name, func(t *testing.T) {
			row := record.CopyRow(c)
			back, err := record.DecodeCopy(row)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(back.Session.AppendState(nil), state()) {
				t.Fatal("the session is another")
			}
			want := *c
			got := *back
			want.Session, got.Session = nil, nil
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("got  %+v\nwant %+v", got, want)
			}
			key, ok := record.ParseCopyKey(row.Key)
			if !ok || key != c.CopyKey {
				t.Fatalf("the row's key reads as %+v", key)
			}
		})
	}
}

func TestOthersComeBack(t *testing.T) {
	for name, r := range users() {
		back, err := record.DecodeUser(record.UserRow(r))
		if err != nil || !reflect.DeepEqual(back, r) {
			t.Errorf("user %s: %+v, %v", name, back, err)
		}
	}
	if back, err := record.DecodeTombstone(record.TombstoneRow(tombstone())); err != nil || *back != *tombstone() {
		t.Errorf("tombstone: %+v, %v", back, err)
	}
	if back, err := record.DecodeWithheld(record.WithheldRow(withheld())); err != nil || back != withheld() {
		t.Errorf("withheld: %+v, %v", back, err)
	}
	row := record.ReplayRow(replays())
	if back, err := record.ParseReplayRow(&row); err != nil || !reflect.DeepEqual(back, replays()) {
		t.Errorf("replays: %+v, %v", back, err)
	}
	if back, err := record.DecodeJudgeNote(record.JudgeNoteRow(note())); err != nil || !reflect.DeepEqual(back, note()) {
		t.Errorf("note: %+v, %v", back, err)
	}
	back, err := record.DecodeOutbound(record.OutboundRow(outbound(t)))
	if err != nil || !bytes.Equal(back.AppendState(nil), outboundState()) {
		t.Fatalf("outbound: %v", err)
	}
	back.OutboundSession = nil
	want := outbound(t)
	if want.OutboundSession = nil; !reflect.DeepEqual(back, want) {
		t.Errorf("outbound: %+v", back)
	}
	if back, err := record.DecodeShares(record.SharesRow(shares())); err != nil || !reflect.DeepEqual(back, shares()) {
		t.Errorf("shares: %+v, %v", back, err)
	}
	if back, err := record.DecodeRoomSettings(record.RoomSettingsRow(roomSettings())); err != nil || !reflect.DeepEqual(back, roomSettings()) {
		t.Errorf("room settings: %+v, %v", back, err)
	}
	if back, err := record.DecodeMeta(record.MetaRow("name", []byte("value"))); err != nil || string(back) != "value" {
		t.Errorf("meta: %q, %v", back, err)
	}
	// An empty block and a full one, at both ends of the message indexes (F46).
	for _, number := range []uint32{0, 1<<25 - 1} {
		block := record.ReplayBlock{RoomID: room, SessionID: directKey().SessionID, Number: number, Events: map[uint32]ids.EventID{}}
		for range 2 {
			row := record.ReplayRow(block)
			if back, err := record.ParseReplayRow(&row); err != nil || !reflect.DeepEqual(back, block) {
				t.Errorf("block %d of %d events: %v", number, len(block.Events), err)
			}
			for i := range uint32(record.ReplayBlockSize) {
				block.Events[number*record.ReplayBlockSize+i] = ids.EventID(fmt.Sprint("$", i))
			}
		}
	}
	// An event outside the block has no place in its row.
	stray := replays()
	stray.Events = map[uint32]ids.EventID{256: "$in", 384: "$out"}
	row = record.ReplayRow(stray)
	if back, err := record.ParseReplayRow(&row); err != nil || len(back.Events) != 1 || back.Events[256] != "$in" {
		t.Errorf("stray: %+v, %v", back, err)
	}
}

// What the documentation of the format says is what an independent writer and an independent checksum make of it.
func TestFormatIsAsDocumented(t *testing.T) {
	c := copies(t)["direct-verified"]
	master := c.Current.MasterKey
	data := func(kind int) []any { return []any{kind, 0, string(alice), "DEVICE", master[:]} }
	plain := pack(t, []any{state(), 1 + 16, c.Ed25519[:], string(alice), c.ReceivedAt, int('J'), []byte{}, data(3), data(4), []any{}, 0, 0})
	row := record.CopyRow(c)
	if want := frame(2, store.Copies, row.Key, plain); !bytes.Equal(row.Value, want) {
		t.Fatalf("got  %x\nwant %x", row.Value, want)
	}
}

// The index entries of a copy: where it waits, where its owner is looked for.
func TestIndexEntries(t *testing.T) {
	waiting := store.Key{string(alice), curve("alice's device").String()}
	owner := store.Key{string(alice), signing("alice's master key").String()}
	for name, want := range map[string][2]store.Key{
		"direct-unknown":                    {waiting, nil},
		"direct-unknown-owner-check-failed": {waiting, nil},
		"direct-device-info":                {waiting, nil},
		"direct-suspended":                  {waiting, nil},
		"direct-legacy":                     {waiting, nil},
		"direct-violation":                  {nil, owner},
		"direct-unverified":                 {nil, owner},
		"direct-verified":                   {nil, nil},
		"claimed":                           {nil, nil},
		"claimed-without-ed25519":           {nil, nil},
		"claimed-evidence":                  {nil, nil},
		"claimed-forwarded":                 {nil, nil},
	} {
		row := record.CopyRow(copies(t)[name])
		if !row.Entry(store.IndexWaiting).Equal(want[0]) || !row.Entry(store.IndexOwner).Equal(want[1]) {
			t.Errorf("%s stands at %v", name, row.Index)
		}
		// Scenario 155, T45: what may be exported and is not in the backup is to be uploaded.
		if c := copies(t)[name]; row.Entry(store.IndexBackup).Equal(store.Key{"not"}) != (!c.BackedUp && !c.Suspended && c.Forwarder == nil) {
			t.Errorf("%s stands at %v", name, row.Index)
		}
	}
}

// F36: index entries that do not fit the record are noticed.
func TestStaleRows(t *testing.T) {
	c := copies(t)["direct-unknown"]
	row := record.CopyRow(c)
	if record.Stale(&row, c) {
		t.Fatal("a fresh row is stale")
	}
	for name, index := range map[string][]store.IndexEntry{
		"missing": nil,
		"another": {{Name: store.IndexOwner, Value: store.Key{string(alice), "key"}}},
		"moved":   {{Name: store.IndexWaiting, Value: store.Key{"@mallory:example.org", curve("alice's device").String()}}},
		"one too many": append(row.Index[:1:1],
			store.IndexEntry{Name: store.IndexOwner, Value: store.Key{string(alice), "key"}}),
	} {
		edited := row
		edited.Index = index
		if _, err := record.DecodeCopy(edited); err != nil || !record.Stale(&edited, c) {
			t.Errorf("%s: not noticed (%v)", name, err)
		}
	}
	if record.Stale(&store.Row{}, c) != true {
		t.Error("a row without a value is fresh")
	}
}

// I24: members that a newer version has added survive being read and written, where the row is written again from what was read.
func TestAddedMembersSurvive(t *testing.T) {
	added := []any{map[string]any{"new": []any{1, nil, 2.5}}, "more", []byte{1}, nil, true, -5, uint64(1) << 63}
	var extra []byte
	for _, member := range added {
		extra = append(extra, pack(t, member)...)
	}
	for name, row := range rows(t) {
		head := []byte{row.Value[8] + byte(len(added))} // a short array has its length in its code
		if n := row.Value[8]&0x0f + byte(len(added)); n > 15 {
			head = []byte{0xdc, 0, n}
		}
		plain := append(append(head, row.Value[9:]...), extra...)
		newer := row
		newer.Value = frame(row.Value[2], row.Table, row.Key, plain)
		back, err := again(newer)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := newer.Value
		if row.Table == store.Tombstones || row.Table == store.Withheld || row.Table == store.Meta && name != "cross-signing" {
			want = row.Value // never written from what was read: passed over
		}
		if !bytes.Equal(back.Value, want) {
			t.Errorf("%s: written again as\n%x, want\n%x", name, back.Value, want)
		}
	}
	// What is not made of whole values is not appended: it would spoil the record.
	c := copies(t)["claimed"]
	if row := record.CopyRowExtra(c, []byte{0xc4, 200, 1}); !bytes.Equal(row.Value, record.CopyRow(c).Value) {
		t.Error("half a value was appended")
	}
	if row := record.CopyRowExtra(c, make([]byte, 65)); !bytes.Equal(row.Value, record.CopyRow(c).Value) {
		t.Error("more members were appended than can be read")
	}
}

// F35, scenario 161: whatever happens to the bytes of a row, it is an error with a code, and the other rows read as before.
func TestDamage(t *testing.T) {
	codes := map[string]bool{}
	fails := func(what string, row store.Row) {
		t.Helper()
		_, err := again(row)
		if err == nil {
			t.Errorf("%s: accepted", what)
			return
		}
		var e *record.Error
		if !errors.As(err, &e) || e.Table != row.Table || e.Reason == "" {
			t.Errorf("%s: %v", what, err)
			return
		}
		codes[e.Code] = true
	}
	for name, row := range rows(t) {
		whole := row.Value
		with := func(value []byte) store.Row {
			damaged := row
			damaged.Value = value
			return damaged
		}
		for n := range whole {
			fails(fmt.Sprintf("%s cut to %d", name, n), with(whole[:n]))
		}
		fails(name+" with a byte more", with(append(bytes.Clone(whole), 0)))
		for at := range whole {
			for bit := range 8 {
				flipped := bytes.Clone(whole)
				flipped[at] ^= 1 << bit
				fails(fmt.Sprintf("%s with bit %d of byte %d flipped", name, bit, at), with(flipped))
			}
		}
		fails(name+" without a value", with(nil))
		// T54: bytes of another row do not open here, even where both rows are of one kind.
		for other, there := range rows(t) {
			if there.Table == row.Table && !there.Key.Equal(row.Key) {
				fails(name+" with the value of "+other, with(there.Value))
			}
		}
		// Moved: the same value under a key that differs in its last part.
		moved := row
		moved.Key = row.Key.Clone()
		moved.Key[len(moved.Key)-1] += "x"
		fails(name+" moved", moved)
	}
	for _, want := range []string{record.CodeBadFrame, record.CodeBadChecksum, record.CodeUnknownFormat, record.CodeUnknownSeal, record.CodeBadRowKey} {
		if !codes[want] {
			t.Errorf("no damage gave %s", want)
		}
	}
}

// Keys that name nothing.
func TestBadRowKeys(t *testing.T) {
	id := directKey().SessionID.String()
	curve := curve("alice's device").String()
	for _, bad := range []store.Row{
		{Table: store.Copies, Key: store.Key{string(room), id, curve}},
		{Table: store.Copies, Key: store.Key{string(room), id, curve, "guessed"}},
		{Table: store.Copies, Key: store.Key{"room", id, curve, "direct"}},
		{Table: store.Copies, Key: store.Key{string(room), id + "=", curve, "direct"}},
		{Table: store.Copies, Key: store.Key{string(room), id, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "direct"}},
		{Table: store.Users, Key: store.Key{"alice"}},
		{Table: store.Users, Key: store.Key{string(alice), ""}},
		{Table: store.Users},
		{Table: store.Tombstones, Key: store.Key{string(room), id}},
		{Table: store.Replays, Key: store.Key{string(room), id, "0000000G"}},
		{Table: store.Replays, Key: store.Key{string(room), id, "0000000A"}},
		{Table: store.Replays, Key: store.Key{string(room), id, "02000000"}},
		{Table: store.Replays, Key: store.Key{string(room), id, "0"}},
		{Table: store.Withheld, Key: store.Key{string(room)}},
		{Table: store.Withheld, Key: store.Key{string(room), "session"}},
		{Table: store.Outbound, Key: store.Key{string(room)}},
		{Table: store.Outbound, Key: store.Key{"room", "session"}},
		{Table: store.Outbound, Key: store.Key{"room", "shares"}},
		{Table: store.Outbound, Key: store.Key{"room", "settings"}},
		{Table: store.Outbound, Key: store.Key{string(room), "sessions"}},
		{Table: store.Meta, Key: store.Key{"note", "NOTE"}},
		{Table: store.Meta, Key: store.Key{"request", string(room), "session"}},
		{Table: store.Meta, Key: store.Key{"request", "room", id}},
		{Table: store.Meta, Key: store.Key{"asked", string(room), id}},
	} {
		if _, err := again(bad); code(err) != record.CodeBadRowKey {
			t.Errorf("%s %v: %v", bad.Table, bad.Key, err)
		}
	}
	if _, err := record.DecodeMeta(store.Row{Table: store.Meta}); code(err) != record.CodeBadRowKey {
		t.Error(err)
	}
	if _, err := record.DecodeJudgeNote(store.Row{Table: store.Meta, Key: store.Key{"judge"}}); code(err) != record.CodeBadRowKey {
		t.Error(err)
	}
	if _, err := record.DecodeRequest(store.Row{Table: store.Meta, Key: store.Key{"request"}}); code(err) != record.CodeBadRowKey {
		t.Error(err)
	}
}

// Intact frames around what no record is: `bad_record`, each. The checksum is right, so only the reader stands between these and us.
func TestContradictions(t *testing.T) {
	direct := copies(t)["direct-unknown"]
	claimed := copies(t)["claimed"]
	master := signing("alice's master key")
	ed := direct.Ed25519
	low := make([]byte, 32)
	low[0] = 1 // the neutral element
	unknown := []any{0, 0, "", "", []byte{}}
	known := func(kind int) []any { return []any{kind, 0, string(alice), "DEVICE", master[:]} }
	copyOf := func(c *sender.Copy, change func(m []any) []any) store.Row {
		m := []any{state(), 1, ed[:], string(c.OlmUser), 5, int('C'), []byte{}, unknown, []any{}, []any{}, 0, 0}
		return store.Row{Table: store.Copies, Key: record.CopyKey(c.CopyKey), Value: frame(2, store.Copies, record.CopyKey(c.CopyKey), pack(t, change(m)))}
	}
	set := func(at int, value any) func(m []any) []any {
		return func(m []any) []any { m[at] = value; return m }
	}
	for _, c := range []*sender.Copy{direct, claimed} {
		if _, err := again(copyOf(c, func(m []any) []any { return m })); err != nil {
			t.Fatalf("without a contradiction: %v", err)
		}
	}
	other := state()
	strange := signing("another session")
	copy(other[132:], strange[:])
	cases := map[string]store.Row{
		"session cut":                       copyOf(direct, set(0, state()[:164])),
		"session with a strange last byte":  copyOf(direct, set(0, append(state()[:164], 2))),
		"session of another id":             copyOf(direct, set(0, other)),
		"session as text":                   copyOf(direct, set(0, string(state()))),
		"session nil":                       copyOf(direct, set(0, nil)),
		"a flag nobody knows":               copyOf(direct, set(1, 1+32)),
		"flags as text":                     copyOf(direct, set(1, "1")),
		"flags true":                        copyOf(direct, set(1, true)),
		"flags negative":                    copyOf(direct, set(1, -1)),
		"flags a fraction":                  copyOf(direct, set(1, 1.0)),
		"no proof, flag says there is":      copyOf(direct, set(2, []byte{})),
		"proof, flag says there is none":    copyOf(direct, set(1, 0)),
		"device key of 31 bytes":            copyOf(direct, set(2, ed[:31])),
		"device key of zeros":               copyOf(direct, set(2, make([]byte, 32))),
		"device key of low order":           copyOf(direct, set(2, low)),
		"direct without an Olm user":        copyOf(direct, set(3, "")),
		"Olm user that is none":             copyOf(direct, set(3, "alice")),
		"Olm user as bytes":                 copyOf(direct, set(3, []byte(alice))),
		"Olm user that is not UTF-8":        copyOf(direct, set(3, "@a\xff:b")),
		"time as text":                      copyOf(direct, set(4, "now")),
		"time beyond 2^63":                  copyOf(direct, set(4, uint64(1)<<63)),
		"time nil":                          copyOf(direct, set(4, nil)),
		"step that is no letter":            copyOf(direct, set(5, int('A')-1)),
		"step beyond Z":                     copyOf(direct, set(5, int('Z')+1)),
		"embedded device nil":               copyOf(direct, set(6, nil)),
		"embedded device as text":           copyOf(direct, set(6, "{}")),
		"no sender data at reception":       copyOf(direct, set(7, []any{})),
		"sender data of four":               copyOf(direct, set(7, unknown[:4])),
		"sender data of six":                copyOf(direct, set(7, append(append([]any{}, unknown...), 0))),
		"sender data nil":                   copyOf(direct, set(7, nil)),
		"sender data in a map":              copyOf(direct, set(7, map[string]any{"kind": 4})),
		"a sixth kind":                      copyOf(direct, set(8, []any{5, 0, string(alice), "DEVICE", master[:]})),
		"known without a master key":        copyOf(direct, set(8, []any{4, 0, string(alice), "DEVICE", []byte{}})),
		"known without a user":              copyOf(direct, set(8, []any{4, 0, "", "DEVICE", master[:]})),
		"known and the owner check failed":  copyOf(direct, set(8, []any{4, 1, string(alice), "DEVICE", master[:]})),
		"device info with a master key":     copyOf(direct, set(8, []any{1, 0, string(alice), "DEVICE", master[:]})),
		"device info without a device":      copyOf(direct, set(8, []any{1, 0, string(alice), "", []byte{}})),
		"unknown with a user":               copyOf(direct, set(8, []any{0, 0, string(alice), "", []byte{}})),
		"unknown with a device":             copyOf(direct, set(8, []any{0, 0, "", "DEVICE", []byte{}})),
		"master key of low order":           copyOf(direct, set(8, []any{4, 0, string(alice), "DEVICE", low})),
		"device id of 256 bytes":            copyOf(direct, set(8, []any{4, 0, string(alice), string(make([]byte, 256)), master[:]})),
		"the same sender data twice":        copyOf(direct, set(8, unknown)),
		"another user's device":             copyOf(direct, set(8, []any{4, 0, "@mallory:example.org", "DEVICE", master[:]})),
		"another user's device then":        copyOf(direct, set(7, []any{4, 0, "@mallory:example.org", "DEVICE", master[:]})),
		"a forwarder who is not in order":   copyOf(claimed, set(9, known(2))),
		"a direct copy that was forwarded":  copyOf(direct, set(9, known(4))),
		"eleven members":                    copyOf(direct, func(m []any) []any { return m[:11] }),
		"a claim with a schedule":           copyOf(claimed, set(10, 3)),
		"no members":                        copyOf(direct, func([]any) []any { return nil }),
		"I7: a claim that knows its sender": copyOf(claimed, set(8, known(4))),
		"I7: a claim that knew its sender":  copyOf(claimed, set(7, known(3))),
		"a claim with an Olm user":          copyOf(claimed, set(3, string(alice))),
	}
	raw := func(name string, version byte, table store.Table, key store.Key, plain []byte) {
		cases[name] = store.Row{Table: table, Key: key, Value: frame(version, table, key, plain)}
	}
	directRow := record.CopyRow(direct)
	plain := directRow.Value[8:]
	raw("nothing in the frame", 2, store.Copies, directRow.Key, nil)
	raw("nil in the frame", 2, store.Copies, directRow.Key, []byte{0xc0})
	raw("a map in the frame", 2, store.Copies, directRow.Key, []byte{0x80})
	raw("a byte behind the record", 2, store.Copies, directRow.Key, append(bytes.Clone(plain), 0xc0))
	raw("the array's length in two bytes", 2, store.Copies, directRow.Key, append([]byte{0xdc, 0, 12}, plain[1:]...))
	raw("the session's length in two bytes", 2, store.Copies, directRow.Key, append([]byte{plain[0], 0xc5, 0, 165}, plain[3:]...))
	raw("an added member cut", 2, store.Copies, directRow.Key, append(append([]byte{plain[0] + 1}, plain[1:]...), 0xc4, 9, 1))
	raw("an added member missing", 2, store.Copies, directRow.Key, append([]byte{plain[0] + 1}, plain[1:]...))
	raw("an added member of no kind", 2, store.Copies, directRow.Key, append(append([]byte{plain[0] + 1}, plain[1:]...), 0xc1))
	raw("version 1 with sender data", 1, store.Copies, directRow.Key, plain)
	raw("version 2 without sender data", 2, store.Copies, directRow.Key, versionOne(t, direct)[8:])

	for name, members := range map[string][]any{
		"identity of eight":           {0, 0, []byte{}, make([]any, 8), []any{}},
		"identity nil":                {0, 0, []byte{}, nil, []any{}},
		"devices nil":                 {0, 0, []byte{}, []any{}, nil},
		"device of six":               {0, 0, []byte{}, []any{}, []any{[]any{"A", ed[:], ed[:], 0, 0, []byte{}}}},
		"device without JSON":         {0, 0, []byte{}, []any{}, []any{[]any{"A", ed[:], ed[:], 0, 0, []byte{}, []byte{}}}},
		"devices out of order":        {0, 0, []byte{}, []any{}, []any{[]any{"B", ed[:], ed[:], 0, 0, []byte{}, []byte("{}")}, []any{"A", ed[:], ed[:], 0, 0, []byte{}, []byte("{}")}}},
		"a fourth user flag":          {8, 0, []byte{}, []any{}, []any{}},
		"trusted key of low order":    {4, 0, low, []any{}, []any{}},
		"trusted key, never verified": {0, 0, master[:], []any{}, []any{}},
		"a fifth cross-signature":     {0, 0, []byte{}, []any{}, []any{[]any{"A", ed[:], ed[:], 0, 5, []byte{}, []byte("{}")}}},
	} {
		raw("user with "+name, 1, store.Users, record.UserKey(alice), pack(t, members))
	}
	replayKey := record.ReplayKey(room, directKey().SessionID, 0)
	for name, members := range map[string][]any{
		"an index without an event": {[]any{1}},
		"indexes out of order":      {[]any{2, "$b", 1, "$a"}},
		"an index twice":            {[]any{1, "$b", 1, "$a"}},
		"an index beyond the block": {[]any{128, "$b"}},
		"an event that is none":     {[]any{1, "b"}},
		"an event nil":              {[]any{1, nil}},
		"129 events":                {make([]any, 258)},
	} {
		raw("replays with "+name, 1, store.Replays, replayKey, pack(t, members))
	}
	for name, members := range map[string][]any{
		"a part without a value": {"because", []any{"waiting"}},
		"an unknown index":       {"because", []any{"color", []any{"x"}}},
		"an empty index value":   {"because", []any{"waiting", []any{}}},
		"no cause":               {nil, []any{}},
	} {
		raw("note with "+name, 1, store.Meta, record.JudgeNoteKey("NOTE"), pack(t, members))
	}
	otherPair := append(outboundState()[:164:164], strange[:]...)
	for name, members := range map[string][]any{
		"a state cut":            {outboundState()[:195], 5, 7_200_000, 250, 2, 0},
		"two halves of no pair":  {otherPair, 5, 7_200_000, 250, 2, 0},
		"a period below an hour": {outboundState(), 5, 3_599_999, 250, 2, 0},
		"messages out of bounds": {outboundState(), 5, 7_200_000, 10_001, 2, 0},
		"messages beyond 2^32":   {outboundState(), 5, 7_200_000, 1 << 33, 2, 0},
		"a fifth visibility":     {outboundState(), 5, 7_200_000, 250, 4, 0},
		"a third flag":           {outboundState(), 5, 7_200_000, 250, 2, 4},
		"a time as text":         {outboundState(), "5", 7_200_000, 250, 2, 0},
		"a member less":          {outboundState(), 5, 7_200_000, 250, 2},
	} {
		raw("outbound session with "+name, 1, store.Outbound, record.OutboundKey(room), pack(t, members))
	}
	deviceKey := curve("A")
	session, share := strange[:], []any{string(alice), "A", deviceKey[:], 5, 0}
	for name, members := range map[string][]any{
		"no session":                 {[]byte{}, []any{}, []any{}},
		"a session of low order":     {low, []any{}, []any{}},
		"a share without a flag":     {session, share[:4], []any{}},
		"a share of nobody":          {session, []any{"", "A", deviceKey[:], 5, 0}, []any{}},
		"a share of no device":       {session, []any{string(alice), "", deviceKey[:], 5, 0}, []any{}},
		"a share without a key":      {session, []any{string(alice), "A", []byte{}, 5, 0}, []any{}},
		"a share with an index 2^32": {session, []any{string(alice), "A", deviceKey[:], 1 << 32, 0}, []any{}},
		"a share with two flags":     {session, []any{string(alice), "A", deviceKey[:], 5, 2}, []any{}},
		"a notice without a code":    {session, share, []any{string(alice), "A"}},
		"a notice to nobody":         {session, share, []any{"alice", "A", "m.no_olm"}},
		"a code nil":                 {session, share, []any{string(alice), "A", nil}},
		"shares nil":                 {session, nil, []any{}},
	} {
		raw("shares with "+name, 1, store.Outbound, record.SharesKey(room), pack(t, members))
	}
	for name, members := range map[string][]any{
		"a period below an hour": {3_599_999, 250, 0},
		"no messages":            {7_200_000, 0, 0},
		"a second flag":          {7_200_000, 250, 2},
		"a period as text":       {"7200000", 250, 0},
		"a member less":          {7_200_000, 250},
	} {
		raw("room settings with "+name, 1, store.Outbound, record.RoomSettingsKey(room), pack(t, members))
	}
	raw("withheld by nobody", 1, store.Withheld, record.SessionKey(room, directKey().SessionID), pack(t, []any{"nobody", []byte{}, "", ""}))
	raw("withheld with a key of low order", 1, store.Withheld, record.SessionKey(room, directKey().SessionID), pack(t, []any{"", low, "", ""}))
	raw("tombstone without a time", 1, store.Tombstones, record.TombstoneRow(tombstone()).Key, pack(t, []any{string(alice), "reason", nil}))
	raw("request without an id", 1, store.Meta, record.RequestKey(room, directKey().SessionID), pack(t, []any{nil, 5}))
	raw("request without a time", 1, store.Meta, record.RequestKey(room, directKey().SessionID), pack(t, []any{"REQUEST"}))
	raw("meta value as text", 1, store.Meta, record.MetaKey("name"), pack(t, []any{"value"}))
	for name, row := range cases {
		t.Run(name, func(t *testing.T) {
			back, err := again(row)
			var e *record.Error
			if !errors.As(err, &e) || e.Code != record.CodeBadRecord {
				t.Fatalf("got %v, %v", back, err)
			}
		})
	}
}

// Numbers have one spelling: the same value, written longer than needed, is refused everywhere.
func TestOneSpelling(t *testing.T) {
	key := record.TombstoneRow(tombstone()).Key
	for time, spellings := range map[int64][][]byte{
		0:        {{0x00}, {0xcc, 0}, {0xcd, 0, 0}, {0xce, 0, 0, 0, 0}, {0xcf, 0, 0, 0, 0, 0, 0, 0, 0}, {0xd0, 0}, {0xd3, 0, 0, 0, 0, 0, 0, 0, 0}},
		127:      {{0x7f}, {0xcc, 127}, {0xd0, 127}, {0xd1, 0, 127}},
		128:      {{0xcc, 128}, {0xcd, 0, 128}, {0xd1, 0, 128}},
		300:      {{0xcd, 1, 44}, {0xd1, 1, 44}, {0xce, 0, 0, 1, 44}},
		-1:       {{0xff}, {0xd0, 0xff}, {0xd1, 0xff, 0xff}, {0xd2, 0xff, 0xff, 0xff, 0xff}},
		-32:      {{0xe0}, {0xd0, 0xe0}},
		-33:      {{0xd0, 0xdf}, {0xd1, 0xff, 0xdf}},
		-129:     {{0xd1, 0xff, 0x7f}, {0xd2, 0xff, 0xff, 0xff, 0x7f}},
		-32769:   {{0xd2, 0xff, 0xff, 0x7f, 0xff}, {0xd3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff}},
		-1 << 63: {{0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0}},
	} {
		for i, spelling := range spellings {
			row := store.Row{Table: store.Tombstones, Key: key, Value: frame(1, store.Tombstones, key, append([]byte{0x93, 0xa0, 0xa0}, spelling...))}
			stone, err := record.DecodeTombstone(row)
			if i == 0 && (err != nil || stone.At != time) {
				t.Errorf("%x: %v, %v", spelling, stone, err)
			}
			if i > 0 && code(err) != record.CodeBadRecord {
				t.Errorf("%x was read as %v, %v", spelling, stone, err)
			}
		}
	}
}

// A few bytes that claim gigabytes, and nesting without end, are refused at once and cost next to nothing.
func TestLyingLengths(t *testing.T) {
	key := record.CopyKey(directKey())
	user := record.UserKey(alice)
	deep := append([]byte{0x9b}, record.CopyRow(copies(t)["direct-unknown"]).Value[9:]...)
	deep = append(deep, bytes.Repeat([]byte{0x91}, 1<<20)...)
	for name, row := range map[string]store.Row{
		"array of 2^32":          {Table: store.Copies, Key: key, Value: frame(2, store.Copies, key, []byte{0xdd, 255, 255, 255, 255})},
		"bytes of 2 GiB":         {Table: store.Copies, Key: key, Value: frame(2, store.Copies, key, []byte{0x9a, 0xc6, 0x80, 0, 0, 0})},
		"text of 2 GiB":          {Table: store.Tombstones, Key: record.TombstoneRow(tombstone()).Key, Value: frame(1, store.Tombstones, record.TombstoneRow(tombstone()).Key, []byte{0x93, 0xdb, 0x80, 0, 0, 0})},
		"devices of 2^32":        {Table: store.Users, Key: user, Value: frame(1, store.Users, user, []byte{0x95, 0, 0, 0xc4, 0, 0x90, 0xdd, 255, 255, 255, 255})},
		"a length without end":   {Table: store.Copies, Key: key, Value: frame(2, store.Copies, key, []byte{0xdd, 255})},
		"nested a million times": {Table: store.Copies, Key: key, Value: frame(2, store.Copies, key, deep)},
	} {
		t.Run(name, func(t *testing.T) {
			result := testing.Benchmark(func(b *testing.B) {
				b.ReportAllocs()
				for range min(b.N, 1) {
					if _, err := again(row); code(err) != record.CodeBadRecord {
						b.Fatal(err)
					}
				}
			})
			if result.MemBytes > 64<<10 {
				t.Errorf("%d bytes allocated", result.MemBytes)
			}
		})
	}
}

// The quarantine keeps the damaged bytes, in a row of their own that says why and when.
func TestQuarantine(t *testing.T) {
	row := record.CopyRow(copies(t)["claimed"])
	row.Value = []byte("damaged")
	why := record.Aside{Table: store.Copies, Code: record.CodeBadFrame, At: 1_700_000_000_123}
	aside := record.QuarantineRow(row, why)
	if aside.Table != store.Quarantine || !aside.Key.Equal(append(store.Key{"copies"}, row.Key...)) {
		t.Fatalf("set aside as %+v", aside)
	}
	if got, found := record.ParseQuarantine(&aside); got != why || string(found) != "damaged" {
		t.Errorf("%+v, %q", got, found)
	}
	empty := record.QuarantineRow(store.Row{Key: store.Key{"a", "b", "c", "d", "e", "f", "g", "h"}}, record.Aside{Table: store.Users})
	if empty.Value == nil || len(empty.Key) != store.MaxKeyParts {
		t.Fatalf("set aside as %+v", empty)
	}
	if got, found := record.ParseQuarantine(&empty); got.Table != store.Users || len(found) != 0 {
		t.Errorf("%+v, %q", got, found)
	}
	huge := record.QuarantineRow(store.Row{Key: store.Key{"a"}, Value: make([]byte, store.MaxValue)}, why)
	if got, _ := record.ParseQuarantine(&huge); len(huge.Value) != store.MaxValue || got != why {
		t.Errorf("%d bytes, %+v", len(huge.Value), got)
	}
	s := store.NewMemory()
	for _, r := range []store.Row{aside, empty, huge} {
		if err := s.Commit(t.Context(), store.Batch{Ops: []store.Op{{Table: r.Table, Key: r.Key, Expect: store.AnyRev, Value: r.Value}}}); err != nil {
			t.Fatal(err)
		}
	}
}

// What older versions and the store below set aside has no header, and anything may lie there: the table is told where it is one, and no words but ours.
func TestQuarantineWithoutHeader(t *testing.T) {
	whole := record.QuarantineRow(store.Row{Key: store.Key{"k"}, Value: []byte("bytes")}, record.Aside{Table: store.Users, Code: "bad_record", At: 7})
	var values [][]byte
	for n := range len(whole.Value) - len("bytes") {
		values = append(values, whole.Value[:n])
	}
	values = append(values, []byte("damaged"), []byte("KSQ\x01\x06SECRET12345678"), []byte("KSQ\x01\xffbad_record12345678"))
	for _, value := range values {
		row := store.Row{Table: store.Quarantine, Key: store.Key{"users", "k"}, Value: value}
		if aside, found := record.ParseQuarantine(&row); aside != (record.Aside{Table: store.Users}) || !bytes.Equal(found, value) {
			t.Errorf("%q: %+v, %q", value, aside, found)
		}
	}
	row := store.Row{Key: store.Key{"a place"}, Value: whole.Value}
	if aside, _ := record.ParseQuarantine(&row); aside.Table != "" || aside.Code != "bad_record" {
		t.Errorf("%+v", aside)
	}
}

// No stored secret, and no stored value at all, gets into the words of an error (I21).
func TestErrorsHoldNoValues(t *testing.T) {
	row := record.CopyRow(copies(t)["direct-verified"])
	row.Value[len(row.Value)-1] ^= 1
	_, err := record.DecodeCopy(row)
	if err == nil || err.Error() != "record in copies: the record is damaged, or lies in a row it was not written for (bad_checksum)" {
		t.Fatal(err)
	}
	r := users()["identity"]
	r.Devices[0].Raw = nil
	_, err = record.DecodeUser(record.UserRow(r))
	var why *trust.RecordError
	if !errors.As(err, &why) || code(err) != record.CodeBadRecord {
		t.Fatal(err)
	}
}
