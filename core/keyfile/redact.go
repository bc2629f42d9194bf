package keyfile

import "fmt"

// What holds a key or a plaintext prints as a name, whatever the verb, pointer or value: a log must never be where a secret is found.

const redacted = "[secret]"

// String is the same for every entry.
func (e Entry) String() string { return "keyfile.Entry" + redacted }

// GoString is String.
func (e Entry) GoString() string { return e.String() }

// Format prints String for every verb.
func (e Entry) Format(f fmt.State, _ rune) { fmt.Fprint(f, e.String()) }

// String is the same for every splitter.
func (s Splitter) String() string { return "keyfile.Splitter" + redacted }

// GoString is String.
func (s Splitter) GoString() string { return s.String() }

// Format prints String for every verb.
func (s Splitter) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// String is the same for every key.
func (k BackupKey) String() string { return "keyfile.BackupKey" + redacted }

// GoString is String.
func (k BackupKey) GoString() string { return k.String() }

// Format prints String for every verb.
func (k BackupKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, k.String()) }

// String is the same for every ephemeral key.
func (e Ephemeral) String() string { return "keyfile.Ephemeral" + redacted }

// GoString is String.
func (e Ephemeral) GoString() string { return e.String() }

// Format prints String for every verb.
func (e Ephemeral) Format(f fmt.State, _ rune) { fmt.Fprint(f, e.String()) }

// String is the same for every key.
func (k SenderDataKey) String() string { return "keyfile.SenderDataKey" + redacted }

// GoString is String.
func (k SenderDataKey) GoString() string { return k.String() }

// Format prints String for every verb.
func (k SenderDataKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, k.String()) }

// String is the same for every descriptor.
func (d BundleDescriptor) String() string { return "keyfile.BundleDescriptor" + redacted }

// GoString is String.
func (d BundleDescriptor) GoString() string { return d.String() }

// Format prints String for every verb.
func (d BundleDescriptor) Format(f fmt.State, _ rune) { fmt.Fprint(f, d.String()) }
