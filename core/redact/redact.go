// Package redact keeps secrets out of texts. The rule: what holds a key, a ratchet or a plaintext embeds Secret, and a test of core goes through all types
// and finds the one that does not.
package redact

import (
	"fmt"
	"io"
)

// Secret is embedded in what is secret: the whole is printed and marshalled as the same word then, whatever the verb, pointer or value. A log must never
// be where a secret is found.
type Secret struct{}

const word = "[secret]"

// Format prints the word for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, word) }

// MarshalText is the word; encoding/json, encoding/xml and log/slog ask for it.
func (Secret) MarshalText() ([]byte, error) { return []byte(word), nil }
