// Package megolm is Megolm: it reads room keys, opens room messages and compares what it holds; and it makes room keys and room messages.
//
// A sender draws a ratchet and an Ed25519 key pair, and gives both, the ratchet at some index, to every device in the room. The
// ratchet can only be moved on, so whoever has it at index i opens message i and everything later and nothing before. The public
// key names the session: a session id is derived from the key it came with and never believed.
//
//	text of m.room_key ──ParseSessionKey──▶ SessionKey ──Verify, Session──▶ InboundSession
//	text of an export ──ParseExportedSessionKey──────────────────────────▶ InboundSession
//	text of an event ──ParseMessage──▶ Message ──InboundSession.Open──▶ Opening ──Check──▶ Accept
//	NewOutboundSession ──Encrypt──▶ text of an event, the session that comes after; SessionKey ──▶ text of m.room_key
//
// Three rules hold everywhere. Everything has one spelling: what is accepted would be written back byte for byte. A failure
// changes nothing. What is secret is compared in constant time and printed by nobody.
//
// Signatures are not verified here unless the caller asks (Verify, Decrypt): Check hands the question out, so that a caller with
// many of them, or with a faster engine, can have them answered together.
//
// Nothing here may be used by two goroutines at once. The source is the Megolm specification of the Olm library,
// https://gitlab.matrix.org/matrix-org/olm/-/blob/master/docs/megolm.md.
package megolm
