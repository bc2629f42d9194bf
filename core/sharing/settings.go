package sharing

import "slices"

// Algorithm is the one algorithm that rooms are encrypted with here.
const Algorithm = "m.megolm.v1.aes-sha2"

// Rotation as it is when m.room.encryption says nothing of it, and the bounds of what it may say.
const (
	DefaultRotationPeriod   = 7 * 24 * 3600 * 1000 // milliseconds
	DefaultRotationMessages = 100

	minRotationPeriod   = 3600 * 1000
	maxRotationMessages = 10_000
)

// Visibility is the room's history visibility (specification, "Room history visibility").
type Visibility uint8

// The visibilities. Shared is what a room has that says nothing of it.
const (
	Shared Visibility = iota
	Invited
	Joined
	WorldReadable
)

var visibilityNames = [...]string{"shared", "invited", "joined", "world_readable"}

// String is the visibility as m.room.history_visibility has it.
func (v Visibility) String() string { return visibilityNames[v%4] }

// Strategy says which devices get our room keys. It never matters for our own sending device, which has them.
type Strategy uint8

const (
	// AllDevices: every device of everybody.
	AllDevices Strategy = iota
	// ErrorOnVerifiedUserProblem: as AllDevices, but nobody gets anything while somebody we verified has an unsigned device, or has another
	// identity than the one we verified.
	ErrorOnVerifiedUserProblem
	// IdentityBasedStrategy: devices that their owner's identity signed; nobody gets anything while somebody we verified has another identity than
	// that, or our own identity is missing or not verified here.
	IdentityBasedStrategy
	// OnlyTrustedDevices: devices signed by an identity that we verified.
	OnlyTrustedDevices
)

var strategyNames = [...]string{"AllDevices", "ErrorOnVerifiedUserProblem", "IdentityBasedStrategy", "OnlyTrustedDevices"}

// String is the name of the strategy in matrix-sdk-crypto.
func (s Strategy) String() string { return strategyNames[s%4] }

// Settings are how a room is encrypted, and for whom.
type Settings struct {
	RotationPeriod    int64  // milliseconds a session is used at most
	RotationMessages  uint32 // messages a session is used for at most
	HistoryVisibility Visibility
	Strategy          Strategy
}

// DefaultSettings are those of a room that says only that it is encrypted.
func DefaultSettings() Settings {
	return Settings{RotationPeriod: DefaultRotationPeriod, RotationMessages: DefaultRotationMessages}
}

// Clamped is s within the bounds: at least an hour, 1 to 10,000 messages. Whoever may write a room's state could ask for a new key with every
// message, or for none ever.
func (s Settings) Clamped() Settings {
	s.RotationPeriod = max(s.RotationPeriod, minRotationPeriod)
	s.RotationMessages = min(max(s.RotationMessages, 1), maxRotationMessages)
	return s
}

// SharedHistory says that whoever joins the room later may read what is sent now: the flag of MSC3061 in m.room_key.
func (s Settings) SharedHistory() bool {
	return s.HistoryVisibility == Shared || s.HistoryVisibility == WorldReadable
}

// CodeBadSettings: a name that is none.
const CodeBadSettings = "bad_encryption_settings"

// SettingsError says which member of a room's settings cannot be used.
type SettingsError struct {
	Code   string
	Member string // algorithm, historyVisibility or sharingStrategy
}

// ErrorCode is the stable name of what went wrong.
func (e *SettingsError) ErrorCode() string { return e.Code }

func (e *SettingsError) Error() string {
	return "the encryption settings have an unknown value, `" + e.Member + "`"
}

// ParseSettings is the settings with these names, and the default where one is empty or 0. The error is a *SettingsError.
func ParseSettings(algorithm string, period int64, messages uint32, visibility, strategy string) (Settings, error) {
	s := DefaultSettings()
	if algorithm != "" && algorithm != Algorithm {
		return Settings{}, &SettingsError{Code: CodeBadSettings, Member: "algorithm"}
	}
	if period != 0 {
		s.RotationPeriod = period
	}
	if messages != 0 {
		s.RotationMessages = messages
	}
	if visibility != "" {
		at := slices.Index(visibilityNames[:], visibility)
		if at < 0 {
			return Settings{}, &SettingsError{Code: CodeBadSettings, Member: "historyVisibility"}
		}
		s.HistoryVisibility = Visibility(at)
	}
	if strategy != "" {
		at := slices.Index(strategyNames[:], strategy)
		if at < 0 {
			return Settings{}, &SettingsError{Code: CodeBadSettings, Member: "sharingStrategy"}
		}
		s.Strategy = Strategy(at)
	}
	return s, nil
}
