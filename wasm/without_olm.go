//go:build js && wasm && !olm

package main

import (
	"context"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/store"
	"knownsender/jsbridge"
)

// openAccount is nil: this engine has no Olm, and links nothing of it.
var openAccount func(context.Context, store.Store, ids.UserID, ids.DeviceID) (core.OlmAccount, error)

// registerOlm answers what takes an Olm account.
func (p *program) registerOlm(door *jsbridge.Door) {
	for _, name := range []string{"receiveSyncChanges", "getMissingSessions", "encryptToDeviceEvent", "shareRoomKey", "encryptRoomEvent", "invalidateGroupSession",
		"setRoomSettings", "getRoomSettings", "bootstrapCrossSigning", "importCrossSigningKeys", "exportCrossSigningKeys", "crossSigningStatus", "verifyIdentity", "verifyDevice"} {
		door.Async(name, p.opened(-1, func(context.Context, [][]byte) ([]byte, error) {
			return nil, &core.AccountError{Code: core.CodeNoAccount}
		}))
	}
}
