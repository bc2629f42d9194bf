package lane_test

import (
	"encoding/json"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/lane"
)

// Where requests go is the client-server API's to say.
func TestRequestsGoWhereTheSpecificationSays(t *testing.T) {
	for _, c := range []struct {
		request                lane.Request
		name, method, expected string
	}{
		{lane.Request{Type: lane.KeysQuery}, "keys_query", "POST", "/_matrix/client/v3/keys/query"},
		{lane.Request{Type: lane.KeysUpload}, "keys_upload", "POST", "/_matrix/client/v3/keys/upload"},
		{lane.Request{Type: lane.KeysClaim}, "keys_claim", "POST", "/_matrix/client/v3/keys/claim"},
		{lane.Request{Type: lane.ToDevice, Target: "m.room.encrypted/7"}, "to_device", "PUT", "/_matrix/client/v3/sendToDevice/m.room.encrypted/7"},
		{lane.Request{Type: lane.SignatureUpload}, "signature_upload", "POST", "/_matrix/client/v3/keys/signatures/upload"},
		{lane.Request{Type: lane.SigningKeysUpload}, "signing_keys_upload", "POST", "/_matrix/client/v3/keys/device_signing/upload"},
		{lane.Request{Type: lane.KeysBackup, Target: "3"}, "keys_backup", "PUT", "/_matrix/client/v3/room_keys/keys?version=3"},
	} {
		if got := c.request.Type.String(); got != c.name {
			t.Errorf("%s is called %s", c.name, got)
		}
		if method, path := c.request.Method(), c.request.Path(); method != c.method || path != c.expected {
			t.Errorf("%s: %s %s", c.name, method, path)
		}
	}
}

func TestKeysQueryAsksForAllDevices(t *testing.T) {
	for _, users := range [][]ids.UserID{
		nil,
		{"@alice:example.org"},
		{"@alice:example.org", "@\"quoted\\ \n\u2028é𐀀:example.org", "@bob:[::1]:8448"},
	} {
		body := lane.NewKeysQuery("1", users).Body
		var got map[string]map[ids.UserID][]string
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if len(got) != 1 || got["device_keys"] == nil || len(got["device_keys"]) != len(users) {
			t.Fatalf("%s", body)
		}
		for _, user := range users {
			if devices, there := got["device_keys"][user]; !there || devices == nil || len(devices) != 0 {
				t.Errorf("%s does not ask for all devices of %q", body, user)
			}
		}
	}
}
