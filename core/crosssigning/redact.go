package crosssigning

import "fmt"

// What holds a key prints as a name, whatever the verb, pointer or value: a log must never be where a secret is found.

const redacted = "[secret]"

// String is the same for every set of keys.
func (k Keys) String() string { return "crosssigning.Keys" + redacted }

// GoString is String.
func (k Keys) GoString() string { return k.String() }

// Format prints String for every verb.
func (k Keys) Format(f fmt.State, _ rune) { fmt.Fprint(f, k.String()) }

// String is the same for every export.
func (e Export) String() string { return "crosssigning.Export" + redacted }

// GoString is String.
func (e Export) GoString() string { return e.String() }

// Format prints String for every verb.
func (e Export) Format(f fmt.State, _ rune) { fmt.Fprint(f, e.String()) }
