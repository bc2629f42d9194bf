package keyfile

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"

	"github.com/go-json-experiment/json/jsontext"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/redact"
	"knownsender/core/sender"
	"knownsender/core/signedjson"
)

// Sender data that travel with a room key, from one of the user's own devices to another:
//
//	"org.knownsender.sender_data":{"v":1,"kind":"SenderVerified","user_id":"@u:h","device_id":"D","master_key":"...","received_at":0,"mac":"..."}
//
// What it says is what was known when the key arrived (sender.Copy.AtReception). mac is the unpadded base64 of HMAC-SHA-256 over the canonical
// JSON of the entry: all its members, known to us or not, room_id and session_id among them even where they stand in a path, only mac itself
// left out. So neither the key under the data can be exchanged nor the data above the key.
//
// The rule: without the key, or when anything is amiss, this is hearsay, which says nothing. It is never an error of the entry.

const (
	senderDataName    = "org.knownsender.sender_data"
	senderDataVersion = 1
	senderDataInfo    = "org.knownsender.sender_data.v1"
)

// SenderDataKey makes and checks the MAC of sender data. It is secret.
type SenderDataKey struct {
	redact.Secret
	_   [0]func() // not comparable with ==, which is not constant-time
	key [32]byte
}

// NewSenderDataKey derives the key from a secret that only the user's own devices hold, by HKDF-SHA-256 without salt.
func NewSenderDataKey(secret [32]byte) *SenderDataKey {
	derived, err := hkdf.Key(sha256.New, secret[:], nil, senderDataInfo, 32)
	if err != nil {
		panic("internal error: HKDF refuses 32 bytes")
	}
	k := &SenderDataKey{key: [32]byte(derived)}
	clear(derived)
	return k
}

// Wipe overwrites the key.
func (k *SenderDataKey) Wipe() { clear(k.key[:]) }

func (k *SenderDataKey) mac(signed []byte) []byte {
	mac := hmac.New(sha256.New, k.key[:])
	mac.Write(signed)
	return mac.Sum(nil)
}

// evidence is sender data as they came, before anybody has checked their MAC.
type evidence struct {
	redact.Secret
	data       sender.Data
	receivedAt int64
	mac        []byte
	signed     []byte // what the MAC is over, the session key in it
}

// Evidence is what the entry says of its sender and when the key was received, milliseconds since 1970, by the word of one of the user's own
// devices that holds key. held is false, and nothing is said, when there is nothing, when key is nil, or when the MAC is not right.
func (e *Entry) Evidence(key *SenderDataKey) (data sender.Data, receivedAt int64, held bool) {
	if e.evidence == nil || key == nil || !hmac.Equal(key.mac(e.evidence.signed), e.evidence.mac) {
		return sender.Data{}, 0, false
	}
	return e.evidence.data, e.evidence.receivedAt, true
}

// readEvidence reads the sender data of an entry whose room and session are known, nil when there are none that could be meant.
func readEvidence(o *signedjson.Object, e *Entry) *evidence {
	if _, present := o.Value(senderDataName); !present {
		return nil
	}
	written, err := o.Object(senderDataName)
	if err != nil {
		return nil
	}
	found := &evidence{}
	var ok bool
	if found.data, ok = parseSenderData(written); !ok {
		return nil
	}
	if found.receivedAt, err = written.Int("received_at"); err != nil || found.receivedAt < 0 {
		return nil
	}
	text, err := written.String("mac")
	if err != nil {
		return nil
	}
	if found.mac, err = keys.DecodeBase64(text); err != nil || len(found.mac) != sha256.Size {
		return nil
	}
	if found.signed, ok = signedEntry(o, written, e); !ok {
		return nil
	}
	return found
}

// parseSenderData refuses what contradicts itself, as one does who reads a stored copy.
func parseSenderData(o *signedjson.Object) (d sender.Data, ok bool) {
	if version, err := o.Int("v"); err != nil || version != senderDataVersion {
		return d, false
	}
	name, err := o.String("kind")
	if err != nil {
		return d, false
	}
	if d.Kind, ok = sender.ParseKind(name); !ok || d.Kind.String() != name {
		return d, false
	}
	if _, present := o.Value("owner_check_failed"); present {
		if d.OwnerCheckFailed, err = o.Bool("owner_check_failed"); err != nil || !d.OwnerCheckFailed {
			return d, false
		}
	}
	text, hasUser, err := o.OptionalString("user_id")
	if err == nil && hasUser {
		d.UserID, err = ids.ParseUserID(text)
	}
	if err != nil {
		return d, false
	}
	text, hasDevice, err := o.OptionalString("device_id")
	if err == nil && hasDevice {
		d.DeviceID, err = ids.ParseDeviceID(text)
	}
	if err != nil {
		return d, false
	}
	text, hasMaster, err := o.OptionalString("master_key")
	if err == nil && hasMaster {
		d.MasterKey, err = keys.ParseEd25519(text)
	}
	if err != nil {
		return d, false
	}
	unknown := d.Kind == sender.UnknownDevice
	consistent := hasUser != unknown && hasMaster == d.Kind.Known() && !(d.OwnerCheckFailed && !unknown) &&
		!(hasDevice && unknown) && (hasDevice || d.Kind != sender.DeviceInfo)
	return d, consistent
}

// signedEntry is what the MAC is over: the entry o with the sender data in it, canonical. false when there is no canonical form, which is when
// somebody wrote numbers that are not integers.
func signedEntry(o, written *signedjson.Object, e *Entry) ([]byte, bool) {
	text := make([]byte, 0, len(o.Raw())+len(e.RoomID)+64)
	text = append(text, '{')
	text = appendNames(text, o, e)
	o.Range(func(name string, value jsontext.Value) bool {
		if name == senderDataName {
			text = append(signedjson.AppendName(text, name), '{')
			written.Range(func(name string, value jsontext.Value) bool {
				if name != "mac" {
					text = append(signedjson.AppendName(text, name), value...)
				}
				return true
			})
			text = append(text, '}')
			return true
		}
		text = append(signedjson.AppendName(text, name), value...)
		return true
	})
	text = append(text, '}')
	defer clear(text)
	whole, err := signedjson.ParseLimit(text, len(text))
	if err != nil {
		return nil, false
	}
	canonical, err := whole.Canonical()
	return canonical, err == nil
}

// appendNames writes the room and the session of an entry that does not have them in it.
func appendNames(text []byte, o *signedjson.Object, e *Entry) []byte {
	if _, present := o.Value("room_id"); !present {
		text = appendText(text, "room_id", string(e.RoomID))
	}
	if _, present := o.Value("session_id"); !present {
		text = appendText(text, "session_id", e.SessionID.String())
	}
	return text
}

// appendSenderData writes the sender data of a direct copy in canonical form, without the MAC when that is nil.
func appendSenderData(dst []byte, c *sender.Copy, mac []byte) []byte {
	d := &c.AtReception
	dst = append(dst, '{')
	if d.DeviceID != "" {
		dst = appendText(dst, "device_id", string(d.DeviceID))
	}
	dst = appendText(dst, "kind", d.Kind.String())
	if mac != nil {
		dst = appendText(dst, "mac", string(keys.EncodeBase64(nil, mac)))
	}
	if d.Kind.Known() {
		dst = appendText(dst, "master_key", d.MasterKey.String())
	}
	if d.OwnerCheckFailed {
		dst = signedjson.AppendBool(signedjson.AppendName(dst, "owner_check_failed"), true)
	}
	dst = signedjson.AppendInt(signedjson.AppendName(dst, "received_at"), c.ReceivedAt)
	if d.UserID != "" {
		dst = appendText(dst, "user_id", string(d.UserID))
	}
	dst = signedjson.AppendInt(signedjson.AppendName(dst, "v"), senderDataVersion)
	return append(dst, '}')
}
