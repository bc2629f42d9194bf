package keyfile

import (
	"knownsender/core/keys"
	"knownsender/core/signedjson"
)

// ParseForwardedKey takes the content of an m.forwarded_room_key, which names the claimed fingerprint key in a member of its own and is otherwise an
// entry of an export. The error is an *EntryError, as of ParseEntry.
func ParseForwardedKey(content *signedjson.Object) (*Entry, error) {
	if err := content.RefuseVariants(append([]string{"sender_claimed_ed25519_key"}, entryNames...)...); err != nil {
		return nil, &EntryError{Code: CodeBadEntryJSON, Reason: reasonOf(err), cause: err}
	}
	e := &Entry{}
	if err := e.readSession(content); err != nil {
		return nil, err
	}
	if err := e.readNames(content); err != nil {
		return nil, err
	}
	// Whoever forwards a key does not decide that it may be passed on.
	e.SharedHistory = false
	text, present, err := content.OptionalString("sender_claimed_ed25519_key")
	if err != nil {
		return nil, badMember("sender_claimed_ed25519_key", err)
	}
	if !present || text == "" {
		return e, nil
	}
	if e.Ed25519, err = keys.ParseEd25519(text); err != nil {
		return nil, badMember("sender_claimed_ed25519_key", err)
	}
	e.HasEd25519 = true
	return e, nil
}
