//go:build js && wasm

package main

import (
	"knownsender/core"
	"knownsender/core/sender"
	"knownsender/jsbridge"
)

// announcer hands what the machine tells to the host, as events.
type announcer struct{ host *jsbridge.Host }

func (a announcer) RoomKeysUpdated(fresh []core.RoomKeyInfo) {
	a.host.Emit("room_keys_updated", array(nil, len(fresh), func(dst []byte, i int) []byte {
		return object(dst, func(dst []byte) []byte {
			dst = text(dst, "algorithm", sender.MegolmAlgorithm)
			return appendCopyKey(dst, &sender.CopyKey{RoomID: fresh[i].RoomID, SessionID: fresh[i].SessionID, SenderKey: fresh[i].SenderKey})
		})
	}))
}

func (a announcer) SenderDataUpdated(updates []core.SenderDataUpdate) {
	a.host.Emit("sender_data_updated", array(nil, len(updates), func(dst []byte, i int) []byte {
		u := &updates[i]
		return object(dst, func(dst []byte) []byte {
			dst = appendCopyKey(dst, &u.CopyKey)
			dst = appendSenderData(name(dst, "before"), &u.Before)
			dst = appendSenderData(name(dst, "after"), &u.After)
			return text(flag(dst, "suspended", u.Suspended), "because", string(u.Because))
		})
	}))
}

func (a announcer) StoreReported(r core.StoreReport) {
	a.host.Emit("store_reported", object(nil, func(dst []byte) []byte {
		return text(textOrNull(text(dst, "code", r.Code), "table", string(r.Table)), "message", r.Message)
	}))
}

func (a announcer) PeersTold(news core.PeerNews) {
	a.host.Emit("peers_told", appendPeerNews(nil, &news))
}
