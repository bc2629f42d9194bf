package megolm

import "fmt"

// What holds a ratchet or a plaintext prints as a name, whatever the verb, pointer or value: a log must never be where a secret is
// found.

const redacted = "[secret]"

// String is the same for every session key.
func (k SessionKey) String() string { return "megolm.SessionKey" + redacted }

// GoString is String.
func (k SessionKey) GoString() string { return k.String() }

// Format prints String for every verb.
func (k SessionKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, k.String()) }

// String is the same for every session.
func (s InboundSession) String() string { return "megolm.InboundSession" + redacted }

// GoString is String.
func (s InboundSession) GoString() string { return s.String() }

// Format prints String for every verb.
func (s InboundSession) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// String is the same for every session.
func (s OutboundSession) String() string { return "megolm.OutboundSession" + redacted }

// GoString is String.
func (s OutboundSession) GoString() string { return s.String() }

// Format prints String for every verb.
func (s OutboundSession) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// String is the same for every opening.
func (o Opening) String() string { return "megolm.Opening" + redacted }

// GoString is String.
func (o Opening) GoString() string { return o.String() }

// Format prints String for every verb.
func (o Opening) Format(f fmt.State, _ rune) { fmt.Fprint(f, o.String()) }
