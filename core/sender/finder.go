package sender

import (
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/trust"
)

// The finder. Steps A to J are those of the plan this design goes back to; the ownership check came into it at D.
//
//	A  gate ----------------- refused: nothing is kept (gate.go)
//	|
//	B  which device? -------- none ------------------------------------------> C  UnknownDevice, waits for the sender's devices
//	|
//	|  The device embedded in the payload, the one stored for (sender, channel's key), or both. With both, each walks
//	|  on by itself, and the better end counts.
//	|
//	D  is it the owner? ----- other keys: stored alone: refused on reception, passed over when judged again
//	|                                     stored beside embedded: passed over
//	|
//	E  owner's identity? ---- unknown ---------------------------------------> F  DeviceInfo, waits for the identity
//	|
//	G  whose signature? ----- none, or by a key that is not the current one -> G  DeviceInfo, waits for another signature
//	|
//	H  does it hold? -------- no: embedded ----------------------------------> H  discarded, a tombstone remains
//	|                         no: stored ------------------------------------> H  DeviceInfo, suspended
//	|
//	J  do we know the user? - verified now ----------------------------------> J  SenderVerified
//	                          not now, but once -----------------------------> J  VerificationViolation
//	                          never -----------------------------------------> J  SenderUnverified
//
// Up to H nothing needs an answer from outside: Prepare gets as far as that and lists the signatures to check.
type Finder struct {
	remembered remembered
}

// NewFinder returns a Finder that remembers nothing yet. It is not safe for concurrent use.
func NewFinder() *Finder { return &Finder{} }

// ownership is the pair of keys that own a session: the Olm channel's, and the one the payload names. A device is the sender if it has
// both. One alone proves nothing: Mallory may publish Alice's Curve25519 key as her own, or name Alice's Ed25519 key in her payload.
type ownership struct {
	user    ids.UserID
	curve   keys.Curve25519
	ed25519 keys.Ed25519
}

func (o *ownership) of(device *trust.Device) bool {
	return device.Curve25519 == o.curve && device.Ed25519 == o.ed25519
}

// view is what was known of the sender at one moment. It is a copy: what happens afterwards does not reach a walk that has begun.
type view struct {
	identity     trust.Identity
	hasIdentity  bool
	verification trust.Verification
	stored       trust.Device
	hasStored    bool
}

// look takes the view of index for an owner. embeddedID is the id of the embedded device, "" when there is none: the stored copy of that
// very device is preferred.
func look(index *trust.Index, owner *ownership, embeddedID ids.DeviceID) view {
	var v view
	v.identity, v.hasIdentity = index.Identity(owner.user)
	v.verification = index.Verification(owner.user)
	if embeddedID != "" {
		if v.stored, v.hasStored = index.Device(owner.user, embeddedID); v.hasStored && owner.of(&v.stored) {
			return v
		}
	}
	v.stored, v.hasStored = index.DeviceByCurve(owner.user, owner.curve)
	if v.hasStored && !owner.of(&v.stored) {
		// A server can list the same key again under another id, with an Ed25519 key of its own making. That must not hide the device
		// which does own the session.
		for device := range index.Devices(owner.user) {
			if owner.of(&device) {
				v.stored = device
				break
			}
		}
	}
	return v
}

// walk is one way through the finder.
type walk struct {
	owner    ownership
	view     view
	embedded *embedded
	trace    []Step

	cross trust.CrossSignature // of the embedded device, Unchecked until the check is answered
	check keys.Check           // to be answered when cross is Unchecked
}

// end is where one description of the device led.
type end struct {
	data    Data
	outcome Outcome
	step    byte
	word    string
}

// note adds a step to the trace.
func (w *walk) note(letter byte, device, word string) {
	w.trace = append(w.trace, Step{Letter: letter, Device: device, Word: word})
}

// begin takes steps A and B, and finds out which signature step H will ask for.
func (w *walk) begin(word string) {
	w.trace = make([]Step, 0, 8)
	w.note('A', "", word)
	switch {
	case w.embedded != nil && w.view.hasStored:
		w.note('B', "", WordEmbeddedAndStored)
	case w.embedded != nil:
		w.note('B', "", WordEmbedded)
	case w.view.hasStored:
		w.note('B', "", WordStored)
	default:
		w.note('B', "", WordNoDevice)
	}
	if w.embedded != nil && w.view.hasIdentity {
		w.check, w.cross = w.embedded.crossSignature(w.view.identity.SelfSigning)
	}
}

// pending reports whether step H waits for an answer.
func (w *walk) pending() bool { return w.cross == trust.CrossSignatureUnchecked }

// finish takes the steps from C or D on. found is false when the only device there is does not own the session: nobody can say then who
// sent the key.
func (w *walk) finish() (finding Finding, found bool) {
	best, have := end{}, false
	if w.embedded != nil {
		best, have = w.follow(DeviceEmbedded, w.embedded.keys.DeviceID, w.cross), true
	}
	// What the sender's own message proves false is not put right by what a server says; and what came as far as J has come as far as the
	// stored description could.
	if w.view.hasStored && best.outcome != Discard && best.step != 'J' {
		switch {
		case !w.owner.of(&w.view.stored):
			w.note('D', DeviceStored, WordMismatchedIdentityKeys)
			if !have {
				return Finding{Step: 'D', Reason: WordMismatchedIdentityKeys, Trace: w.trace}, false
			}
		case w.view.stored.Dehydrated:
			w.note('D', DeviceStored, WordDehydratedDevice)
		default:
			if other := w.follow(DeviceStored, w.view.stored.DeviceID, w.view.stored.CrossSigned); !have || other.better(&best) {
				best, have = other, true
			}
		}
	}
	if !have {
		best = end{step: 'C', word: WordWaitsForDevice}
		w.note('C', "", WordWaitsForDevice)
	}
	return Finding{Data: best.data, Outcome: best.outcome, Step: best.step, Reason: best.word, Trace: w.trace, Resolved: best.data.Kind.Known()}, true
}

// better reports whether e is the better of two ends: kept rather than suspended, then by rank.
func (e *end) better(than *end) bool {
	if e.outcome != than.outcome {
		return e.outcome < than.outcome
	}
	return e.data.Kind > than.data.Kind
}

// follow takes the steps D to J for one description of the device, of which it is known that it has both keys.
func (w *walk) follow(device string, id ids.DeviceID, cross trust.CrossSignature) end {
	w.note('D', device, WordOwner)
	info := Data{Kind: DeviceInfo, UserID: w.owner.user, DeviceID: id}
	stop := func(letter byte, word string, outcome Outcome) end {
		w.note(letter, device, word)
		return end{data: info, outcome: outcome, step: letter, word: word}
	}
	if !w.view.hasIdentity {
		w.note('E', device, WordIdentityUnknown)
		return stop('F', WordWaitsForIdentity, Keep)
	}
	w.note('E', device, WordIdentityKnown)
	switch cross {
	case trust.CrossSignatureAbsent:
		return stop('G', WordNotCrossSigned, Keep)
	case trust.CrossSignatureOtherKey:
		return stop('G', WordSignedByOtherKey, Keep)
	}
	w.note('G', device, WordSignedByCurrent)
	if cross != trust.CrossSignatureValid {
		if device == DeviceEmbedded {
			// Inside the sender's own Olm message: nobody else can have put it there.
			return stop('H', WordEmbeddedForgery, Discard)
		}
		// The server's word. It must not own a button that deletes keys which cannot be had again.
		return stop('H', WordPublishedForgery, Suspend)
	}
	w.note('H', device, WordSignatureHolds)
	known := Data{UserID: w.owner.user, DeviceID: id, MasterKey: w.view.identity.Master}
	var word string
	known.Kind, word = standing(w.view.verification)
	w.note('J', device, word)
	return end{data: known, step: 'J', word: word}
}

// standing is step J: what a cross-signed device's user is to us. A master key that changed before we verified anybody is no violation; the
// copy keeps the key it came under, so that a client can notice.
func standing(v trust.Verification) (Kind, string) {
	switch v {
	case trust.Verified:
		return SenderVerified, WordVerified
	case trust.Violation:
		return VerificationViolation, WordViolation
	}
	return SenderUnverified, WordUnverified
}
