package policy

// The codes of a Verdict: why an event is withheld, or what to warn of when it is shown.
const (
	CodeUnverifiedIdentity        = "unverified_identity"         // the sender's identity is not verified
	CodeVerificationViolation     = "verification_violation"      // it was verified, and is no longer the one that was
	CodeUnsignedDevice            = "unsigned_device"             // the sending device is not cross-signed
	CodeUnknownDevice             = "unknown_device"              // the sending device is not known
	CodeAuthenticityNotGuaranteed = "authenticity_not_guaranteed" // the key was restored or forwarded: who made it is hearsay
	CodeForwarderViolation        = "forwarder_violation"         // whoever handed the key over was verified, and is no longer the one that was
	CodeMismatchedSender          = "mismatched_sender"           // the key was made by another user than the event's sender
	CodeTampered                  = "tampered"                    // the key, or its device, came with a forged cross-signature
	CodeReplayed                  = "replayed"                    // another event had the same message index
	CodeWrongRoom                 = "wrong_room"                  // the plaintext is for another room
	CodeBadSender                 = "bad_sender"                  // the event's sender is not a user id
	CodeWithheld                  = "withheld"                    // the sender keeps the key from us
	CodeUnknownIndex              = "unknown_index"               // the key begins later in the session
	CodeNoKey                     = "no_key"                      // there is no key
)

// The codes of a Shield: matrix-sdk-crypto's ShieldStateCode.
const (
	ShieldAuthenticityNotGuaranteed = "AuthenticityNotGuaranteed"
	ShieldUnknownDevice             = "UnknownDevice"
	ShieldUnsignedDevice            = "UnsignedDevice"
	ShieldUnverifiedIdentity        = "UnverifiedIdentity"
	ShieldVerificationViolation     = "VerificationViolation"
	ShieldMismatchedSender          = "MismatchedSender"
)

// PeerNames are the names two other implementations have for one of ours. They are names only: the numbers behind them are the peers' own.
type PeerNames struct {
	Name            string // ours
	MatrixSDKCrypto string // DecryptionErrorCode of a withheld event, ShieldStateCode of a shield (matrix-sdk-crypto-wasm)
	MatrixJSSDK     string // DecryptionFailureCode of a withheld event, EventShieldReason of a shield (matrix-js-sdk)
}

// codeNames: peers that have no name for a reason answer with the nearest thing that makes a client do the right thing: do not show, do not
// ask for the key again. SenderNotVerified is ours: they have no requirement that asks for it.
var codeNames = []PeerNames{
	{CodeUnverifiedIdentity, "SenderNotVerified", "UNKNOWN_ERROR"},
	{CodeVerificationViolation, "SenderIdentityVerificationViolation", "SENDER_IDENTITY_PREVIOUSLY_VERIFIED"},
	{CodeUnsignedDevice, "UnsignedSenderDevice", "UNSIGNED_SENDER_DEVICE"},
	{CodeUnknownDevice, "UnknownSenderDevice", "UNKNOWN_SENDER_DEVICE"},
	{CodeAuthenticityNotGuaranteed, "UnknownSenderDevice", "UNKNOWN_SENDER_DEVICE"},
	{CodeForwarderViolation, "UnknownSenderDevice", "UNKNOWN_SENDER_DEVICE"},
	{CodeMismatchedSender, "MismatchedSender", "UNKNOWN_ERROR"},
	{CodeTampered, "UnableToDecrypt", "UNKNOWN_ERROR"},
	{CodeReplayed, "UnableToDecrypt", "UNKNOWN_ERROR"},
	{CodeWrongRoom, "UnableToDecrypt", "UNKNOWN_ERROR"},
	{CodeBadSender, "UnableToDecrypt", "UNKNOWN_ERROR"},
	{CodeWithheld, "MissingRoomKey", "MEGOLM_KEY_WITHHELD"},
	{CodeUnknownIndex, "UnknownMessageIndex", "OLM_UNKNOWN_MESSAGE_INDEX"},
	{CodeNoKey, "MissingRoomKey", "MEGOLM_UNKNOWN_INBOUND_SESSION_ID"},
}

var shieldNames = []PeerNames{
	{ShieldAuthenticityNotGuaranteed, ShieldAuthenticityNotGuaranteed, "AUTHENTICITY_NOT_GUARANTEED"},
	{ShieldUnknownDevice, ShieldUnknownDevice, "UNKNOWN_DEVICE"},
	{ShieldUnsignedDevice, ShieldUnsignedDevice, "UNSIGNED_DEVICE"},
	{ShieldUnverifiedIdentity, ShieldUnverifiedIdentity, "UNVERIFIED_IDENTITY"},
	{ShieldVerificationViolation, ShieldVerificationViolation, "VERIFICATION_VIOLATION"},
	{ShieldMismatchedSender, ShieldMismatchedSender, "MISMATCHED_SENDER"},
}

// CodeNames are the peers' names for a verdict's code.
func CodeNames(code string) (PeerNames, bool) { return find(codeNames, code) }

// ShieldNames are the peers' names for a shield's code.
func ShieldNames(code string) (PeerNames, bool) { return find(shieldNames, code) }

func find(list []PeerNames, name string) (PeerNames, bool) {
	for _, names := range list {
		if names.Name == name {
			return names, true
		}
	}
	return PeerNames{}, false
}
