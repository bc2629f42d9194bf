package core

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/record"
	"knownsender/core/signedjson"
	"knownsender/core/store"
	"knownsender/core/trust"
)

// Olm messages to other devices. What is sealed is durable in the channels before it is given away, so no message key is used twice; and every message
// brings our own device keys along, so that whoever gets it knows at once whose it is (MSC4147).

// Codes of SealingError.
const (
	CodeUnknownDevice = "unknown_device" // no device of that user and id is known
	CodeBadContent    = "bad_content"    // the content is no JSON object, or the type no event type
)

// SealingError says why an event cannot be encrypted for a device.
type SealingError struct {
	Code  string
	cause error
}

// Error is a sentence.
func (e *SealingError) Error() string {
	if e.Code == CodeUnknownDevice {
		return "there is no such device, as far as is known"
	}
	return "the event is no event: its content has to be a JSON object, and its type a text"
}

// ErrorCode is the stable name of what went wrong.
func (e *SealingError) ErrorCode() string { return e.Code }

// Unwrap is the error of the room below, if one refused something.
func (e *SealingError) Unwrap() error { return e.cause }

// EncryptToDeviceEvent encrypts an event for one device: the content of an m.room.encrypted to-device event (specification,
// "m.olm.v1.curve25519-aes-sha2"). With a Fetcher it claims a one-time key where there is no session; without one that is what MissingSessions is for. The
// session is durable before it returns. Errors: *SealingError, *olm.Error no_olm_session or bad_olm_plaintext, *AccountError no_account, and those of
// the store.
func (m *Machine) EncryptToDeviceEvent(ctx context.Context, user ids.UserID, id ids.DeviceID, eventType string, content []byte) ([]byte, error) {
	m.turn.Lock()
	defer m.leave()
	a, err := m.ownAccount()
	if err != nil {
		return nil, err
	}
	device, known := m.trust.Device(user, id)
	if !known {
		return nil, &SealingError{Code: CodeUnknownDevice}
	}
	if _, err := signedjson.Parse(content); err != nil || eventType == "" {
		return nil, &SealingError{Code: CodeBadContent, cause: err}
	}
	if m.lanes.fetcher != nil {
		if err := a.claimMissing(ctx, []trust.Device{device}); err != nil {
			return nil, err
		}
	}
	var sealed []byte
	err = a.carry(ctx, func() (*record.Account, []store.Op, error) {
		set, err := m.readChannels(ctx, []keys.Curve25519{device.Curve25519})
		if err == nil {
			sealed, err = a.seal(set, &device, eventType, content)
		}
		return nil, set.ops(), err
	})
	if err != nil { // what may not be durable is not given away
		return nil, err
	}
	return sealed, nil
}

// seal encrypts an event for a device of the set: the content of m.room.encrypted. Errors are *olm.Error, no_olm_session or bad_olm_plaintext.
func (a *ownAccount) seal(set channelSet, to *trust.Device, eventType string, content []byte) ([]byte, error) {
	channels := set.with[to.Curve25519]
	kind, body, next, err := channels.Encrypt(a.payload(to.UserID, to.Ed25519, eventType, content))
	if err != nil {
		return nil, err
	}
	channels.moveOn(next)
	dst := signedjson.AppendString(signedjson.AppendName([]byte{'{'}, "algorithm"), olmAlgorithm)
	dst = append(signedjson.AppendName(dst, "ciphertext"), '{')
	dst = append(signedjson.AppendName(dst, to.Curve25519.String()), '{')
	dst = signedjson.AppendString(signedjson.AppendName(dst, "body"), body)
	dst = append(signedjson.AppendInt(signedjson.AppendName(dst, "type"), int64(kind)), "}}"...)
	return append(signedjson.AppendString(signedjson.AppendName(dst, "sender_key"), a.Curve25519().String()), '}'), nil
}

// payload is what is encrypted for a device with that fingerprint key.
func (a *ownAccount) payload(recipient ids.UserID, fingerprint keys.Ed25519, eventType string, content []byte) []byte {
	own := a.own()
	key := func(dst []byte, name string, key keys.Ed25519) []byte {
		return append(appendText(append(signedjson.AppendName(dst, name), '{'), "ed25519", key.String()), '}')
	}
	dst := append(signedjson.AppendName([]byte{'{'}, "content"), content...)
	dst = key(dst, "keys", own.Ed25519)
	dst = appendText(dst, "recipient", string(recipient))
	dst = key(dst, "recipient_keys", fingerprint)
	dst = appendText(dst, "sender", string(own.UserID))
	dst = append(signedjson.AppendName(dst, "sender_device_keys"), a.deviceKeys()...)
	return append(appendText(dst, "type", eventType), '}')
}

// appendText appends a member that is a text.
func appendText(dst []byte, name, value string) []byte {
	return signedjson.AppendString(signedjson.AppendName(dst, name), value)
}

// addressed is what a request has for a device, JSON: the content of a to-device event, say.
type addressed struct {
	to      *trust.Device
	content []byte
}

// appendAddressed appends a member with what there is for each device, by user and device. It orders the list.
func appendAddressed(dst []byte, name string, list []addressed) []byte {
	slices.SortStableFunc(list, func(a, b addressed) int { return cmp.Compare(a.to.UserID, b.to.UserID) })
	dst = append(signedjson.AppendName(dst, name), '{')
	for i, one := range list {
		if i == 0 || list[i-1].to.UserID != one.to.UserID {
			dst = append(signedjson.AppendName(dst, string(one.to.UserID)), '{')
		}
		dst = append(signedjson.AppendName(dst, string(one.to.DeviceID)), one.content...)
		if i == len(list)-1 || list[i+1].to.UserID != one.to.UserID {
			dst = append(dst, '}')
		}
	}
	return append(dst, '}')
}

// newToDevice is the request that sends each its content (specification, "Send-to-Device messaging"). It orders the messages.
func newToDevice(eventType string, messages []addressed) lane.Request {
	id := rand.Text()
	return lane.Request{ID: id, Type: lane.ToDevice, Target: eventType + "/" + id, Body: append(appendAddressed([]byte{'{'}, "messages", messages), '}')}
}
