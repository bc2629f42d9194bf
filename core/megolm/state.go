package megolm

// The stored form of a session: the ratchet it starts with, its public key and whether it came signed.
//
//	0       4         132          164      165
//	| index | ratchet | public key | signed |
const stateLength = 4 + ratchetLength + 32 + 1

// AppendState appends the session's stored form, 165 bytes, to dst. It is secret.
func (s *InboundSession) AppendState(dst []byte) []byte {
	dst = s.first.append(dst)
	dst = append(dst, s.id[:]...)
	if s.signed {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// ParseState reads what AppendState wrote and nothing else. The error is a *StateError, bad_session_state.
func ParseState(b []byte) (*InboundSession, error) {
	if len(b) != stateLength {
		return nil, &StateError{Code: CodeBadSessionState, Expected: stateLength, Got: len(b)}
	}
	id, err := sessionIDOf(b[4+ratchetLength:])
	signed := b[stateLength-1]
	if err != nil || signed > 1 {
		return nil, &StateError{Code: CodeBadSessionState}
	}
	return newInboundSession(id, parseRatchet(b[:4+ratchetLength]), signed == 1), nil
}
