package record

// Reading ids and keys: as strictly as at the edge, each once. An id or key that may be left out is written as an empty one.

import (
	"knownsender/core/ids"
	"knownsender/core/keys"
)

func (u *unpacker) user(what string) ids.UserID {
	text := u.text(what)
	if text == "" {
		return ""
	}
	user, err := ids.ParseUserID(text)
	if err != nil {
		u.fail(what+" has a bad user id", err)
	}
	return user
}

func (u *unpacker) device(what string) ids.DeviceID {
	text := u.text(what)
	if text == "" {
		return ""
	}
	device, err := ids.ParseDeviceID(text)
	if err != nil {
		u.fail(what+" has a bad device id", err)
	}
	return device
}

func (u *unpacker) ed25519(what string) keys.Ed25519 {
	key := keys.Ed25519(u.key(what))
	if key != (keys.Ed25519{}) {
		// The parser of the edge is the only judge of keys, and it reads text.
		if _, err := keys.ParseEd25519(key.String()); err != nil {
			u.fail(what+" has a bad key", err)
			return keys.Ed25519{}
		}
	}
	return key
}

func (u *unpacker) curve25519(what string) keys.Curve25519 {
	key := keys.Curve25519(u.key(what))
	if key != (keys.Curve25519{}) {
		if _, err := keys.ParseCurve25519(key.String()); err != nil {
			u.fail(what+" has a bad key", err)
			return keys.Curve25519{}
		}
	}
	return key
}
