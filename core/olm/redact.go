package olm

import "fmt"

// What holds a key or a plaintext prints as a name, whatever the verb, pointer or value: a log must never be where a secret is found.

const redacted = "[secret]"

// String is the same for every account.
func (a Account) String() string { return "olm.Account" + redacted }

// GoString is String.
func (a Account) GoString() string { return a.String() }

// Format prints String for every verb.
func (a Account) Format(f fmt.State, _ rune) { fmt.Fprint(f, a.String()) }

// String is the same for every session.
func (s Session) String() string { return "olm.Session" + redacted }

// GoString is String.
func (s Session) GoString() string { return s.String() }

// Format prints String for every verb.
func (s Session) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// String is the same for all channels.
func (c Channels) String() string { return "olm.Channels" + redacted }

// GoString is String.
func (c Channels) GoString() string { return c.String() }

// Format prints String for every verb.
func (c Channels) Format(f fmt.State, _ rune) { fmt.Fprint(f, c.String()) }

// String is the same for every opened message.
func (d Decrypted) String() string { return "olm.Decrypted" + redacted }

// GoString is String.
func (d Decrypted) GoString() string { return d.String() }

// Format prints String for every verb.
func (d Decrypted) Format(f fmt.State, _ rune) { fmt.Fprint(f, d.String()) }
