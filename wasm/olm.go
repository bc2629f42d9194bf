//go:build js && wasm && olm

package main

import (
	"context"
	"strconv"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/sharing"
	"knownsender/jsbridge"
)

// The engine with Olm in it, built with the tag olm: for clients that bring none of their own. The other one is smaller by all that Olm is.

// openAccount gives a machine that is opened without identity keys its account.
var openAccount = core.OpenAccount

func (p *program) registerOlm(door *jsbridge.Door) {
	door.Async("receiveSyncChanges", p.opened(-1, p.receiveSyncChanges))
	door.Async("getMissingSessions", p.opened(-1, p.getMissingSessions))
	door.Async("encryptToDeviceEvent", p.opened(4, p.encryptToDeviceEvent))
	door.Async("shareRoomKey", p.opened(-1, p.shareRoomKey))
	door.Async("encryptRoomEvent", p.opened(3, p.encryptRoomEvent))
	door.Async("invalidateGroupSession", p.opened(1, p.invalidateGroupSession))
	door.Async("setRoomSettings", p.opened(5, p.setRoomSettings))
	door.Async("getRoomSettings", p.opened(1, p.getRoomSettings))
	p.registerCrossSigning(door)
}

// shareRoomKey takes the room, five texts of settings (sharing.ParseSettings) and the users; the answer are the requests to send.
func (p *program) shareRoomKey(ctx context.Context, args [][]byte) ([]byte, error) {
	if len(args) < 6 {
		return nil, jsbridge.Arguments(args, 6)
	}
	room, err := ids.ParseRoomID(string(args[0]))
	if err != nil {
		return nil, err
	}
	settings, err := sharing.ParseSettings(string(args[1]), string(args[2]), string(args[3]), string(args[4]), string(args[5]))
	if err != nil {
		return nil, err
	}
	users, err := parseUsers(args[6:])
	if err != nil {
		return nil, err
	}
	defer p.wake() // our own copy may have to wait for its sender like any other, and a request that was not taken is sent again
	requests, err := p.machine.ShareRoomKey(ctx, room, users, settings)
	if err != nil {
		return nil, err
	}
	return appendRequests(nil, requests), nil
}

// encryptRoomEvent takes room, event type and content.
func (p *program) encryptRoomEvent(ctx context.Context, args [][]byte) ([]byte, error) {
	room, err := ids.ParseRoomID(string(args[0]))
	if err != nil {
		return nil, err
	}
	return p.machine.EncryptRoomEvent(ctx, room, string(args[1]), args[2])
}

// invalidateGroupSession takes a room; the answer is whether there was a session.
func (p *program) invalidateGroupSession(ctx context.Context, args [][]byte) ([]byte, error) {
	room, err := ids.ParseRoomID(string(args[0]))
	if err != nil {
		return nil, err
	}
	ended, err := p.machine.InvalidateGroupSession(ctx, room)
	return strconv.AppendBool(nil, ended), err
}

// setRoomSettings takes room, algorithm, rotation period, rotation messages (as sharing.ParseSettings has them) and "true" when only trusted devices are
// allowed.
func (p *program) setRoomSettings(ctx context.Context, args [][]byte) ([]byte, error) {
	room, err := ids.ParseRoomID(string(args[0]))
	if err != nil {
		return nil, err
	}
	settings, err := sharing.ParseSettings("", string(args[2]), string(args[3]), "", "")
	if err != nil {
		return nil, err
	}
	if string(args[4]) == "true" {
		settings.Strategy = sharing.OnlyTrustedDevices
	}
	return nil, p.machine.SetRoomSettings(ctx, room, string(args[1]), settings)
}

// getRoomSettings takes a room; the answer are its settings, without a rotation that is the default, or null.
func (p *program) getRoomSettings(ctx context.Context, args [][]byte) ([]byte, error) {
	room, err := ids.ParseRoomID(string(args[0]))
	if err != nil {
		return nil, err
	}
	s, err := p.machine.RoomSettings(ctx, room)
	if s == nil {
		return []byte("null"), err
	}
	return object(nil, func(dst []byte) []byte {
		dst = text(dst, "algorithm", sharing.Algorithm)
		if s.RotationPeriod != sharing.DefaultRotationPeriod {
			dst = number(dst, "sessionRotationPeriodMs", s.RotationPeriod)
		}
		if s.RotationMessages != sharing.DefaultRotationMessages {
			dst = number(dst, "sessionRotationPeriodMessages", int64(s.RotationMessages))
		}
		return flag(dst, "onlyAllowTrustedDevices", s.Strategy == sharing.OnlyTrustedDevices)
	}), nil
}

// getMissingSessions takes users; the answer is a request, or null.
func (p *program) getMissingSessions(ctx context.Context, args [][]byte) ([]byte, error) {
	users, err := parseUsers(args)
	if err != nil {
		return nil, err
	}
	request, err := p.machine.MissingSessions(ctx, users)
	return appendRequestOrNull(nil, request), err
}

// encryptToDeviceEvent takes user, device, event type and content.
func (p *program) encryptToDeviceEvent(ctx context.Context, args [][]byte) ([]byte, error) {
	user, err := ids.ParseUserID(string(args[0]))
	if err != nil {
		return nil, err
	}
	device, err := ids.ParseDeviceID(string(args[1]))
	if err != nil {
		return nil, err
	}
	return p.machine.EncryptToDeviceEvent(ctx, user, device, string(args[2]), args[3])
}

// receiveSyncChanges takes the count of one-time keys on the server (empty: not told), "true" when the fallback key was used, the numbers of users in
// changed and in left, those users, and the to-device events.
func (p *program) receiveSyncChanges(ctx context.Context, args [][]byte) ([]byte, error) {
	in := core.SyncChanges{OneTimeKeyCount: -1}
	var counts [2]int
	if len(args) < 4 {
		return nil, jsbridge.Arguments(args, 4)
	}
	// What a server says must not keep its room keys from being received, again and again: a count that is none was not told, and users who are none
	// are passed over.
	if count, err := strconv.Atoi(string(args[0])); err == nil {
		in.OneTimeKeyCount = count
	}
	in.FallbackUsed = string(args[1]) == "true"
	rest := args[4:]
	for i := range counts {
		count, err := strconv.Atoi(string(args[2+i]))
		if err != nil || count < 0 || count > len(rest)-counts[0] {
			return nil, jsbridge.Arguments(args, 4+count)
		}
		counts[i] = count
	}
	for i, text := range rest[:counts[0]+counts[1]] {
		if user, err := ids.ParseUserID(string(text)); err != nil {
			continue
		} else if i < counts[0] {
			in.Changed = append(in.Changed, user)
		} else {
			in.Left = append(in.Left, user)
		}
	}
	in.ToDevice = rest[counts[0]+counts[1]:]
	if len(rest) > 0 {
		defer p.wake()
	}
	result, err := p.machine.ReceiveSyncChanges(ctx, in)
	if err != nil {
		return nil, err
	}
	return object(nil, func(dst []byte) []byte {
		id := "" // nothing will have to be settled
		if len(result.Reception.Receipts) > 0 {
			id = p.hold(result.Reception)
		}
		dst = text(dst, "id", id)
		return array(name(dst, "events"), len(result.Events), func(dst []byte, i int) []byte {
			return appendToDevice(dst, &result.Events[i])
		})
	}), nil
}

// appendToDevice writes what became of a to-device event.
func appendToDevice(dst []byte, e *core.ToDeviceEvent) []byte {
	return object(dst, func(dst []byte) []byte {
		dst = text(dst, "type", e.Kind.String())
		switch e.Kind {
		case core.ToDeviceRoomKey:
			dst = appendReceipt(name(dst, "receipt"), e.Receipt)
		case core.ToDeviceDecrypted:
			dst = append(name(dst, "payload"), e.Event.Payload...)
			dst = text(dst, "senderKey", e.Event.SenderKey)
			dst = appendSenderData(name(dst, "senderData"), e.From)
		}
		if e.Err != nil {
			return appendRefusal(name(dst, "refusal"), e.Err)
		}
		return dst
	})
}
