package record_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"testing"

	"knownsender/core/crosssigning"
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/megolm"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/sharing"
	"knownsender/core/store"
	"knownsender/core/trust"
)

// The people and things of these tests are made from their names, so that their bytes are the same for ever.

func curve(name string) keys.Curve25519 {
	key := sha256.Sum256([]byte(name))
	key[31] &= 0x7f // the one spelling of it
	return key
}

func signing(name string) keys.Ed25519 {
	seed := sha256.Sum256([]byte(name))
	return keys.Ed25519(ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey))
}

const (
	alice = ids.UserID("@alice:example.org")
	room  = ids.RoomID("!room:example.org")
)

// state is the stored form of the session "session" from index 7 on.
func state() []byte {
	b := []byte{0, 0, 0, 7}
	for i := range 128 {
		b = append(b, byte(i))
	}
	id := signing("session")
	return append(append(b, id[:]...), 1)
}

func session(t testing.TB) *megolm.InboundSession {
	t.Helper()
	s, err := megolm.ParseState(state())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func directKey() sender.CopyKey {
	return sender.CopyKey{RoomID: room, SessionID: megolm.SessionID(signing("session")), SenderKey: curve("alice's device"), Provenance: sender.Direct}
}

// copies has one copy of every kind there is.
func copies(t testing.TB) map[string]*sender.Copy {
	known := func(kind sender.Kind) sender.Data {
		return sender.Data{Kind: kind, UserID: alice, DeviceID: "DEVICE", MasterKey: signing("alice's master key")}
	}
	direct := sender.Copy{
		CopyKey: directKey(), Session: session(t), Ed25519: signing("alice's device"), HasEd25519: true, OlmUser: alice,
		ReceivedAt: 1_720_000_000_123, Step: 'C',
	}
	all := map[string]*sender.Copy{}
	add := func(name string, change func(c *sender.Copy)) {
		c := direct
		change(&c)
		all[name] = &c
	}
	add("direct-unknown", func(c *sender.Copy) {})
	add("direct-unknown-owner-check-failed", func(c *sender.Copy) {
		c.Current.OwnerCheckFailed, c.Step = true, 'D'
	})
	add("direct-device-info", func(c *sender.Copy) {
		c.AtReception = sender.Data{Kind: sender.DeviceInfo, UserID: alice, DeviceID: "DEVICE"}
		c.Current, c.Step = c.AtReception, 'F'
		c.EmbeddedDevice = []byte(`{"user_id":"@alice:example.org","unknown member":[1,2]}`)
		c.SharedHistory = true
		c.Schedule = lane.Schedule{Tries: 3, Next: 1_720_000_060_000}
	})
	add("direct-suspended", func(c *sender.Copy) {
		c.AtReception = sender.Data{Kind: sender.DeviceInfo, UserID: alice, DeviceID: "DEVICE"}
		c.Current, c.Step, c.Suspended = c.AtReception, 'H', true
	})
	add("direct-violation", func(c *sender.Copy) { c.Current, c.Step = known(sender.VerificationViolation), 'J' })
	add("direct-unverified", func(c *sender.Copy) {
		c.AtReception = known(sender.SenderUnverified)
		c.Current, c.Step = c.AtReception, 'J'
	})
	add("direct-verified", func(c *sender.Copy) {
		c.AtReception, c.Current, c.Step = known(sender.SenderUnverified), known(sender.SenderVerified), 'J'
		c.BackedUp = true
	})
	add("direct-legacy", func(c *sender.Copy) { c.Legacy, c.Step = true, 0 })
	add("claimed", func(c *sender.Copy) {
		c.Provenance, c.OlmUser, c.Step, c.Legacy, c.BackedUp = sender.Claimed, "", 0, true, true
	})
	add("claimed-without-ed25519", func(c *sender.Copy) {
		c.Provenance, c.OlmUser, c.Step, c.Ed25519, c.HasEd25519, c.ReceivedAt = sender.Claimed, "", 0, keys.Ed25519{}, false, -1
	})
	add("claimed-evidence", func(c *sender.Copy) {
		c.Provenance, c.OlmUser, c.Step, c.Legacy = sender.Claimed, "", 0, true
		c.AtReception = known(sender.SenderVerified)
	})
	add("claimed-forwarded", func(c *sender.Copy) {
		by, ok := sender.ForwarderOf(known(sender.SenderVerified))
		if !ok {
			t.Fatal("no forwarder")
		}
		c.Provenance, c.OlmUser, c.Step, c.Forwarder = sender.Claimed, "", 0, &by
	})
	return all
}

func users() map[string]*trust.UserRecord {
	key := func(name string) trust.KeyRecord {
		return trust.KeyRecord{Key: signing(name), Raw: []byte(`{"usage":["` + name + `"]}`)}
	}
	devices := []trust.DeviceRecord{
		{DeviceID: "A", Curve25519: curve("A"), Ed25519: signing("A"), CrossSigned: trust.CrossSignatureValid, JudgedBy: signing("self_signing"), Raw: []byte(`{"device":"A"}`)},
		{DeviceID: "B", Curve25519: curve("B"), Ed25519: signing("B"), Dehydrated: true, CrossSigned: trust.CrossSignatureAbsent, JudgedBy: signing("self_signing"), Raw: []byte(`{"device":"B"}`)},
	}
	return map[string]*trust.UserRecord{
		"tracked": {UserID: alice, Tracked: true, Outdated: true},
		"identity": {
			UserID: alice, Tracked: true, AnswerSequence: 1 << 40, Devices: devices,
			Identity: &trust.IdentityRecord{
				Master: key("master"), SelfSigning: key("self_signing"), Pinned: signing("master"),
				PreviouslyVerified: true, JudgedBy: signing("our user_signing"), SignedByUs: true,
			},
		},
		"own": {
			UserID: alice, Tracked: true, Devices: devices, TrustedMaster: signing("master"), WasVerified: true,
			Identity: &trust.IdentityRecord{Master: key("master"), SelfSigning: key("self_signing"), UserSigning: key("user_signing")},
		},
	}
}

func tombstone() *sender.Tombstone {
	return &sender.Tombstone{CopyKey: directKey(), OlmUser: alice, Reason: "wrong_cross_signature", At: 1_720_000_000_123}
}

func withheld() record.Withheld {
	return record.Withheld{RoomID: room, SessionID: directKey().SessionID, Sender: alice, SenderKey: curve("alice's device"), Code: "m.unverified", Reason: "The device is not verified."}
}

func replays() record.ReplayBlock {
	return record.ReplayBlock{
		RoomID: room, SessionID: directKey().SessionID, Number: 2,
		Events: map[uint32]ids.EventID{256: "$first", 300: "$second", 383: "$last"},
	}
}

func note() record.JudgeNote {
	return record.JudgeNote{Name: "NOTE", Because: "device_changed", Parts: []record.JudgePart{
		{Index: store.IndexWaiting, Value: store.Key{string(alice)}},
		{Index: store.IndexOwner, Value: store.Key{string(alice), signing("master").String()}},
	}}
}

func request() *record.RoomKeyRequest {
	return &record.RoomKeyRequest{RoomID: room, SessionID: directKey().SessionID, ID: "REQUEST", At: 1_720_000_000_123}
}

func crossSigning(t testing.TB) *record.CrossSigning {
	t.Helper()
	seed := func(name string) string {
		seed := sha256.Sum256([]byte(name))
		return string(keys.EncodeBase64(nil, seed[:]))
	}
	private, err := crosssigning.Parse(crosssigning.Export{Master: seed("master"), SelfSigning: seed("self_signing"), UserSigning: seed("user_signing")})
	if err != nil {
		t.Fatal(err)
	}
	return &record.CrossSigning{Keys: private, Standing: record.KeysKept}
}

// outboundState is the stored form of the session "session" at index 7, to send with.
func outboundState() []byte {
	seed := sha256.Sum256([]byte("session"))
	return append(state()[:132:132], ed25519.NewKeyFromSeed(seed[:])...)
}

func outbound(t testing.TB) *record.Outbound {
	t.Helper()
	s, err := megolm.ParseOutboundState(outboundState())
	if err != nil {
		t.Fatal(err)
	}
	settings := sharing.Settings{RotationPeriod: 7_200_000, RotationMessages: 250, HistoryVisibility: sharing.Joined}
	return &record.Outbound{OutboundSession: s, RoomID: room, CreatedAt: 1_720_000_000_123, Settings: settings, Shared: true}
}

func shares() *record.Shares {
	return &record.Shares{
		RoomID: room, SessionID: directKey().SessionID,
		Devices: []sharing.Share{
			{Holder: sharing.Holder{UserID: alice, DeviceID: "A", Curve25519: curve("A")}, Index: 0, Sent: true},
			{Holder: sharing.Holder{UserID: alice, DeviceID: "B", Curve25519: curve("B")}, Index: 1<<32 - 1},
		},
		Told: []record.Told{{UserID: alice, DeviceID: "C", Code: "m.unverified"}, {UserID: "@bob:example.org", DeviceID: "C", Code: "m.no_olm"}},
	}
}

func roomSettings() *record.RoomSettings {
	return &record.RoomSettings{RoomID: room, Settings: sharing.Settings{RotationPeriod: 7_200_000, RotationMessages: 250, Strategy: sharing.OnlyTrustedDevices}}
}

// rows has one row of every kind.
func rows(t testing.TB) map[string]store.Row {
	all := map[string]store.Row{
		"tombstone":  record.TombstoneRow(tombstone()),
		"withheld":   record.WithheldRow(withheld()),
		"replays":    record.ReplayRow(replays()),
		"meta":       record.MetaRow("name", []byte("value")),
		"judge-note": record.JudgeNoteRow(note()),
		"request":    record.RequestRow(request()),

		"cross-signing": record.CrossSigningRow(crossSigning(t)),
		"outbound":      record.OutboundRow(outbound(t)),
		"shares":        record.SharesRow(shares()),
		"room-settings": record.RoomSettingsRow(roomSettings()),
	}
	for name, c := range copies(t) {
		all["copy-"+name] = record.CopyRow(c)
	}
	for name, r := range users() {
		all["user-"+name] = record.UserRow(r)
	}
	return all
}

// again decodes a row and encodes what came out.
func again(row store.Row) (store.Row, error) {
	switch row.Table {
	case store.Copies:
		c, extra, err := record.DecodeCopyExtra(row)
		if err != nil {
			return store.Row{}, err
		}
		return record.CopyRowExtra(c, extra), nil
	case store.Users:
		r, err := record.DecodeUser(row)
		if err != nil {
			return store.Row{}, err
		}
		return record.UserRow(r), nil
	case store.Tombstones:
		t, err := record.DecodeTombstone(row)
		if err != nil {
			return store.Row{}, err
		}
		return record.TombstoneRow(t), nil
	case store.Replays:
		b, err := record.ParseReplayRow(&row)
		if err != nil {
			return store.Row{}, err
		}
		return record.ReplayRow(b), nil
	case store.Withheld:
		w, err := record.DecodeWithheld(row)
		if err != nil {
			return store.Row{}, err
		}
		return record.WithheldRow(w), nil
	case store.Outbound:
		if len(row.Key) == 2 && row.Key[1] == "shares" {
			s, err := record.DecodeShares(row)
			if err != nil {
				return store.Row{}, err
			}
			return record.SharesRow(s), nil
		}
		if len(row.Key) == 2 && row.Key[1] == "settings" {
			s, err := record.DecodeRoomSettings(row)
			if err != nil {
				return store.Row{}, err
			}
			return record.RoomSettingsRow(s), nil
		}
		o, err := record.DecodeOutbound(row)
		if err != nil {
			return store.Row{}, err
		}
		return record.OutboundRow(o), nil
	}
	if len(row.Key) == 3 {
		r, err := record.DecodeRequest(row)
		if err != nil {
			return store.Row{}, err
		}
		return record.RequestRow(r), nil
	}
	if len(row.Key) == 2 {
		n, err := record.DecodeJudgeNote(row)
		if err != nil {
			return store.Row{}, err
		}
		return record.JudgeNoteRow(n), nil
	}
	if row.Key.Equal(record.CrossSigningKey()) {
		c, err := record.DecodeCrossSigning(row)
		if err != nil {
			return store.Row{}, err
		}
		return record.CrossSigningRow(c), nil
	}
	value, err := record.DecodeMeta(row)
	if err != nil {
		return store.Row{}, err
	}
	return record.MetaRow(row.Key[0], value), nil
}
