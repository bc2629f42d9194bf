package sharing

import (
	"slices"

	"knownsender/core/ids"
	"knownsender/core/signedjson"
	"knownsender/core/trust"
)

// Codes of m.room_key.withheld (specification, "Reporting that decryption keys are withheld").
const (
	WithheldUnverified = "m.unverified"
	WithheldNoOlm      = "m.no_olm" // decided by whoever tries to reach the device
)

// Recipients is who gets a room key and who is told that it does not, each in the order of users and devices. Our own sending device is in neither.
type Recipients struct {
	Devices  []trust.Device
	Withheld []trust.Device // with the code m.unverified
}

// Collect says who of users gets a room key under a strategy. The error is a *RecipientsError; nobody gets it then.
func Collect(x *trust.Index, users []ids.UserID, strategy Strategy) (*Recipients, error) {
	own := x.Own()
	if strategy == IdentityBasedStrategy && !x.OwnVerified() {
		if _, known := x.Identity(own.UserID); !known {
			return nil, &RecipientsError{Code: CodeCrossSigningNotSetUp}
		}
		return nil, &RecipientsError{Code: CodeSendingFromUnverified}
	}
	users = slices.Clone(users)
	slices.Sort(users)
	r := &Recipients{}
	unsigned, changed := &RecipientsError{Code: CodeUnsignedDevice}, &RecipientsError{Code: CodeChangedIdentity}
	for _, user := range slices.Compact(users) {
		standing := x.Verification(user)
		if standing == trust.Violation && (strategy == ErrorOnVerifiedUserProblem || strategy == IdentityBasedStrategy) {
			changed.Users = append(changed.Users, UserDevices{UserID: user})
			continue
		}
		problem := UserDevices{UserID: user}
		for device := range x.Devices(user) {
			if user == own.UserID && device.DeviceID == own.DeviceID {
				continue
			}
			signed := device.CrossSigned == trust.CrossSignatureValid // and so the user has an identity
			if strategy == ErrorOnVerifiedUserProblem && standing == trust.Verified && !signed {
				problem.Devices = append(problem.Devices, device.DeviceID)
			}
			var gets bool
			switch strategy {
			case IdentityBasedStrategy:
				gets = signed
			case OnlyTrustedDevices:
				gets = signed && standing == trust.Verified
			default:
				// Nobody watches over a dehydrated device: it must be its owner's.
				gets = !device.Dehydrated || signed && standing != trust.Violation
			}
			if gets {
				r.Devices = append(r.Devices, device)
			} else {
				r.Withheld = append(r.Withheld, device)
			}
		}
		if problem.Devices != nil {
			unsigned.Users = append(unsigned.Users, problem)
		}
	}
	switch {
	case unsigned.Users != nil:
		return nil, unsigned
	case changed.Users != nil:
		return nil, changed
	}
	return r, nil
}

// Codes of RecipientsError. They are those of matrix-sdk-crypto's SessionRecipientCollectionError.
const (
	CodeUnsignedDevice        = "verified_user_has_unsigned_device" // Users names them and their unsigned devices
	CodeChangedIdentity       = "verified_user_changed_identity"    // Users names them
	CodeCrossSigningNotSetUp  = "cross_signing_not_set_up"          // we have no identity
	CodeSendingFromUnverified = "sending_from_unverified_device"    // our identity is not verified on this device
)

// RecipientsError says why nobody may get a room key under a strategy.
type RecipientsError struct {
	Code  string
	Users []UserDevices
}

// UserDevices is a user, and devices of that user where they matter.
type UserDevices struct {
	UserID  ids.UserID
	Devices []ids.DeviceID
}

// ErrorCode is the stable name of what went wrong.
func (e *RecipientsError) ErrorCode() string { return e.Code }

// ErrorDetail tells, as what came instead, whose fault it is: a JSON object of the users and their devices, empty when it is nobody's.
func (e *RecipientsError) ErrorDetail() (expected, got string) {
	if len(e.Users) == 0 {
		return "", ""
	}
	dst := []byte{'{'}
	for _, user := range e.Users {
		dst = append(signedjson.AppendName(dst, string(user.UserID)), '[')
		for i, device := range user.Devices {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = signedjson.AppendString(dst, string(device))
		}
		dst = append(dst, ']')
	}
	return "", string(append(dst, '}'))
}

func (e *RecipientsError) Error() string {
	switch e.Code {
	case CodeUnsignedDevice:
		return "a verified user has a device that the user did not sign"
	case CodeChangedIdentity:
		return "a user who was verified has another identity now"
	case CodeCrossSigningNotSetUp:
		return "cross-signing is not set up"
	}
	return "our own identity is not verified on this device"
}
