package sharing

import (
	"math"
	"slices"
	"strconv"
)

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

// CodeBadSettings: a name that is none, or a number that is none.
const CodeBadSettings = "bad_encryption_settings"

// SettingsError says which member of a room's settings cannot be used.
type SettingsError struct {
	Code   string
	Member string // algorithm, rotationPeriod, rotationPeriodMessages, historyVisibility or sharingStrategy
}

// ErrorCode is the stable name of what went wrong.
func (e *SettingsError) ErrorCode() string { return e.Code }

func (e *SettingsError) Error() string {
	return "the encryption settings have a value that cannot be used, `" + e.Member + "`"
}

// ParseSettings is the settings of these texts, with the default where one is empty: names as String writes them, the period in milliseconds. The error is
// a *SettingsError.
func ParseSettings(algorithm, period, messages, visibility, strategy string) (Settings, error) {
	s := DefaultSettings()
	if algorithm != "" && algorithm != Algorithm {
		return Settings{}, &SettingsError{Code: CodeBadSettings, Member: "algorithm"}
	}
	s.RotationPeriod = parseNumber(period, s.RotationPeriod)
	count := parseNumber(messages, int64(s.RotationMessages))
	s.RotationMessages = uint32(min(count, math.MaxUint32))
	place := parseName(visibility, visibilityNames[:])
	s.HistoryVisibility = Visibility(place)
	other := parseName(strategy, strategyNames[:])
	s.Strategy = Strategy(other)
	switch {
	case s.RotationPeriod < 0:
		return Settings{}, &SettingsError{Code: CodeBadSettings, Member: "rotationPeriod"}
	case count < 0:
		return Settings{}, &SettingsError{Code: CodeBadSettings, Member: "rotationPeriodMessages"}
	case place < 0:
		return Settings{}, &SettingsError{Code: CodeBadSettings, Member: "historyVisibility"}
	case other < 0:
		return Settings{}, &SettingsError{Code: CodeBadSettings, Member: "sharingStrategy"}
	}
	return s, nil
}

// parseNumber reads a whole number, negative when it is none.
func parseNumber(text string, otherwise int64) int64 {
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// parseName is the place of a name, negative when it is none of them. The first is the default.
func parseName(text string, names []string) int {
	if text == "" {
		return 0
	}
	return slices.Index(names, text)
}
