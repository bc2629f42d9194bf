//go:build js && wasm

package main

import (
	"knownsender/core"
)

// The JSON of imports, requests and bundles; see views.go.

func appendCounts(dst []byte, c *core.ImportCounts) []byte {
	dst = number(number(dst, "imported", int64(c.Imported)), "unchanged", int64(c.Unchanged))
	return number(number(dst, "better", int64(c.Better)), "failed", int64(c.Failed))
}

func appendImported(dst []byte, r *core.ImportResult) []byte {
	return object(dst, func(dst []byte) []byte {
		dst = number(appendCounts(dst, &r.ImportCounts), "total", int64(r.Total()))
		dst = object(name(dst, "rooms"), func(dst []byte) []byte {
			for room, counts := range r.Rooms {
				dst = object(name(dst, string(room)), func(dst []byte) []byte { return appendCounts(dst, counts) })
			}
			return dst
		})
		return appendFailures(dst, r.Failures)
	})
}

func appendFailures(dst []byte, failures []core.ImportFailure) []byte {
	return array(name(dst, "failures"), len(failures), func(dst []byte, i int) []byte {
		return object(dst, func(dst []byte) []byte {
			return appendCoded(number(dst, "position", int64(failures[i].Position)), failures[i].Err)
		})
	})
}

func appendKeyRequest(dst []byte, r *core.RoomKeyRequest) []byte {
	if r == nil {
		return append(dst, "null"...)
	}
	return object(dst, func(dst []byte) []byte {
		return append(name(text(dst, "id", r.ID), "content"), r.Content...)
	})
}

func appendBundle(dst []byte, r *core.BundleResult) []byte {
	return object(dst, func(dst []byte) []byte {
		dst = text(appendCounts(dst, &r.ImportCounts), "roomId", string(r.RoomID))
		dst = appendSenderData(name(dst, "forwarder"), &r.Forwarder.Data)
		dst = number(dst, "withheld", int64(r.Withheld))
		dst = array(name(dst, "faults"), len(r.Faults), func(dst []byte, i int) []byte {
			f := &r.Faults[i]
			return object(dst, func(dst []byte) []byte {
				return appendCoded(number(text(dst, "list", f.List), "position", int64(f.Position)), f.Err)
			})
		})
		dst = number(dst, "moreFaults", int64(r.MoreFaults))
		return appendFailures(dst, r.Failures)
	})
}

func appendHint(dst []byte, h *core.Hint) []byte {
	if h == nil {
		return append(dst, "null"...)
	}
	return object(dst, func(dst []byte) []byte {
		dst = text(text(dst, "userId", string(h.UserID)), "deviceId", string(h.DeviceID))
		return text(flag(dst, "crossSigned", h.CrossSigned()), "verification", verificationName(h.Verification))
	})
}
