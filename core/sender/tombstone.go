package sender

import "knownsender/core/ids"

// Tombstone remains of a room key that was discarded, so that a client can say why its messages do not decrypt. It holds no ratchet, and
// it keeps nothing out: an honest copy that arrives later is kept as if there had been none before.
type Tombstone struct {
	CopyKey
	OlmUser ids.UserID
	Reason  string // a Word of the trace
	At      int64  // milliseconds since 1970, by our clock
}
