package policy

import (
	"knownsender/core/ids"
	"knownsender/core/sender"
)

// row is what the table says of one state. shown has a column for each TrustRequirement; lax and strict are what to warn of when it is
// shown, and what may be said of it when it is not.
type row struct {
	shown  [Requirements]bool
	code   string
	lax    Shield
	strict Shield
	level  Level // how matrix-sdk-crypto calls the state, where it has a name for it
}

const (
	show = true
	hide = false
)

var noShield = Shield{}

func grey(code string) Shield { return Shield{Color: ShieldGrey, Code: code} }
func red(code string) Shield  { return Shield{Color: ShieldRed, Code: code} }

// table is the policy. Reading a row from left to right, shown can only turn from show to hide: each requirement shows no more than the one
// before (I10).
//
// Two rows are stricter than the texts they come from. A verification violation counts as a known sender in the oldest of them and is
// withheld by all but Untrusted here, as by today's matrix-sdk-crypto; and so is a mismatched sender, legacy or not. The one row that is
// milder than matrix-sdk-crypto's: a legacy key is shown with a grey shield even when its device is known and not cross-signed, for its
// history was readable before.
var table = [states]row{
	//                              Untrusted  CrossSignedOrLegacy  CrossSigned  Verified
	StateSenderVerified:        {[...]bool{show, show, show, show}, "", noShield, noShield, LevelVerified},
	StateSenderUnverified:      {[...]bool{show, show, show, hide}, CodeUnverifiedIdentity, noShield, red(ShieldUnverifiedIdentity), LevelUnverifiedIdentity},
	StateVerificationViolation: {[...]bool{show, hide, hide, hide}, CodeVerificationViolation, red(ShieldVerificationViolation), red(ShieldUnverifiedIdentity), LevelVerificationViolation},
	StateDeviceInfo:            {[...]bool{show, hide, hide, hide}, CodeUnsignedDevice, red(ShieldUnsignedDevice), red(ShieldUnverifiedIdentity), LevelUnsignedDevice},
	StateDeviceInfoLegacy:      {[...]bool{show, show, hide, hide}, CodeUnsignedDevice, grey(ShieldAuthenticityNotGuaranteed), red(ShieldUnverifiedIdentity), LevelUnsignedDevice},
	StateUnknownDevice:         {[...]bool{show, hide, hide, hide}, CodeUnknownDevice, red(ShieldUnknownDevice), red(ShieldUnknownDevice), LevelMissingDevice},
	StateUnknownDeviceLegacy:   {[...]bool{show, show, hide, hide}, CodeUnknownDevice, grey(ShieldAuthenticityNotGuaranteed), red(ShieldUnknownDevice), LevelMissingDevice},
	StateInsecureSource:        {[...]bool{show, hide, hide, hide}, CodeAuthenticityNotGuaranteed, grey(ShieldAuthenticityNotGuaranteed), red(ShieldAuthenticityNotGuaranteed), LevelInsecureSource},
	StateInsecureSourceLegacy:  {[...]bool{show, show, hide, hide}, CodeAuthenticityNotGuaranteed, grey(ShieldAuthenticityNotGuaranteed), red(ShieldAuthenticityNotGuaranteed), LevelInsecureSource},
	StateForwarded:             {[...]bool{show, show, hide, hide}, CodeAuthenticityNotGuaranteed, grey(ShieldAuthenticityNotGuaranteed), red(ShieldAuthenticityNotGuaranteed), LevelInsecureSource},
	StateForwarderViolation:    {[...]bool{show, hide, hide, hide}, CodeForwarderViolation, red(ShieldAuthenticityNotGuaranteed), red(ShieldAuthenticityNotGuaranteed), LevelInsecureSource},
	StateMismatchedSender:      {[...]bool{show, hide, hide, hide}, CodeMismatchedSender, red(ShieldMismatchedSender), red(ShieldMismatchedSender), LevelMismatchedSender},

	// What follows is shown by nobody, so there is nothing to warn of.
	StateSuspended:    {code: CodeTampered},
	StateTampered:     {code: CodeTampered},
	StateReplayed:     {code: CodeReplayed},
	StateWrongRoom:    {code: CodeWrongRoom},
	StateBadSender:    {code: CodeBadSender},
	StateWithheld:     {code: CodeWithheld},
	StateUnknownIndex: {code: CodeUnknownIndex},
	StateNoKey:        {code: CodeNoKey},
}

// Lookup reads one cell of the table.
func Lookup(state State, requirement TrustRequirement) Verdict {
	r := &table[state]
	v := Verdict{State: state, Shown: requirement < Requirements && r.shown[requirement], Shield: r.lax, Strict: r.strict}
	if !v.Shown || r.lax != noShield {
		v.Code = r.code
	}
	return v
}

// StateOf is the row a copy puts an event of eventSender in, the copy taken by itself, whoever handed it over being in order.
func StateOf(c *sender.Copy, eventSender ids.UserID) State {
	if c.Suspended {
		return StateSuspended
	}
	if owner, known := c.Owner(); known && owner != eventSender {
		return StateMismatchedSender
	}
	switch c.Current.Kind {
	case sender.SenderVerified:
		return StateSenderVerified
	case sender.SenderUnverified:
		return StateSenderUnverified
	case sender.VerificationViolation:
		return StateVerificationViolation
	case sender.DeviceInfo:
		return legacy(c, StateDeviceInfo, StateDeviceInfoLegacy)
	}
	if c.Forwarder != nil {
		return StateForwarded
	}
	if c.InsecureSource() {
		return legacy(c, StateInsecureSource, StateInsecureSourceLegacy)
	}
	return legacy(c, StateUnknownDevice, StateUnknownDeviceLegacy)
}

func legacy(c *sender.Copy, no, yes State) State {
	if c.Legacy {
		return yes
	}
	return no
}

// Level is how matrix-sdk-crypto calls the state; LevelNone where it has no name for it.
func (s State) Level() Level { return table[s].level }
