package keyfile

import (
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/redact"
	"knownsender/core/sender"
	"knownsender/core/signedjson"
)

// One exported room key (specification, ExportedSessionData and BackedUpSessionData). The rule: the session key names the session, and what is
// written beside it can only agree (T35). Whose key it is, is hearsay; a claim that was left out is no error, one that cannot be read is.

// MaxEntry is the most bytes one entry may have. Real ones have 600.
const MaxEntry = 64 << 10

// entryNames are the members that are read. A name that differs from one of them only by case would be read by laxer readers (T51).
var entryNames = []string{
	"algorithm", "room_id", "sender_key", "session_id", "session_key", "sender_claimed_keys", "shared_history", "m.shared_history",
	"org.matrix.msc3061.shared_history", senderDataName,
}

// Entry is one room key as a file, a backup or a bundle has it. It is secret.
type Entry struct {
	redact.Secret
	RoomID    ids.RoomID
	SessionID megolm.SessionID // derived from the session key
	SenderKey keys.Curve25519  // as somebody wrote it down
	Session   *megolm.InboundSession

	Ed25519    keys.Ed25519 // as somebody wrote it down
	HasEd25519 bool         // false when that was left out

	// SharedHistory says that the session may be passed on. The flag goes by three names; where they disagree it is not shared.
	SharedHistory bool

	evidence *evidence // sender data that came with it, nil when there are none
}

// ParseEntry takes one element of a key export, at most MaxEntry bytes, and refers to nothing of it. Members we do not know are passed over,
// forwarding_curve25519_key_chain among them. The error is an *EntryError: bad_entry_json, entry_too_large, missing_member, bad_member,
// unsupported_algorithm, bad_session_key or session_id_mismatch.
func ParseEntry(raw []byte) (*Entry, error) {
	o, err := parseObject(raw)
	if err != nil {
		return nil, err
	}
	e := &Entry{}
	if err := e.readSession(o); err != nil {
		return nil, err
	}
	if err := e.readNames(o); err != nil {
		return nil, err
	}
	e.evidence = readEvidence(o, e)
	return e, nil
}

// readNames reads room and session where both must stand in the object.
func (e *Entry) readNames(o *signedjson.Object) error {
	claimed, err := requireString(o, "session_id")
	if err != nil {
		return err
	}
	if !e.names(claimed) {
		return &EntryError{Code: CodeSessionIDMismatch, Member: "session_id"}
	}
	room, err := requireString(o, "room_id")
	if err != nil {
		return err
	}
	if e.RoomID, err = ids.ParseRoomID(room); err != nil {
		return badMember("room_id", err)
	}
	return nil
}

// ParseBackupEntry takes the decrypted payload of a backup, where room and session stand in the path and not in the payload. If they stand
// there as well they must agree. The error is an *EntryError: those of ParseEntry, or foreign_room.
func ParseBackupEntry(room ids.RoomID, session megolm.SessionID, raw []byte) (*Entry, error) {
	o, err := parseObject(raw)
	if err != nil {
		return nil, err
	}
	e := &Entry{RoomID: room}
	if err := e.readSession(o); err != nil {
		return nil, err
	}
	if e.SessionID != session {
		return nil, &EntryError{Code: CodeSessionIDMismatch}
	}
	if _, present := o.Value("session_id"); present {
		if text, err := requireString(o, "session_id"); err != nil {
			return nil, err
		} else if !e.names(text) {
			return nil, &EntryError{Code: CodeSessionIDMismatch, Member: "session_id"}
		}
	}
	if _, present := o.Value("room_id"); present {
		if text, err := requireString(o, "room_id"); err != nil {
			return nil, err
		} else if text != string(room) {
			return nil, &EntryError{Code: CodeForeignRoom, Member: "room_id"}
		}
	}
	e.evidence = readEvidence(o, e)
	return e, nil
}

// parseObject is the strict JSON object raw, which is short enough.
func parseObject(raw []byte) (*signedjson.Object, error) {
	if len(raw) > MaxEntry {
		return nil, &EntryError{Code: CodeEntryTooLarge}
	}
	o, err := signedjson.Parse(raw)
	if err == nil {
		err = o.RefuseVariants(entryNames...)
	}
	if err != nil {
		return nil, &EntryError{Code: CodeBadEntryJSON, Reason: reasonOf(err), cause: err}
	}
	return o, nil
}

// readSession reads what files and backups have alike.
func (e *Entry) readSession(o *signedjson.Object) error {
	if err := requireMegolm(o); err != nil {
		return err
	}
	text, err := requireString(o, "session_key")
	if err != nil {
		return err
	}
	if e.Session, err = megolm.ParseExportedSessionKey(text); err != nil {
		return &EntryError{Code: CodeBadSessionKey, Member: "session_key", Reason: reasonOf(err), cause: err}
	}
	e.SessionID = e.Session.ID()
	if text, err = requireString(o, "sender_key"); err != nil {
		return err
	}
	if e.SenderKey, err = keys.ParseCurve25519(text); err != nil {
		return badMember("sender_key", err)
	}
	if err := e.readClaimedKey(o); err != nil {
		return err
	}
	return e.readSharedHistory(o)
}

func requireMegolm(o *signedjson.Object) error {
	algorithm, err := requireString(o, "algorithm")
	if err != nil {
		return err
	}
	if algorithm != sender.MegolmAlgorithm {
		return &EntryError{Code: CodeUnsupportedAlgorithm, Member: "algorithm"}
	}
	return nil
}

// readClaimedKey reads sender_claimed_keys.ed25519. Some clients leave it out, and mautrix-go writes it empty.
func (e *Entry) readClaimedKey(o *signedjson.Object) error {
	const member = "sender_claimed_keys"
	value, present := o.Value(member)
	if !present {
		return nil
	}
	text, lone := sender.LoneEd25519(value)
	if !lone {
		claimed, err := o.Object(member)
		if err == nil {
			err = claimed.RefuseVariants("ed25519")
		}
		if err != nil {
			return badMember(member, err)
		}
		if text, _, err = claimed.OptionalString("ed25519"); err != nil {
			return badMember(member+".ed25519", err)
		}
	}
	if text == "" {
		return nil
	}
	var err error
	if e.Ed25519, err = keys.ParseEd25519(text); err != nil {
		return badMember(member+".ed25519", err)
	}
	e.HasEd25519 = true
	return nil
}

func (e *Entry) readSharedHistory(o *signedjson.Object) error {
	shared, member, err := sender.SharedHistory(o)
	if err != nil {
		return badMember(member, err)
	}
	e.SharedHistory = shared
	return nil
}

// names reports whether text is the session's id as Matrix writes it.
func (e *Entry) names(text string) bool {
	var spelled [43]byte
	return string(keys.EncodeBase64(spelled[:0], e.SessionID[:])) == text
}

// requireString reads a member that must be there and be a string.
func requireString(o *signedjson.Object, member string) (string, error) {
	text, err := o.String(member)
	if err != nil {
		if reasonOf(err) == signedjson.CodeMissingMember {
			return "", &EntryError{Code: CodeMissingMember, Member: member}
		}
		return "", badMember(member, err)
	}
	return text, nil
}

func badMember(member string, cause error) *EntryError {
	return &EntryError{Code: CodeBadMember, Member: member, Reason: reasonOf(cause), cause: cause}
}

// Copy is the claimed copy the entry stands for, received at, milliseconds since 1970: legacy, its sender unknown, for good (scenarios 103, 104;
// I6, I7). Whether it came from a backup (BackedUp) or through somebody (Forwarder) is the caller's to add. It shares the session with e.
func (e *Entry) Copy(at int64) *sender.Copy {
	return &sender.Copy{
		CopyKey:       sender.CopyKey{RoomID: e.RoomID, SessionID: e.SessionID, SenderKey: e.SenderKey, Provenance: sender.Claimed},
		Session:       e.Session,
		Ed25519:       e.Ed25519,
		HasEd25519:    e.HasEd25519,
		Legacy:        true,
		SharedHistory: e.SharedHistory,
		ReceivedAt:    at,
	}
}

// Wipe overwrites what the entry keeps besides the session, which its copies share. It has no Evidence any more.
func (e *Entry) Wipe() {
	if e.evidence != nil {
		clear(e.evidence.signed)
		e.evidence = nil
	}
}

// AppendEntry appends c as one element of a key export, with the members that peers write, the session from its first known index on. Which
// copies may be exported is the caller's to say: never a suspended one. What is appended is secret.
func AppendEntry(dst []byte, c *sender.Copy) []byte { return AppendEntrySigned(dst, c, nil) }

// AppendEntrySigned is AppendEntry with the sender data of a direct copy, under the MAC of key. Readers that do not know the member pass over
// it. Without a key, and for claimed copies, of whose sender nothing is known, it is AppendEntry.
func AppendEntrySigned(dst []byte, c *sender.Copy, key *SenderDataKey) []byte {
	return appendPayload(dst, c, key, true)
}

// appendPayload writes an entry; named says whether room and session are in it.
func appendPayload(dst []byte, c *sender.Copy, key *SenderDataKey, named bool) []byte {
	exported, err := c.Session.ExportAt(c.Session.FirstKnownIndex())
	if err != nil {
		panic("internal error: a session is not known at its first known index")
	}
	if key == nil || c.Provenance != sender.Direct {
		return appendCanonical(dst, c, exported, nil, named)
	}
	signed := appendCanonical(nil, c, exported, appendSenderData(nil, c, nil), true)
	mac := key.mac(signed)
	clear(signed)
	return appendCanonical(dst, c, exported, appendSenderData(nil, c, mac), named)
}

// appendCanonical writes an entry in canonical form, which is what its MAC is over.
func appendCanonical(dst []byte, c *sender.Copy, exported string, senderData []byte, named bool) []byte {
	dst = appendText(append(dst, '{'), "algorithm", sender.MegolmAlgorithm)
	dst = append(signedjson.AppendName(dst, "forwarding_curve25519_key_chain"), "[]"...)
	dst = signedjson.AppendBool(signedjson.AppendName(dst, "m.shared_history"), c.SharedHistory)
	if senderData != nil {
		dst = append(signedjson.AppendName(dst, senderDataName), senderData...)
	}
	if named {
		dst = appendText(dst, "room_id", string(c.RoomID))
	}
	dst = append(signedjson.AppendName(dst, "sender_claimed_keys"), '{')
	if c.HasEd25519 {
		dst = appendText(dst, "ed25519", c.Ed25519.String())
	}
	dst = append(dst, '}')
	dst = appendText(dst, "sender_key", c.SenderKey.String())
	if named {
		dst = appendText(dst, "session_id", c.SessionID.String())
	}
	dst = appendText(dst, "session_key", exported)
	return append(dst, '}')
}

func appendText(dst []byte, name, text string) []byte {
	return signedjson.AppendString(signedjson.AppendName(dst, name), text)
}
