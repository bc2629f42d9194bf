package core

import (
	"context"

	"knownsender/core/ids"
	"knownsender/core/megolm"
	"knownsender/core/sender"
	"knownsender/core/trust"
)

// Explanation says why a room key's sender is what it is, and what would change it. It is for people who ask, and decides nothing.
type Explanation struct {
	RoomID     ids.RoomID
	SessionID  megolm.SessionID
	Copies     []CopyExplanation
	Tombstones []*sender.Tombstone
	Withheld   *Withheld
}

// CopyExplanation is what there is to say of one copy.
type CopyExplanation struct {
	*sender.Copy
	Finding     sender.Finding // what the finder says today
	Hint        *Hint          // whose key a claimed copy says it is, if that is known
	Why         string         // one sentence: why the copy is what it is, "" where the steps say it
	WouldChange string         // one sentence
	Remedy      Remedy         // the same in one word
}

// Explain walks every copy of a session through the finder once more, for its trace, and keeps nothing of it. Errors: those of the store.
func (m *Machine) Explain(ctx context.Context, room ids.RoomID, id megolm.SessionID) (*Explanation, error) {
	m.turn.Lock()
	defer m.leave()
	if m.closed {
		return nil, errClosed()
	}
	in, err := m.reloadCopies(ctx, sessionName{room, id})
	if err != nil {
		return nil, err
	}
	if err := m.loadAsides(ctx, in); err != nil {
		return nil, err
	}
	e := &Explanation{RoomID: room, SessionID: id, Tombstones: in.tombstones()}
	if in.withheld != nil {
		e.Withheld = &in.withheld.Withheld
	}
	for _, c := range in.all() {
		finding := m.finder.Judge(m.trust, c)
		hint := m.hint(c)
		e.Copies = append(e.Copies, CopyExplanation{Copy: c, Finding: finding, Hint: hint, Why: m.why(c, hint)})
		last := &e.Copies[len(e.Copies)-1]
		last.Remedy, last.WouldChange = m.remedy(c)
	}
	return e, nil
}

// Remedy is what would change what a copy is, in one stable word.
type Remedy string

// The remedies.
const (
	RemedyFromSender     Remedy = "room_key_from_sender" // a claimed key: the same one from its sender
	RemedyGoodSignature  Remedy = "good_signature"       // a suspended one: a /keys/query answer with a signature that holds
	RemedyDevice         Remedy = "device_keys"          // a /keys/query answer that lists the device
	RemedyIdentity       Remedy = "identity"             // one with the owner's identity
	RemedyCrossSignature Remedy = "cross_signature"      // the owner signs the device
	RemedyVerification   Remedy = "verification"         // we verify the user
	RemedyReverify       Remedy = "verify_again"         // we verify the user once more, or withdraw it
	RemedyNone           Remedy = "none"                 // nothing does
)

// why is the sentence for a user who wonders what a key from a file or backup is.
func (m *Machine) why(c *sender.Copy, hint *Hint) string {
	if c.Provenance != sender.Claimed {
		return ""
	}
	from := "It came from a file or a backup"
	if c.Forwarder != nil {
		from = "It was handed over by " + string(c.Forwarder.Data.UserID)
		if len(m.distrusted([]*sender.Copy{c})) > 0 {
			from += ", who was verified and has another identity now"
		}
	}
	var text string
	switch devices := m.trust.WhoLists(c.SenderKey); {
	case len(devices) == 0:
		text = from + ", and claims to be from a device that nobody known lists."
	case len(devices) > 1:
		text = from + ", and claims to be from a device that more than one user lists."
	case hint == nil:
		text = from + ", and claims to be from a device of " + string(devices[0].UserID) + " with another fingerprint key than that device has."
	}
	if hint != nil {
		text = from + ", and claims to be from " + string(hint.UserID) + "'s device " + string(hint.DeviceID)
		if hint.CrossSigned() {
			text += ", which is cross-signed today."
		} else {
			text += ", which is not cross-signed today."
		}
	}
	if c.Evidence() {
		text += " Another device of yours received it from " + string(c.AtReception.UserID) + ", and recorded " + c.AtReception.Kind.String() + "."
	}
	return text
}

// remedy is the word and the sentence for a user who wonders about a shield.
func (m *Machine) remedy(c *sender.Copy) (Remedy, string) {
	if c.Provenance == sender.Claimed {
		return RemedyFromSender, "A file, a backup or whoever hands a key over cannot prove who made it. Receiving the same key from its sender would."
	}
	if c.Suspended {
		return RemedyGoodSignature, "The server shows a wrong cross-signature for the sending device. A /keys/query answer with a good one would lift the suspension."
	}
	user := string(c.OlmUser)
	switch c.Current.Kind {
	case sender.UnknownDevice:
		return RemedyDevice, "The sending device is not known. A /keys/query answer that lists it for " + user + " would tell."
	case sender.DeviceInfo:
		if _, known := m.trust.Identity(c.OlmUser); !known {
			return RemedyIdentity, "The device is known, its owner's cross-signing identity is not. A /keys/query answer with the identity of " + user + " would tell."
		}
		return RemedyCrossSignature, "The device is not cross-signed by " + user + ". When its owner signs it, the next /keys/query answer will tell."
	case sender.VerificationViolation:
		return RemedyReverify, user + " was verified and has another identity now. Verifying " + user + " again, or withdrawing the verification, would change it."
	case sender.SenderUnverified:
		if m.trust.Verification(c.OlmUser) == trust.Unverified {
			return RemedyVerification, "The sender is known but not verified. Verifying " + user + " would change it."
		}
		return RemedyNone, "The sender is known by a master key that is not the one " + user + " has now. It stays as it is."
	}
	return RemedyNone, "Nothing: the sender is known and verified."
}
