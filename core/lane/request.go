package lane

import (
	"knownsender/core/ids"
	"knownsender/core/signedjson"
)

// RequestType is what a request asks of the homeserver.
type RequestType uint8

// The requests there are, and where they go below the homeserver's base address (client-server API).
const (
	KeysQuery         RequestType = iota // POST /_matrix/client/v3/keys/query
	KeysUpload                           // POST /_matrix/client/v3/keys/upload
	KeysClaim                            // POST /_matrix/client/v3/keys/claim
	ToDevice                             // PUT  /_matrix/client/v3/sendToDevice/{eventType}/{txnId}
	SignatureUpload                      // POST /_matrix/client/v3/keys/signatures/upload
	SigningKeysUpload                    // POST /_matrix/client/v3/keys/device_signing/upload, which wants user-interactive authentication
	KeysBackup                           // PUT  /_matrix/client/v3/room_keys/keys?version={version}
)

var requestTypes = [...]struct{ name, path string }{
	KeysQuery:         {"keys_query", "keys/query"},
	KeysUpload:        {"keys_upload", "keys/upload"},
	KeysClaim:         {"keys_claim", "keys/claim"},
	ToDevice:          {"to_device", "sendToDevice/"},
	SignatureUpload:   {"signature_upload", "keys/signatures/upload"},
	SigningKeysUpload: {"signing_keys_upload", "keys/device_signing/upload"},
	KeysBackup:        {"keys_backup", "room_keys/keys?version="},
}

// String is keys_query, keys_upload, keys_claim, to_device, signature_upload, signing_keys_upload or keys_backup.
func (t RequestType) String() string { return requestTypes[t].name }

// Request is a request to the homeserver, whoever sends it.
type Request struct {
	ID     string
	Type   RequestType
	Target string // of a ToDevice, event type and transaction; of a KeysBackup, the version; the latter percent-encoded, the former of letters that need no encoding
	Body   []byte // JSON
}

// Method is POST or PUT.
func (r *Request) Method() string {
	if r.Type == ToDevice || r.Type == KeysBackup {
		return "PUT"
	}
	return "POST"
}

// Path is the path below the homeserver's base address, with its query.
func (r *Request) Path() string { return "/_matrix/client/v3/" + requestTypes[r.Type].path + r.Target }

// NewKeysQuery is the request for all devices of the users.
func NewKeysQuery(id string, users []ids.UserID) Request {
	body := append(signedjson.AppendName([]byte{'{'}, "device_keys"), '{')
	for _, user := range users {
		body = append(signedjson.AppendName(body, string(user)), "[]"...)
	}
	return Request{ID: id, Type: KeysQuery, Body: append(body, "}}"...)}
}
