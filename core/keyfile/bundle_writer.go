package keyfile

import (
	"knownsender/core/redact"
	"knownsender/core/sender"
	"knownsender/core/signedjson"
)

// BundleWriter writes the content of a history bundle, to be encrypted as an attachment. Which sessions may be shared is the caller's to say. What
// it holds is secret. It refuses, with a *BundleError bundle_too_large, what EachBundleItem would not take.
type BundleWriter struct {
	redact.Secret
	keys, notices []byte // elements, each with a comma behind it
	count         int
}

// historyNotShared is the code of a notice of a bundle, and what it says to people (MSC4268).
const (
	historyNotShared       = "m.history_not_shared"
	historyNotSharedReason = "The sender disabled sharing encrypted history."
)

// bundleFrame is no less than what stands around the two lists.
const bundleFrame = len(`{"room_keys":[],"withheld":[]}`)

// Share adds a room key.
func (w *BundleWriter) Share(c *sender.Copy) error {
	w.keys = append(AppendEntry(w.keys, c), ',')
	return w.counted()
}

// Withhold adds the notice that a room key is not in the bundle, for its sender did not mean it to be shared.
func (w *BundleWriter) Withhold(c *sender.Copy) error {
	dst := appendText(append(w.notices, '{'), "algorithm", sender.MegolmAlgorithm)
	dst = appendText(dst, "code", historyNotShared)
	dst = appendText(dst, "reason", historyNotSharedReason)
	dst = appendText(dst, "room_id", string(c.RoomID))
	dst = appendText(dst, "sender_key", c.SenderKey.String())
	w.notices = append(appendText(dst, "session_id", c.SessionID.String()), "},"...)
	return w.counted()
}

func (w *BundleWriter) counted() error {
	if w.count++; w.count > MaxBundleEntries || bundleFrame+len(w.keys)+len(w.notices) > MaxBundle {
		return &BundleError{Code: CodeBundleTooLarge}
	}
	return nil
}

// Content is the content of the bundle, nil when nothing was added.
func (w *BundleWriter) Content() []byte {
	if w.count == 0 {
		return nil
	}
	dst := make([]byte, 0, bundleFrame+len(w.keys)+len(w.notices))
	dst = appendElements(signedjson.AppendName(append(dst, '{'), listOfKeys), w.keys)
	return append(appendElements(signedjson.AppendName(dst, listOfNotices), w.notices), '}')
}

func appendElements(dst, elements []byte) []byte {
	if n := len(elements); n > 0 {
		elements = elements[:n-1]
	}
	return append(append(append(dst, '['), elements...), ']')
}

// Wipe overwrites the room keys.
func (w *BundleWriter) Wipe() { clear(w.keys) }
