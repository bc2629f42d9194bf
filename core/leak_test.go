package core_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/policy"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/testkit"
)

// T56, I21: nothing that is printed, told or returned as an error holds a session key, a ratchet or a plaintext, in whatever spelling.

// spy collects everything that comes out of the machine but the clear events themselves.
type spy struct {
	t     testing.TB
	heard []string
}

func (s *spy) hears(what string, values ...any) {
	for _, value := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			s.heard = append(s.heard, what+": "+fmt.Sprintf(verb, value))
		}
		if err, ok := value.(error); ok {
			for ; err != nil; err = errors.Unwrap(err) {
				s.heard = append(s.heard, what+": "+err.Error())
			}
		}
	}
}

// spellings are the ways in which bytes get into a text.
func spellings(secret []byte) []string {
	var all []string
	for shift := range 3 { // where in a group of three the secret may begin
		text := base64.StdEncoding.EncodeToString(append(make([]byte, shift), secret...))
		all = append(all, text[4:24])
	}
	decimal := strings.Trim(fmt.Sprint(secret[:8]), "[]")
	return append(all, hex.EncodeToString(secret[:8]), strings.ToUpper(hex.EncodeToString(secret[:8])), decimal, strings.ReplaceAll(decimal, " ", ", "),
		strings.Trim(fmt.Sprintf("%#v", secret[:6]), "[]byte{}"))
}

// heardNone fails when anything that was heard holds one of these.
func (s *spy) heardNone(forbidden []string) {
	s.t.Helper()
	for _, text := range s.heard {
		for _, secret := range forbidden {
			if at := strings.Index(text, secret); at >= 0 {
				s.t.Fatalf("%.60s ... holds a secret at %d: %.120s", text, at, text[max(0, at-60):])
			}
		}
	}
}

func TestNothingLeaks(t *testing.T) {
	const plaintext = "the eagle lands at midnight"
	w := newWorld(t)
	alice, phone := w.alice()
	_, hers := w.mallory()
	s := &spy{t: t}
	ctx := context.Background()
	sessions := []*testkit.Outbound{w.kit.Outbound(), w.kit.Outbound(), w.kit.Outbound()}
	var secrets [][]byte
	for _, session := range sessions {
		for _, index := range []uint32{0, 1, 5} {
			secrets = append(secrets, decode(t, session.SessionKeyAt(index))[5:133])
		}
	}

	// Everything that goes well.
	events := []sender.DecryptedOlmEvent{w.event(phone, room, sessions[0]), w.event(phone, room, sessions[1], testkit.WithoutDeviceKeys), w.event(hers, room, sessions[2])}
	reception := w.machine.ReceiveRoomKeys(events)
	s.hears("reception", reception, *reception)
	for i := range reception.Receipts {
		r := &reception.Receipts[i]
		s.hears("receipt", r, *r, r.Copy, *r.Copy, r.Copy.Session, *r.Copy.Session, r.Finding, *r.Finding)
	}
	w.flush()
	s.hears("settled", w.machine.Settled(reception))
	s.hears("answer", w.answer(alice))
	message := phone.RoomEvent(string(room), sessions[0], testkit.JSON(map[string]any{"type": "m.room.message", "room_id": room, "content": map[string]any{"body": plaintext}}))
	event, err := w.decrypt(message, policy.Untrusted)
	if err != nil {
		t.Fatal(err)
	}
	s.hears("info", event.Info, event.Info.Verdict, event.Info.Verdict.Chosen)
	explained, err := w.machine.Explain(ctx, room, sessionID(t, sessions[0].ID()))
	if err != nil {
		t.Fatal(err)
	}
	s.hears("explanation", explained, *explained, explained.Copies[0], explained.Copies[0].Finding)
	s.hears("machine", w.machine)

	// Everything that does not.
	whole := w.event(phone, room, sessions[1])
	for name, hook := range mutations(phone.RoomKeyObject(w.mine, string(room), sessions[1])) {
		bad := whole
		bad.Payload = changed(t, bad.Payload, hook)
		receipt := w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{bad}).Receipts[0]
		s.hears("room key, "+name, receipt, receipt.Err)
	}
	for name, hook := range mutations(phone.EventObject(string(room), sessions[0], []byte(`{}`))) {
		_, err := w.machine.DecryptRoomEvent(ctx, changed(t, message, hook), room)
		s.hears("event, "+name, err)
	}
	for _, cut := range []int{1, len(events[1].Payload) / 2, len(events[1].Payload) - 1} {
		bad := events[1]
		bad.Payload = bad.Payload[:cut]
		s.hears("room key cut off", w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{bad}).Receipts[0])
	}
	sessions[0].SkipTo(5)
	for _, inside := range []string{
		plaintext, `{"` + plaintext + `":1,"` + plaintext + `":2}`, `{"type":"` + plaintext + `"}`, `{"room_id":"` + plaintext + `","type":"x","content":{}}`,
		`{"room_id":"!room:example.org","type":"x","content":"` + plaintext + `"}`, `{"room_id":"!room:example.org","type":7,"content":{"body":"` + plaintext + `"}}`,
		`{"room_id":"!room:example.org","type":"x","content":{"body":"` + plaintext,
	} {
		_, err := w.decrypt(phone.RoomEvent(string(room), sessions[0], []byte(inside)), policy.Untrusted)
		if err == nil {
			t.Errorf("%s was shown", inside)
		}
		s.hears("plaintext", err)
	}
	for r := range policy.TrustRequirement(policy.Requirements) {
		_, err := w.decrypt(changed(t, message, testkit.Set("event_id", "$replay")), r)
		s.hears("withheld", err)
	}
	// Damaged rows are reported by what is wrong with them.
	for i := range 3 {
		row := rowOf(t, w, i)
		for _, bad := range [][]byte{row.Value[:len(row.Value)-3], append(bytes.Clone(row.Value), 1), []byte("KS\x02\x00" + string(row.Value[4:60]))} {
			w.rot(store.Copies, row.Key, bad)
			w.restart()
			if err := w.machine.LoadRoom(ctx, room); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(w.heard.reports) == 0 {
		t.Error("no report to look at")
	}
	s.hears("listener", w.heard.keys, w.heard.updates, w.heard.reports)
	for i := range w.heard.reports {
		s.hears("report", w.heard.reports[i])
	}
	s.hears("machine", w.machine, core.ChecksFor(w.machine, events[0]))

	var forbidden []string
	for _, secret := range secrets {
		forbidden = append(forbidden, spellings(secret)...)
	}
	forbidden = append(forbidden, plaintext, "eagle", hex.EncodeToString([]byte(plaintext)), testkit.Base64([]byte(plaintext))[:20], strings.Trim(fmt.Sprint([]byte(plaintext)), "[]"))
	s.heardNone(forbidden)
	// The net has no holes: what does hold a secret is caught.
	for _, text := range []string{sessions[0].SessionKeyAt(5), sessions[0].ExportedAt(0), fmt.Sprint(secrets[0]), fmt.Sprintf("%#v", secrets[0]), fmt.Sprintf("%x", secrets[1]), string(event.ClearEvent)} {
		caught := false
		for _, secret := range forbidden {
			caught = caught || strings.Contains(text, secret)
		}
		if !caught {
			t.Errorf("not caught: %.40s", text)
		}
	}
}

// T56: the same of what goes through files, backups, forwarded keys and bundles, in whatever state an import is.
func TestNothingLeaksOfImports(t *testing.T) {
	w, laptop := withLaptop(t)
	w.secret = trusted("ours")
	w.restart()
	s := &spy{t: t}
	ctx := context.Background()
	session := w.kit.Outbound()
	v := newVault(t)
	text := list(entry(laptop, session, 0))
	for name, hook := range mutations(entry(laptop, session, 0)) {
		i := w.begin(core.ImportOptions{BackupVersion: "1"})
		err := i.Write(ctx, slices.Concat([]byte("["), changed(t, testkit.JSON(entry(laptop, session, 0)), hook), []byte(","), text[1:len(text)/2]))
		s.hears("import, "+name, i, *i, i.ImportResult, err)
		for _, f := range i.Failures {
			s.hears("failure, "+name, f, f.Err)
		}
		s.hears("its end, "+name, i.End(ctx), i, i.ImportResult)
		for _, f := range i.Failures {
			s.hears("failure, "+name, f, f.Err)
		}
	}
	w.imports(text)
	w.kept(w.event(laptop, room, session))
	e := w.machine.BeginExport()
	copies, err := e.Next(ctx)
	s.hears("export", e, *e, copies, err, w.machine)
	if text := fmt.Sprintf("%+v %s", e, *e); text != "core.Export core.Export" { // between two pages it holds a copy
		t.Errorf("an export is printed as %s", text)
	}
	for _, c := range copies {
		s.hears("exported", c, *c)
	}
	request := w.upload(v, "1")
	s.hears("upload", request, *request, string(request.Body), v.key, core.ImportOptions{BackupKey: v.key}, w.machine)
	sealed := v.seal(t, w.claimed(laptop, session, 0))
	for name, hook := range mutations(jsonOf(t, sealed)["rooms"].(map[string]any)) {
		i := w.begin(core.ImportOptions{BackupKey: v.key})
		s.hears("backup, "+name, i.WriteBackup(ctx, changed(t, sealed, testkit.In("rooms", hook))), i, *i, i.End(ctx), i.ImportResult)
		for _, f := range i.Failures {
			s.hears("failure, "+name, f, f.Err)
		}
	}
	s.hears("request", w.request(session))
	whole := w.forwarded(laptop, session, 0)
	for name, hook := range mutations(jsonOf(t, whole.Payload)) {
		bad := whole
		bad.Payload = changed(t, bad.Payload, hook)
		s.hears("forwarded, "+name, w.forward(bad), w.forward(bad).Err)
	}
	content, encrypted := sealedBundle(bundle([]map[string]any{entry(laptop, session, 0), entry(laptop, session, 0, testkit.Set("sender_key", session.ExportedAt(0)))}, nil))
	descriptor, err := w.machine.BundleDescriptor(w.announce(laptop, content))
	s.hears("descriptor", descriptor, *descriptor, err)
	result, err := w.machine.ReceiveRoomKeyBundle(ctx, w.announce(laptop, content), encrypted)
	s.hears("bundle", result, *result, err)
	for _, f := range result.Faults {
		s.hears("fault", f, f.Err)
	}
	s.hears("listener", w.heard.keys, w.heard.updates, w.heard.reports)

	forbidden := append(spellings(decode(t, session.ExportedAt(0))[5:133]), spellings(decode(t, v.key.Base64()))...)
	s.heardNone(forbidden)
	if !slices.ContainsFunc(forbidden, func(secret string) bool { return strings.Contains(string(text), secret) }) {
		t.Error("the net has holes")
	}
}

// T56: the same of what is ours: the account, channels, private cross-signing keys, the sessions we send with, and of all of it when its rows are damaged.
func TestNothingLeaksOfOurs(t *testing.T) {
	const plaintext = "the owl leaves before dawn"
	d := withAccount(t)
	s := &spy{t: t}
	ctx := context.Background()
	alice := d.kit.User("@alice:example.org")
	phone := d.peer(alice, "PHONE", d.uploaded()[0])

	// A whole life: a channel, an identity, a room.
	session := d.kit.Outbound()
	result, err := d.sync(core.SyncChanges{ToDevice: [][]byte{phone.roomKey(session)}, OneTimeKeyCount: -1})
	s.hears("sync", result, *result, err)
	for i := range result.Events {
		s.hears("event", result.Events[i], result.Events[i].Event, result.Events[i].Receipt)
	}
	requests := d.mustBootstrap(false)
	s.hears("bootstrap", requests, *requests, string(requests.UploadSigningKeys.Body), string(requests.UploadSignatures.Body))
	export, err := d.machine.ExportCrossSigningKeys(ctx)
	s.hears("export", export, &export, err)
	status, err := d.machine.CrossSigningStatus(ctx)
	s.hears("status", status, err)
	shared, err := d.shares([]ids.UserID{ids.UserID(d.me.ID)})
	s.hears("share", shared, err)
	content, err := d.sends(plaintext)
	if err != nil {
		t.Fatal(err)
	}
	s.hears("content", string(content))
	for _, request := range d.machine.OutgoingRequests() {
		s.hears("request", request, string(request.Body))
	}
	get := func(table store.Table, key store.Key) store.Row {
		rows, err := d.rows.Get(ctx, table, []store.Key{key})
		if err != nil || rows[0].Rev == 0 {
			t.Fatalf("%s %v: %v", table, key, err)
		}
		return rows[0]
	}
	accountRow, crossRow, outboundRow := get(store.Meta, record.AccountKey()), get(store.Meta, record.CrossSigningKey()), get(store.Outbound, record.OutboundKey(room))
	account, cross, outbound := must(record.DecodeAccount(accountRow)), must(record.DecodeCrossSigning(crossRow)), must(record.DecodeOutbound(outboundRow))
	channelsRow := get(store.Channels, record.ChannelsKey(d.curve(phone.Curve25519())))
	channels := must(record.DecodeChannels(channelsRow))
	s.hears("stored", account, *account, account.Account, cross, *cross, cross.Keys, outbound, *outbound, outbound.OutboundSession, channels, *channels, accountRow, crossRow, outboundRow, channelsRow)

	// What goes wrong: private keys that are none or another's, a room that is not shared, messages that do not open.
	for _, bad := range []string{export.Master[1:], export.Master + "=", export.Master[:42] + "!", export.SelfSigning} {
		wrong := export
		wrong.Master = bad
		_, err := d.machine.ImportCrossSigningKeys(ctx, wrong)
		s.hears("import", err)
	}
	_, err = d.machine.EncryptRoomEvent(ctx, "!other:example.org", "m.room.message", []byte(`{"body":"`+plaintext+`"}`))
	s.hears("not shared", err)
	_, err = d.machine.EncryptRoomEvent(ctx, room, "m.room.message", []byte(`{"body":"`+plaintext))
	s.hears("bad content", err)
	event := phone.roomKey(d.kit.Outbound())
	for _, cut := range []int{len(event) / 2, len(event) - 40, len(event) - 2} {
		result, err := d.sync(core.SyncChanges{ToDevice: [][]byte{event[:cut]}, OneTimeKeyCount: -1})
		s.hears("cut off", result, err)
		for i := range result.Events {
			s.hears("cut off", result.Events[i], result.Events[i].Err)
		}
	}
	for _, row := range []store.Row{channelsRow, outboundRow, crossRow, accountRow} {
		for name, bad := range damages(row.Value) {
			d.rot(row.Table, row.Key, bad)
			s.hears(name, d.tryReopen())
			_, err := d.sends(plaintext)
			s.hears(name, err)
			_, err = d.machine.ExportCrossSigningKeys(ctx)
			s.hears(name, err)
			result, err := d.sync(core.SyncChanges{ToDevice: [][]byte{event}, OneTimeKeyCount: -1})
			s.hears(name, result, err)
		}
		d.rot(row.Table, row.Key, row.Value)
	}
	for i := range d.heard.reports {
		s.hears("report", d.heard.reports[i])
	}
	s.hears("machine", d.machine, d.heard.keys, d.heard.updates)

	accountState, channelsState, outboundState := account.AppendState(nil), channels.AppendState(nil), outbound.AppendState(nil)
	secrets := [][]byte{
		accountState[4+32 : 4+96], accountState[4+96+32 : 4+96+64], // private halves
		accountState[len(accountState)-5-32 : len(accountState)-5], // and that of the fallback key
		channelsState[33+4+4+1+96:][:32],                           // root key
		outboundState[4:132], outboundState[132:164],
		decode(t, export.Master), decode(t, export.SelfSigning), decode(t, export.UserSigning), decode(t, session.SessionKeyAt(0))[5:133],
	}
	forbidden := []string{plaintext, "owl leaves", hex.EncodeToString([]byte(plaintext)), testkit.Base64([]byte(plaintext))[:20]}
	for _, secret := range secrets {
		forbidden = append(forbidden, spellings(secret)...)
	}
	s.heardNone(forbidden)
	for _, text := range []string{export.Master, fmt.Sprint(accountState), fmt.Sprintf("%x", outboundState), fmt.Sprintf("%x", channelsState)} {
		if !slices.ContainsFunc(forbidden, func(secret string) bool { return strings.Contains(text, secret) }) {
			t.Errorf("not caught: %.40s", text)
		}
	}
	if len(s.heard) < 500 {
		t.Errorf("only %d texts were looked at", len(s.heard))
	}
}
