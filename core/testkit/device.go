package testkit

import (
	"crypto/ecdh"
	"crypto/sha256"
	"encoding/base64"
)

// Algorithm names, as the Matrix specification writes them.
const (
	OlmAlgorithm    = "m.olm.v1.curve25519-aes-sha2"
	MegolmAlgorithm = "m.megolm.v1.aes-sha2"
)

// Device is a device of a user: its keys and the object that publishes them.
type Device struct {
	ID          string
	User        *User
	*SigningKey                  // ed25519, the fingerprint key
	Identity    *ecdh.PrivateKey // nil where the private half is elsewhere
	curve25519  string
	before      []Hook
	after       []Hook
	signatures  []signed
}

// Device makes a device with fresh keys, signed by itself, not cross-signed, and adds it to the user's devices.
func (u *User) Device(id string) *Device {
	identity, err := ecdh.X25519().NewPrivateKey(u.kit.bytes32())
	if err != nil {
		panic(err)
	}
	device := u.DeviceWith(id, Base64(identity.PublicKey().Bytes()))
	device.Identity = identity
	return device
}

// DeviceWith is Device for an identity key whose private half is elsewhere: in an Olm account.
func (u *User) DeviceWith(id, curve25519 string) *Device {
	device := &Device{ID: id, User: u, SigningKey: u.kit.signingKey(), curve25519: curve25519}
	device.signatures = []signed{{user: u.ID, label: "ed25519:" + id, key: device.SigningKey}}
	u.Devices = append(u.Devices, device)
	return device
}

// Curve25519 is the public identity key in unpadded base64: the sender key of the device's Olm messages.
func (d *Device) Curve25519() string {
	if d.Identity != nil {
		return Base64(d.Identity.PublicKey().Bytes())
	}
	return d.curve25519
}

// Ed25519 is the public fingerprint key in unpadded base64.
func (d *Device) Ed25519() string { return d.Public() }

// CrossSigned signs the device with the self-signing key its user has now. A later ResetIdentity leaves this signature
// in place: then the device is signed by an old key.
func (d *Device) CrossSigned() *Device { return d.crossSigned(false) }

// CorruptlyCrossSigned carries the label of the current self-signing key and a signature that does not verify.
func (d *Device) CorruptlyCrossSigned() *Device { return d.crossSigned(true) }

func (d *Device) crossSigned(corrupt bool) *Device {
	key := d.User.Identity.SelfSigning.SigningKey
	d.signatures = append(d.signatures, signed{user: d.User.ID, label: key.Label(), key: key, corrupt: corrupt})
	return d
}

// SignedBy adds a signature by any key, filed under user and the key's own label.
func (d *Device) SignedBy(user string, key *SigningKey) *Device {
	d.signatures = append(d.signatures, signed{user: user, label: key.Label(), key: key})
	return d
}

// NotCrossSigned drops every signature but the device's own.
func (d *Device) NotCrossSigned() *Device {
	d.signatures = d.signatures[:1]
	return d
}

// CorruptlySelfSigned makes the device's own signature wrong.
func (d *Device) CorruptlySelfSigned() *Device {
	d.signatures[0].corrupt = true
	return d
}

// Dehydrated marks the device as dehydrated (MSC3814), under its signature.
func (d *Device) Dehydrated() *Device { return d.Before(Set("dehydrated", true)) }

// Named gives the device a display name, in `unsigned`, as homeservers do.
func (d *Device) Named(name string) *Device {
	return d.Before(Set("unsigned", map[string]any{"device_display_name": name}))
}

// Before adds hooks that change the object before it is signed.
func (d *Device) Before(hooks ...Hook) *Device {
	d.before = append(d.before, hooks...)
	return d
}

// After adds hooks that change the object after it was signed.
func (d *Device) After(hooks ...Hook) *Device {
	d.after = append(d.after, hooks...)
	return d
}

// Object builds the device's `device_keys` object.
func (d *Device) Object() map[string]any {
	return build(map[string]any{
		"user_id":    d.User.ID,
		"device_id":  d.ID,
		"algorithms": []string{OlmAlgorithm, MegolmAlgorithm},
		"keys": map[string]any{
			"curve25519:" + d.ID: d.Curve25519(),
			"ed25519:" + d.ID:    d.Ed25519(),
		},
	}, d.before, d.signatures, d.after)
}

// RoomKeyObject builds the decrypted Olm payload by which d sends session, at its current index, to a recipient device.
// The sender's device object is embedded as `sender_device_keys`; hooks change the payload.
func (d *Device) RoomKeyObject(to *Device, room string, session *Outbound, hooks ...Hook) map[string]any {
	payload := map[string]any{
		"type":               "m.room_key",
		"sender":             d.User.ID,
		"keys":               map[string]any{"ed25519": d.Ed25519()},
		"recipient":          to.User.ID,
		"recipient_keys":     map[string]any{"ed25519": to.Ed25519()},
		"sender_device_keys": d.Object(),
		"content": map[string]any{
			"algorithm":   MegolmAlgorithm,
			"room_id":     room,
			"session_id":  session.ID(),
			"session_key": session.SessionKey(),
		},
	}
	apply(payload, hooks)
	return payload
}

// RoomKey is RoomKeyObject as JSON.
func (d *Device) RoomKey(to *Device, room string, session *Outbound, hooks ...Hook) []byte {
	return JSON(d.RoomKeyObject(to, room, session, hooks...))
}

// Names of the embedded device object, before and after MSC4147 became part of the specification.
const (
	SenderDeviceKeys         = "sender_device_keys"
	UnstableSenderDeviceKeys = "org.matrix.msc4147.device_keys"
)

// WithoutDeviceKeys is a hook for RoomKey: the sender embeds no device object.
func WithoutDeviceKeys(payload map[string]any) { delete(payload, SenderDeviceKeys) }

// UnstableDeviceKeys is a hook for RoomKey: the device object comes under its unstable name.
func UnstableDeviceKeys(payload map[string]any) {
	payload[UnstableSenderDeviceKeys] = payload[SenderDeviceKeys]
	delete(payload, SenderDeviceKeys)
}

// SharedHistory is a hook for RoomKey: the session may be shared with people who join later. matrix-js-sdk writes it so.
func SharedHistory(payload map[string]any) {
	In("content", Set("m.shared_history", true))(payload)
}

// UnstableSharedHistory is SharedHistory under its name before it was part of the specification (MSC3061).
func UnstableSharedHistory(payload map[string]any) {
	In("content", Set("org.matrix.msc3061.shared_history", true))(payload)
}

// EventObject builds an m.room.encrypted event around plaintext, encrypted at the session's next index.
func (d *Device) EventObject(room string, session *Outbound, plaintext []byte, hooks ...Hook) map[string]any {
	ciphertext := session.Encrypt(plaintext)
	id := sha256.Sum256([]byte(ciphertext))
	event := map[string]any{
		"type":             "m.room.encrypted",
		"event_id":         "$" + base64.RawURLEncoding.EncodeToString(id[:]),
		"sender":           d.User.ID,
		"origin_server_ts": 1795444461263 + int64(session.Index()),
		"room_id":          room,
		"content": map[string]any{
			"algorithm":  MegolmAlgorithm,
			"session_id": session.ID(),
			"ciphertext": ciphertext,
			"sender_key": d.Curve25519(),
			"device_id":  d.ID,
		},
	}
	apply(event, hooks)
	return event
}

// RoomEvent is EventObject as JSON.
func (d *Device) RoomEvent(room string, session *Outbound, plaintext []byte, hooks ...Hook) []byte {
	return JSON(d.EventObject(room, session, plaintext, hooks...))
}

// Message is a RoomEvent with a text message in it.
func (d *Device) Message(room string, session *Outbound, body string, hooks ...Hook) []byte {
	return d.RoomEvent(room, session, JSON(map[string]any{
		"type":    "m.room.message",
		"room_id": room,
		"content": map[string]any{"msgtype": "m.text", "body": body},
	}), hooks...)
}

// ExportEntry builds the entry of a key export or backup for session from index on, claiming d as its sender.
func (d *Device) ExportEntry(room string, session *Outbound, index uint32, hooks ...Hook) map[string]any {
	entry := map[string]any{
		"algorithm":                       MegolmAlgorithm,
		"room_id":                         room,
		"session_id":                      session.ID(),
		"session_key":                     session.ExportedAt(index),
		"sender_key":                      d.Curve25519(),
		"sender_claimed_keys":             map[string]any{"ed25519": d.Ed25519()},
		"forwarding_curve25519_key_chain": []string{},
	}
	apply(entry, hooks)
	return entry
}
