// Package olm is this device's Olm account and its channels: the Olm sessions with other devices, over which room keys come.
//
// The rule of this package: a value never changes. Whatever would change an account, a session or the channels with a device returns
// another one beside it, and nothing at all when it fails. So a caller can walk through everything a sync brought, keep what the steps
// returned in one transaction, and forget all of it when a step or the transaction fails. Every value may be read by many goroutines.
//
//	type and body of m.room.encrypted ──ParseMessage──▶ Message
//	Channels, Account, Message ──Channels.Decrypt──▶ plaintext, Channels, Account
//	Channels, plaintext ──Channels.Encrypt──▶ type and body, Channels
//
// What is proved: a message that decrypts was made by whoever has the private half of the sender's Curve25519 key, or by us (Olm is
// deniable). Whose key that is, and whether the plaintext names the same device, is not decided here.
//
// The ratchet is goolm's (maunium.net/go/mautrix/crypto/goolm), which takes what libolm took. This package lets less in: base64 and keys are
// strict, every message has one spelling, and lengths are limited before anything is computed. The sources are the Matrix specification,
// "m.olm.v1.curve25519-aes-sha2", and https://gitlab.matrix.org/matrix-org/olm/-/blob/master/docs/olm.md.
package olm
