package megolm

import "knownsender/core/keys"

// ParseExportedSessionKey takes the `session_key` of a key export, a backup, a forwarded key or a history bundle and returns its
// session. Nobody signed it: whoever wrote it may have made it up, ratchet and public key both. The error is a *SessionKeyError:
// bad_session_key_base64, bad_session_key_length, bad_session_key_version or bad_session_key_public_key.
func ParseExportedSessionKey(text string) (*InboundSession, error) {
	var raw [exportLength]byte
	defer clear(raw[:])
	id, err := decodeKey(raw[:], text, exportVersion)
	if err != nil {
		return nil, err
	}
	return newInboundSession(id, parseRatchet(raw[ratchetStart:publicKeyStart]), false), nil
}

// ExportAt is the exported session key from index on, without any signature. The error is an *ExportError,
// unknown_message_index, when index lies before FirstKnownIndex.
func (s *InboundSession) ExportAt(index uint32) (string, error) {
	r, known := s.at(index)
	if !known {
		return "", &ExportError{Code: CodeUnknownMessageIndex, Expected: s.first.index, Got: index}
	}
	raw := make([]byte, 0, exportLength)
	raw = append(raw, exportVersion)
	raw = r.append(raw)
	raw = append(raw, s.id[:]...)
	text := string(keys.EncodeBase64(nil, raw))
	r.wipe()
	clear(raw)
	return text, nil
}
