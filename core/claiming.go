package core

import (
	"context"
	"errors"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/olm"
	"knownsender/core/record"
	"knownsender/core/signedjson"
	"knownsender/core/store"
	"knownsender/core/trust"
)

// One-time keys are claimed from the server to begin Olm sessions with. A key counts only if the device it is for has signed it, whatever the server
// says of it; a device without such a key is left alone for a while, so that not every message asks for it again.

// CodeBadClaim: this is not the answer to a /keys/claim.
const CodeBadClaim = "bad_claim"

// ClaimError says that an answer to a /keys/claim cannot be used at all. What is wrong with the key of one device costs only that device.
type ClaimError struct{ cause error }

// Error is a sentence.
func (e *ClaimError) Error() string { return "this is not the answer to a claim of one-time keys" }

// ErrorCode is bad_claim.
func (e *ClaimError) ErrorCode() string { return CodeBadClaim }

// Unwrap is the error of the room below.
func (e *ClaimError) Unwrap() error { return e.cause }

const (
	// claimPart is how many sessions are begun in one batch: each costs five key agreements.
	claimPart = 16
	// claimTimeout is how long the server may wait for other servers, in milliseconds; within the budget of a request.
	claimTimeout = 8_000
	// maxKeylessTries is after how many tries in vain a device is left alone for no longer than the time before: a quarter of an hour.
	maxKeylessTries = 7
)

// claim is what a /keys/claim asks for.
type claim struct {
	devices []trust.Device
	mends   bool // there are sessions, and they broke: see mending.go
}

// MissingSessions is the request that claims one-time keys of those devices of the users with whom there is no Olm session; nil when there is one with
// all of them. It stays among OutgoingRequests until it is answered, or MissingSessions called again. Errors: *AccountError no_account, and those of the
// store.
func (m *Machine) MissingSessions(ctx context.Context, users []ids.UserID) (*lane.Request, error) {
	m.turn.Lock()
	defer m.leave()
	a, err := m.ownAccount()
	if err != nil {
		return nil, err
	}
	var devices []trust.Device
	for _, user := range users {
		for device := range m.trust.Devices(user) {
			devices = append(devices, device)
		}
	}
	missing, err := a.missing(ctx, devices)
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	return &a.postClaim(missing, false).Request, nil
}

// claimMissing claims, through the Fetcher, one-time keys of those of the devices with whom there is no session, and begins sessions. Those the server
// has no key of are not an error: there is still no session with them.
func (a *ownAccount) claimMissing(ctx context.Context, devices []trust.Device) error {
	missing, err := a.missing(ctx, devices)
	if err != nil || len(missing) == 0 {
		return err
	}
	return a.machine.deliver(ctx, a.postClaim(missing, false))
}

// missing are those of the devices with whom there is no session and whose keys may be asked for again, without this one.
func (a *ownAccount) missing(ctx context.Context, devices []trust.Device) (missing []trust.Device, err error) {
	m := a.machine
	own, now := m.trust.Own(), m.now()
	set, err := m.readChannels(ctx, curvesOf(devices))
	if err != nil {
		return nil, err
	}
	for _, device := range devices {
		if device.Curve25519 != own.Curve25519 && len(set.with[device.Curve25519].Sessions()) == 0 && a.keyless[device.Curve25519].Due(now) {
			missing = append(missing, device)
		}
	}
	return missing, nil
}

// postClaim puts a claim on the list. One for missing sessions takes the place of the last that was not answered: what that asked for is asked for
// again where it is still missing.
func (a *ownAccount) postClaim(devices []trust.Device, mends bool) *outgoing {
	c := &claim{devices: devices, mends: mends}
	wanted := make([]addressed, len(devices))
	for i := range devices {
		wanted[i] = addressed{&devices[i], signedjson.AppendString(nil, signedCurve25519)}
	}
	body := appendAddressed([]byte{'{'}, "one_time_keys", wanted)
	body = append(signedjson.AppendInt(signedjson.AppendName(body, "timeout"), claimTimeout), '}')
	if last := a.claiming; last != nil && !mends && last.sending == nil {
		last.done(a.machine)
	}
	o := a.machine.post(lane.Request{Type: lane.KeysClaim, Body: body}, func(ctx context.Context, answer []byte) error {
		return a.claimed(ctx, c, answer)
	})
	if !mends {
		a.claiming = o
	}
	return o
}

// claimed takes the answer to a claim over.
func (a *ownAccount) claimed(ctx context.Context, c *claim, answer []byte) error {
	m := a.machine
	offered, err := parseClaimed(answer, c.devices)
	if err != nil {
		return err
	}
	checks := make([]keys.Check, len(offered))
	for i := range offered {
		checks[i] = offered[i].check
	}
	held, err := m.verifier.Verify(ctx, checks)
	if err != nil {
		return err
	}
	got := map[keys.Curve25519]bool{}
	fresh := offered[:0]
	for i, offer := range offered {
		if held[i] && !got[offer.device.Curve25519] {
			got[offer.device.Curve25519] = true
			fresh = append(fresh, offer)
		}
	}
	for len(fresh) > 0 {
		part := fresh[:min(claimPart, len(fresh))]
		fresh = fresh[len(part):]
		if err := a.begin(ctx, part, c.mends); err != nil {
			return err
		}
	}
	for _, device := range c.devices {
		if c.mends {
			delete(a.mending, device.Curve25519)
		}
		if got[device.Curve25519] {
			delete(a.keyless, device.Curve25519)
			continue
		}
		if len(a.keyless) >= maxVain { // forgetting costs a claim too many
			clear(a.keyless)
		}
		last := a.keyless[device.Curve25519]
		last.Tries = min(last.Tries, maxKeylessTries) // it gets no room key while it is left alone, and nobody says when there are keys again
		a.keyless[device.Curve25519] = last.After(m.now(), 0, m.lanes.jitter())
	}
	return nil
}

// offer is a one-time key of a device, and the signature to check.
type offer struct {
	device trust.Device
	key    keys.Curve25519
	check  keys.Check
}

// parseClaimed reads the keys of the devices that were asked for; of each at most one, and none that is out of form. Error: *ClaimError.
func parseClaimed(raw []byte, devices []trust.Device) (offered []offer, err error) {
	answer, err := signedjson.ParseLimit(raw, trust.DefaultLimits.Bytes)
	if err != nil {
		return nil, &ClaimError{err}
	}
	users, err := answer.Object("one_time_keys")
	if err != nil {
		return nil, &ClaimError{err}
	}
	for _, device := range devices {
		if offer, err := readOffer(users, device); err == nil {
			offered = append(offered, offer)
		}
	}
	return offered, nil
}

func readOffer(users *signedjson.Object, device trust.Device) (o offer, err error) {
	o.device = device
	of, err := users.Object(string(device.UserID))
	if err == nil {
		of, err = of.Object(string(device.DeviceID))
	}
	if err != nil {
		return o, err
	}
	var key *signedjson.Object
	err = errNoOneTimeKey
	of.Range(func(name string, _ jsontext.Value) bool {
		if strings.HasPrefix(name, signedCurve25519+":") {
			key, err = of.Object(name)
			return false
		}
		return true
	})
	if err != nil {
		return o, err
	}
	text, err := key.String("key")
	if err != nil {
		return o, err
	}
	if o.key, err = keys.ParseCurve25519(text); err != nil {
		return o, err
	}
	signature, presence, err := key.Signature(device.UserID, "ed25519:"+string(device.DeviceID))
	if err != nil || presence != signedjson.Present {
		return o, errors.Join(err, errNoOneTimeKey)
	}
	message, err := key.SignedBytes()
	o.check = keys.Check{Key: device.Ed25519, Signature: signature, Message: message}
	return o, err
}

var errNoOneTimeKey = errors.New("no one-time key that the device has signed")

// begin begins a session with each key, where there is none yet. Where it mends, the other side hears of it by an empty message.
func (a *ownAccount) begin(ctx context.Context, with []offer, mends bool) error {
	m := a.machine
	var messages []addressed
	err := a.carry(ctx, func() (*record.Account, []store.Op, error) {
		wanted := make([]keys.Curve25519, len(with))
		for i := range with {
			wanted[i] = with[i].device.Curve25519
		}
		set, err := m.readChannels(ctx, wanted)
		if err != nil {
			return nil, nil, err
		}
		messages, err = a.beginOver(ctx, set, with, mends)
		return nil, set.ops(), err
	})
	if err == nil && len(messages) > 0 {
		m.post(newToDevice("m.room.encrypted", messages), func(context.Context, []byte) error { return nil })
		m.deliverDue()
	}
	return err
}

// beginOver begins sessions over the channels of a set, all keys agreed in one go, and returns the messages that tell of them where it mends.
func (a *ownAccount) beginOver(ctx context.Context, set channelSet, with []offer, mends bool) (messages []addressed, err error) {
	m := a.machine
	var exchanges []keys.Exchange
	defer func() { clear(exchanges) }()
	begun := make([]*olm.Outbound, len(with))
	each := 0
	// The answer may have been taken over in part before, and a one-time key is good for one session. Two users may list one key.
	over := func(channels *openChannels) bool {
		return mends && channels.mended(m.now()) || !mends && len(channels.Sessions()) > 0
	}
	for i := range with {
		device := &with[i].device
		if over(set.with[device.Curve25519]) {
			continue
		}
		if begun[i], err = a.PrepareOutbound(device.Curve25519, with[i].key); err != nil {
			return nil, err
		}
		needed := begun[i].Exchanges()
		each = len(needed)
		exchanges = append(exchanges, needed...)
	}
	if len(exchanges) == 0 {
		return nil, nil
	}
	secrets, err := m.agreed(ctx, exchanges)
	if err != nil {
		return nil, err
	}
	for i, outbound := range begun {
		if outbound == nil {
			continue
		}
		own := secrets[:each]
		secrets = secrets[each:]
		device := &with[i].device
		channels := set.with[device.Curve25519]
		if over(channels) {
			continue
		}
		channels.moveOn(channels.Add(outbound.Begin(own)))
		if !mends {
			continue
		}
		channels.MendedAt = m.now()
		content, err := a.seal(set, device, "m.dummy", []byte("{}"))
		if err != nil {
			return nil, err
		}
		messages = append(messages, addressed{device, content})
	}
	return messages, nil
}
