//go:build js && wasm

package main

import (
	"context"
	"strconv"
	"time"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/keyfile"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/policy"
	"knownsender/core/signedjson"
	"knownsender/core/store"
	"knownsender/core/store/sealed"
	"knownsender/core/trust"
	"knownsender/idbstore"
	"knownsender/jsbridge"
	"knownsender/jsbridge/fetch"
	"knownsender/jsbridge/frame"
)

// program is the one machine of this instance, and what JavaScript holds on to by number.
type program struct {
	host        *jsbridge.Host
	machine     *core.Machine
	receptions  kept[*core.Reception] // waiting for settleRoomKeys
	imports     kept[importing]
	exports     kept[*core.Export]
	decryptions kept[*core.Decryption] // waiting for finishDecryption
	sealed      *sealed.Store          // nil: the store is not encrypted
	last        int
	closed      bool
	unfinished  bool          // there may be something that an earlier run did not get to the end of
	waking      bool          // soon
	flushing    bool          // soon
	timer       chan struct{} // holds one wish that the retry lane look at the time again
}

// register lists every method JavaScript may call: door.Sync for those that cannot wait, door.Async for those that may. Arguments are
// parsed here, at the edge: nothing behind this file takes a bare string.
func register(door *jsbridge.Door, host *jsbridge.Host) {
	p := &program{host: host, timer: make(chan struct{}, 1)}

	door.Async("open", p.open)
	door.Async("close", p.opened(0, p.close))
	door.Async("changeStoreKey", p.opened(4, p.changeStoreKey))

	door.Sync("receiveRoomKeys", p.receiveRoomKeys)
	door.Async("storeRoomKeys", p.opened(0, p.storeRoomKeys))
	door.Async("settleRoomKeys", p.opened(1, p.settleRoomKeys))
	door.Async("receiveRoomKeysWithheld", p.opened(-1, p.receiveRoomKeysWithheld))

	door.Sync("queryKeysForUsers", p.openedNow(-1, p.queryKeysForUsers))
	door.Sync("outdatedUsers", p.openedNow(0, p.outdatedUsers))
	door.Async("receiveKeysQueryResponse", p.opened(2, p.receiveKeysQueryResponse))
	door.Async("receiveDeviceLists", p.opened(-1, p.receiveDeviceLists))
	door.Async("updateTrackedUsers", p.opened(-1, p.updateTrackedUsers))
	door.Async("markAllTrackedUsersAsDirty", p.opened(0, p.markAllTrackedUsersAsDirty))
	door.Sync("outgoingRequests", p.openedNow(0, p.outgoingRequests))
	door.Async("markRequestAsSent", p.opened(2, p.markRequestAsSent))

	door.Sync("lanes", p.openedNow(1, p.lanesAre))
	door.Sync("laneCounts", p.openedNow(0, p.laneCounts))
	door.Sync("meetPeers", p.openedNow(0, p.meetPeers))
	door.Async("hearPeers", p.opened(1, p.hearPeers))

	door.Async("trustOwnIdentity", p.opened(1, p.trustOwnIdentity))
	door.Async("withdrawVerification", p.opened(1, p.withdrawVerification))
	door.Async("pinCurrentIdentity", p.opened(1, p.pinCurrentIdentity))
	door.Sync("identity", p.openedNow(1, p.identity))

	door.Async("loadRoom", p.opened(1, p.loadRoom))
	door.Async("decryptRoomEvent", p.opened(2, p.decryptRoomEvent))
	door.Sync("beginDecryption", p.openedNow(6, p.beginDecryption))
	door.Sync("finishDecryption", p.openedNow(2, p.finishDecryption))
	door.Sync("roomEventEncryptionInfo", p.openedNow(5, p.roomEventEncryptionInfo))
	door.Sync("setTrustRequirement", p.openedNow(1, p.setTrustRequirement))
	door.Async("explain", p.opened(2, p.explain))
	door.Async("roomKeyCounts", p.opened(0, p.roomKeyCounts))
	door.Async("diagnose", p.opened(0, p.diagnose))

	p.registerImports(door)
	p.registerOlm(door)
}

// opened guards a method that needs the machine; want < 0 takes any number of arguments.
func (p *program) opened(want int, handler jsbridge.AsyncHandler) jsbridge.AsyncHandler {
	return func(ctx context.Context, args [][]byte) ([]byte, error) {
		if err := p.ready(want, args); err != nil {
			return nil, err
		}
		return handler(ctx, args)
	}
}

func (p *program) openedNow(want int, handler jsbridge.SyncHandler) jsbridge.SyncHandler {
	return func(args [][]byte) ([]byte, error) {
		if err := p.ready(want, args); err != nil {
			return nil, err
		}
		return handler(args)
	}
}

func (p *program) ready(want int, args [][]byte) error {
	if p.machine == nil {
		return &store.Error{Code: store.CodeClosed, Message: "the machine is not open"}
	}
	if want < 0 {
		return nil
	}
	return jsbridge.Arguments(args, want)
}

// idbHost is the host's IndexedDB bridge: its methods, under a prefix of their own.
type idbHost struct{ host *jsbridge.Host }

func (h idbHost) Call(ctx context.Context, method string, request []byte) ([]byte, error) {
	return h.host.Call(ctx, "idb."+method, request)
}

// open takes user id, device id, ed25519 and curve25519 (both empty: the account is ours), database name (empty: memory), trust requirement, "true" when claims may overrule
// direct copies, "true" when the client gave a fetch, the sender data key (32 bytes, or none),
// and the store's key as parseSecret takes it.
func (p *program) open(ctx context.Context, args [][]byte) ([]byte, error) {
	if err := jsbridge.Arguments(args, 11); err != nil {
		return nil, err
	}
	if p.machine != nil {
		return nil, &jsbridge.Error{Code: "bad_request", Message: "The machine is open already."}
	}
	own := trust.Own{}
	var err error
	if own.UserID, err = ids.ParseUserID(string(args[0])); err != nil {
		return nil, err
	}
	if own.DeviceID, err = ids.ParseDeviceID(string(args[1])); err != nil {
		return nil, err
	}
	if len(args[2])+len(args[3]) > 0 {
		if own.Ed25519, err = keys.ParseEd25519(string(args[2])); err != nil {
			return nil, err
		}
		if own.Curve25519, err = keys.ParseCurve25519(string(args[3])); err != nil {
			return nil, err
		}
	}
	requirement, err := parseRequirement(args[5])
	if err != nil {
		return nil, err
	}
	senderDataKey, err := parseSenderDataKey(args[8])
	if err != nil {
		return nil, err
	}
	secret, err := parseSecret(args[9], args[10])
	if err != nil {
		return nil, err
	}
	defer clear(args[10])
	var fetcher lane.Fetcher
	if string(args[7]) == "true" {
		if fetcher, err = fetch.Connect(); err != nil {
			return nil, err
		}
	}
	var rows store.Store = store.NewMemory()
	if database := string(args[4]); database != "" {
		if rows, err = idbstore.Open(ctx, idbHost{p.host}, database); err != nil {
			return nil, err
		}
	}
	opened, err := sealed.Open(ctx, rows, jsbridge.NewStoreKeys(p.host), secret)
	if err != nil {
		_ = rows.Close()
		return nil, err
	}
	rows = opened
	p.sealed, _ = opened.(*sealed.Store)
	webCrypto := jsbridge.NewWebCrypto(p.host)
	machine, err := core.Open(ctx, core.Options{
		Own:                     own,
		Store:                   rows,
		Verifier:                webCrypto,
		Agreement:               webCrypto,
		SenderDataKey:           senderDataKey,
		OpenAccount:             openAccount,
		Now:                     func() int64 { return time.Now().UnixMilli() },
		TrustRequirement:        requirement,
		ClaimsMayOverruleDirect: string(args[6]) == "true",
		Listener:                announcer{p.host},
		Fetcher:                 fetcher,
		Spawn:                   p.attempt,
		Turns:                   jsbridge.Turns(),
		Rest:                    func() { _, _ = p.host.Call(context.Background(), "rest", frame.Append(nil)) },
	})
	if err != nil {
		_ = rows.Close()
		return nil, err
	}
	p.machine = machine
	go p.runLanes()
	own = machine.Own()
	return object(nil, func(dst []byte) []byte {
		return text(text(dst, "ed25519", own.Ed25519.String()), "curve25519", own.Curve25519.String())
	}), nil
}

// parseSecret takes what kind of key it is, "passphrase", "hostKey" or nothing, and the key.
func parseSecret(kind, key []byte) (sealed.Secret, error) {
	switch string(kind) {
	case "":
		return sealed.Secret{}, nil
	case "passphrase":
		return sealed.Passphrase(key)
	}
	return sealed.HostKey(key)
}

// changeStoreKey takes the old key and the new one.
func (p *program) changeStoreKey(ctx context.Context, args [][]byte) ([]byte, error) {
	from, err := parseSecret(args[0], args[1])
	if err != nil {
		return nil, err
	}
	to, err := parseSecret(args[2], args[3])
	if err != nil {
		return nil, err
	}
	if p.sealed == nil {
		return nil, &store.Error{Code: store.CodeStoreNotEncrypted, Message: "the store was opened without a key"}
	}
	defer clear(args[1])
	defer clear(args[3])
	return nil, p.sealed.ChangeKey(ctx, from, to)
}

func (p *program) close(ctx context.Context, _ [][]byte) ([]byte, error) {
	p.closed = true
	defer p.wake()
	return []byte("{}"), p.machine.Close(ctx)
}

// receiveRoomKeys takes three arguments an event: sender, sender key, payload.
func (p *program) receiveRoomKeys(args [][]byte) ([]byte, error) {
	if err := p.ready(-1, args); err != nil {
		return nil, err
	}
	events, err := olmEvents(args)
	if err != nil {
		return nil, err
	}
	reception := p.machine.ReceiveRoomKeys(events)
	id := p.hold(reception)
	return object(make([]byte, 0, 512*len(events)+64), func(dst []byte) []byte {
		dst = text(dst, "id", id)
		return array(name(dst, "receipts"), len(reception.Receipts), func(dst []byte, i int) []byte {
			return appendReceipt(dst, &reception.Receipts[i])
		})
	}), nil
}

// hold keeps a reception until settleRoomKeys.
func (p *program) hold(reception *core.Reception) (id string) {
	id = p.number()
	p.receptions.keep(id, reception)
	return id
}

func (p *program) storeRoomKeys(ctx context.Context, _ [][]byte) ([]byte, error) {
	return []byte("{}"), p.machine.Flush(ctx)
}

// settleRoomKeys takes the id of a reception whose keys are stored, waits for the slow lane, and lets go of the reception.
func (p *program) settleRoomKeys(ctx context.Context, args [][]byte) ([]byte, error) {
	reception, known := p.receptions.letGo(args[0])
	if !known {
		return nil, &core.RequestError{ID: string(args[0])}
	}
	settled, err := p.machine.Settle(ctx, reception)
	p.wake() // what still waits has a time now
	if err != nil {
		return nil, err
	}
	return array(nil, len(settled), func(dst []byte, i int) []byte { return appendSettled(dst, &settled[i]) }), nil
}

// receiveRoomKeysWithheld takes one argument an event and answers with a refusal or null for each.
func (p *program) receiveRoomKeysWithheld(ctx context.Context, args [][]byte) ([]byte, error) {
	answer := array(nil, len(args), func(dst []byte, i int) []byte {
		if _, err := p.machine.ReceiveRoomKeyWithheld(args[i]); err != nil {
			return appendRefusal(dst, err)
		}
		return append(dst, "null"...)
	})
	return answer, p.machine.Flush(ctx)
}

func (p *program) queryKeysForUsers(args [][]byte) ([]byte, error) {
	users, err := parseUsers(args)
	if err != nil {
		return nil, err
	}
	request := p.machine.QueryKeysForUsers(users)
	return appendRequest(nil, &request), nil
}

func (p *program) outdatedUsers([][]byte) ([]byte, error) {
	users := p.machine.OutdatedUsers()
	return array(nil, len(users), func(dst []byte, i int) []byte { return signedjson.AppendString(dst, string(users[i])) }), nil
}

func (p *program) receiveKeysQueryResponse(ctx context.Context, args [][]byte) ([]byte, error) {
	result, err := p.machine.ReceiveKeysQueryResponse(ctx, args[0], string(args[1]))
	if err != nil {
		return nil, err
	}
	return appendChange(nil, result), nil
}

// receiveDeviceLists takes the number of users in changed, those users, and the users in left.
func (p *program) receiveDeviceLists(ctx context.Context, args [][]byte) ([]byte, error) {
	if len(args) == 0 {
		return nil, jsbridge.Arguments(args, 1)
	}
	count, err := strconv.Atoi(string(args[0]))
	if err != nil || count < 0 || count > len(args)-1 {
		return nil, jsbridge.Arguments(args, count+1)
	}
	changed, err := parseUsers(args[1 : 1+count])
	if err != nil {
		return nil, err
	}
	left, err := parseUsers(args[1+count:])
	if err != nil {
		return nil, err
	}
	defer p.wake()
	return []byte("{}"), p.machine.ReceiveDeviceLists(ctx, changed, left)
}

func (p *program) updateTrackedUsers(ctx context.Context, args [][]byte) ([]byte, error) {
	users, err := parseUsers(args)
	if err != nil {
		return nil, err
	}
	defer p.wake()
	return []byte("{}"), p.machine.TrackUsers(ctx, users)
}

func (p *program) trustOwnIdentity(ctx context.Context, args [][]byte) ([]byte, error) {
	master, err := keys.ParseEd25519(string(args[0]))
	if err != nil {
		return nil, err
	}
	defer p.wake()
	return []byte("{}"), p.machine.TrustOwnIdentity(ctx, master)
}

func (p *program) withdrawVerification(ctx context.Context, args [][]byte) ([]byte, error) {
	user, err := ids.ParseUserID(string(args[0]))
	if err != nil {
		return nil, err
	}
	return []byte("{}"), p.machine.WithdrawVerification(ctx, user)
}

func (p *program) pinCurrentIdentity(ctx context.Context, args [][]byte) ([]byte, error) {
	user, err := ids.ParseUserID(string(args[0]))
	if err != nil {
		return nil, err
	}
	return []byte("{}"), p.machine.PinCurrentIdentity(ctx, user)
}

func (p *program) identity(args [][]byte) ([]byte, error) {
	user, err := ids.ParseUserID(string(args[0]))
	if err != nil {
		return nil, err
	}
	identity, verification, pinViolation, known := p.machine.Identity(user)
	if !known {
		return []byte("null"), nil
	}
	return object(nil, func(dst []byte) []byte {
		dst = text(dst, "userId", string(user))
		dst = text(dst, "masterKey", identity.Master.String())
		dst = text(dst, "selfSigningKey", identity.SelfSigning.String())
		dst = text(dst, "verification", verificationName(verification))
		return flag(dst, "pinViolation", pinViolation)
	}), nil
}

func (p *program) loadRoom(ctx context.Context, args [][]byte) ([]byte, error) {
	room, err := ids.ParseRoomID(string(args[0]))
	if err != nil {
		return nil, err
	}
	return []byte("{}"), p.machine.LoadRoom(ctx, room)
}

// decryptRoomEvent answers {"event": ...} or {"error": ...}: what the policy withholds comes with everything but the plaintext.
func (p *program) decryptRoomEvent(ctx context.Context, args [][]byte) ([]byte, error) {
	room, err := ids.ParseRoomID(string(args[1]))
	if err != nil {
		return nil, err
	}
	event, err := p.machine.DecryptRoomEvent(ctx, args[0], room)
	return p.decrypted(event, err)
}

// decrypted writes what came of an event.
func (p *program) decrypted(event *core.DecryptedEvent, err error) ([]byte, error) {
	if refused, ok := err.(*core.DecryptionError); ok {
		return object(nil, func(dst []byte) []byte { return appendUndecrypted(name(dst, "error"), refused) }), nil
	}
	if err != nil {
		return nil, err
	}
	// The message index is taken from this moment on in memory, and on disk soon. Nobody waits for that: should it fail, the next commit carries it.
	p.flushSoon()
	return object(make([]byte, 0, len(event.ClearEvent)+1024), func(dst []byte) []byte {
		return appendDecrypted(name(dst, "event"), event)
	}), nil
}

// beginDecryption takes a number, room, session, sender, event id, ciphertext. The answer is a frame of key, signature and message for the host to check,
// or nothing: then decryptRoomEvent is to be asked.
func (p *program) beginDecryption(args [][]byte) ([]byte, error) {
	ciphertext := string(args[5])
	event, err := eventName(args[1:], ciphertext)
	if err != nil {
		return nil, nil // which says what is wrong
	}
	begun := p.machine.BeginDecryption(event, ciphertext)
	if begun == nil {
		return nil, nil
	}
	p.decryptions.keep(string(args[0]), begun)
	check := [][]byte{begun.Check.Key[:], begun.Check.Signature[:], begun.Check.Message}
	return frame.Append(make([]byte, 0, frame.Size(check...)), check...), nil
}

// finishDecryption takes the number and the answer of the check, as "verify" gives it. The answer is as of decryptRoomEvent, but that of the clear event
// there is only what was inside, or nothing as above.
func (p *program) finishDecryption(args [][]byte) ([]byte, error) {
	begun, known := p.decryptions.letGo(args[0])
	if !known || len(args[1]) != 1 {
		return nil, nil
	}
	event, err := p.machine.FinishDecryption(begun, jsbridge.Held(args[1][0], &begun.Check))
	if event == nil && err == nil {
		return nil, nil
	}
	return p.decrypted(event, err)
}

// flushSoon writes what is unwritten, once for the messages of a moment: a commit for each would have the next one's reads wait.
func (p *program) flushSoon() {
	if p.flushing {
		return
	}
	p.flushing = true
	p.unattended(func() {
		time.Sleep(100 * time.Millisecond)
		p.flushing = false
		_ = p.machine.Flush(context.Background())
	})
	p.host.Wake() // where the call is a synchronous one, the clock would not be set before the next
}

// eventName reads room, session, sender, event id; and the message index from the ciphertext.
func eventName(args [][]byte, ciphertext string) (core.EventName, error) {
	room, err := ids.ParseRoomID(string(args[0]))
	if err != nil {
		return core.EventName{}, err
	}
	return core.ReadEventName(room, string(args[1]), string(args[2]), string(args[3]), ciphertext)
}

// roomEventEncryptionInfo takes room, session, sender, event id, ciphertext.
func (p *program) roomEventEncryptionInfo(args [][]byte) ([]byte, error) {
	event, err := eventName(args, string(args[4]))
	if err != nil {
		return nil, err
	}
	info, err := p.machine.RoomEventEncryptionInfo(event)
	if err != nil {
		return nil, err
	}
	return appendInfo(make([]byte, 0, 1024), info), nil
}

func (p *program) setTrustRequirement(args [][]byte) ([]byte, error) {
	requirement, err := parseRequirement(args[0])
	if err != nil {
		return nil, err
	}
	p.machine.SetTrustRequirement(requirement)
	return []byte("{}"), nil
}

func (p *program) explain(ctx context.Context, args [][]byte) ([]byte, error) {
	room, session, err := sessionOf(args)
	if err != nil {
		return nil, err
	}
	explanation, err := p.machine.Explain(ctx, room, session)
	if err != nil {
		return nil, err
	}
	return appendExplanation(nil, explanation), nil
}

// diagnose answers [unwritten, next retry, and for each kind of damage table, code, count, last found at]: one flat list is the smallest code.
func (p *program) diagnose(ctx context.Context, _ [][]byte) ([]byte, error) {
	d, err := p.machine.Diagnose(ctx)
	if err != nil {
		return nil, err
	}
	answer := signedjson.AppendInt(append(signedjson.AppendInt([]byte("["), int64(d.Unwritten)), ','), d.NextRetry)
	for i := range d.Quarantined {
		q := &d.Quarantined[i]
		answer = signedjson.AppendString(append(answer, ','), string(q.Table))
		answer = signedjson.AppendString(append(answer, ','), q.Code)
		answer = signedjson.AppendInt(append(answer, ','), int64(q.Count))
		answer = signedjson.AppendInt(append(answer, ','), q.At)
	}
	return append(answer, ']'), nil
}

func (p *program) roomKeyCounts(ctx context.Context, _ [][]byte) ([]byte, error) {
	counts, err := p.machine.RoomKeyCounts(ctx)
	if err != nil {
		return nil, err
	}
	return object(nil, func(dst []byte) []byte {
		return number(number(dst, "total", counts.Total), "backedUp", counts.BackedUp)
	}), nil
}

func parseUsers(args [][]byte) ([]ids.UserID, error) {
	users := make([]ids.UserID, len(args))
	for i := range args {
		var err error
		if users[i], err = ids.ParseUserID(string(args[i])); err != nil {
			return nil, err
		}
	}
	return users, nil
}

// parseSenderDataKey takes the secret that our own devices share, nothing when there is none.
func parseSenderDataKey(arg []byte) (*keyfile.SenderDataKey, error) {
	if len(arg) == 0 {
		return nil, nil
	}
	if len(arg) != 32 {
		return nil, &jsbridge.Error{
			Code: "bad_sender_data_key", Message: "The sender data key has the wrong length.",
			Expected: "32 bytes", Got: strconv.Itoa(len(arg)) + " bytes",
		}
	}
	secret := [32]byte(arg)
	defer clear(secret[:])
	return keyfile.NewSenderDataKey(secret), nil
}

func parseRequirement(arg []byte) (policy.TrustRequirement, error) {
	requirement, ok := policy.ParseTrustRequirement(string(arg))
	if !ok {
		return 0, &jsbridge.Error{
			Code: "bad_trust_requirement", Message: "There is no such trust requirement.",
			Expected: "Untrusted, CrossSignedOrLegacy, CrossSigned or Verified", Got: string(arg),
		}
	}
	return requirement, nil
}
