//go:build js && wasm

package main

import (
	"context"
	"time"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/megolm"
	"knownsender/core/sender"
	"knownsender/core/signedjson"
	"knownsender/jsbridge"
)

// longestTimer is how long the clock of the retry lane is not looked at, at most. A timer does not count the time a computer sleeps.
const longestTimer = 15 * time.Minute

// runLanes is the retry lane's clock: one timer, armed for the earliest copy that is due. It runs as long as the machine is open.
func (p *program) runLanes() {
	ctx := context.Background()
	p.unfinished = true
	for !p.closed {
		next := p.pass(ctx)
		timer := time.NewTimer(min(time.Until(time.UnixMilli(next)), longestTimer))
		select {
		case <-timer.C:
		case <-p.timer:
			timer.Stop()
		}
	}
}

// pass is one pass of the retry lane; it returns when the next is due, in milliseconds since 1970.
func (p *program) pass(ctx context.Context) (next int64) {
	next = time.Now().Add(time.Minute).UnixMilli() // should the pass panic
	defer p.survive()
	if p.unfinished {
		// What an earlier run, or a tab that is gone, learned but did not get to the end of judging. Nobody waits for it; should it fail, the
		// next who leads tries again.
		p.unfinished = false
		_ = p.machine.Resume(ctx)
	}
	next, _ = p.machine.Retry(ctx) // an error is the store's; next says when to try again
	return next
}

// unattended runs f by itself, beside the calls of the door.
func (p *program) unattended(f func()) {
	go func() {
		defer p.survive()
		f()
	}()
}

// attempt is unattended for a request: when it is over, the retry lane looks at when it, or another, is due again.
func (p *program) attempt(f func()) {
	p.unattended(func() {
		defer p.wake()
		f()
	})
}

// survive is deferred around what no call waits for: a panic there would end the program, and every call with it (F32). It is told, without
// its value, which might hold a key.
func (p *program) survive() {
	if recover() != nil {
		announcer{p.host}.StoreReported(core.StoreReport{Code: "internal", Message: "Work in the background panicked. This is a bug in knownsender; the program goes on."})
	}
}

// wake has the retry lane look at the time again.
func (p *program) wake() {
	select {
	case p.timer <- struct{}{}:
	default: // somebody wished it already
	}
}

// wakeSoon is wake for what another tab stored: whom it wants to know of it tells right after, and its keys have an answer by then, or a time.
func (p *program) wakeSoon() {
	if p.waking {
		return
	}
	p.waking = true
	time.AfterFunc(time.Second, func() {
		p.waking = false
		p.wake()
	})
}

// lanesAre takes one word: pause, resume (the page is back, or came into view), lead, follow (another tab leads), nudge (everything is due).
func (p *program) lanesAre(args [][]byte) ([]byte, error) {
	switch word := string(args[0]); word {
	case "pause":
		p.machine.PauseLanes(true)
	case "resume":
		p.machine.PauseLanes(false)
	case "lead":
		p.unfinished = true
		p.machine.FollowLanes(false)
	case "follow":
		p.machine.FollowLanes(true)
	case "nudge":
		p.machine.Nudge()
	default:
		return nil, &jsbridge.Error{Code: "bad_request", Message: "There is no such state of the lanes.", Got: word}
	}
	p.wake()
	p.host.Wake()
	return []byte("{}"), nil
}

func (p *program) laneCounts([][]byte) ([]byte, error) {
	counts := p.machine.LaneCounts()
	return object(nil, func(dst []byte) []byte {
		dst = number(dst, "waiting", int64(counts.Waiting))
		dst = number(dst, "requests", int64(counts.Requests))
		dst = number(dst, "slow", int64(counts.Slow))
		return number(dst, "quietUntil", counts.Quiet)
	}), nil
}

func (p *program) outgoingRequests([][]byte) ([]byte, error) {
	return appendRequests(nil, p.machine.OutgoingRequests()), nil
}

func (p *program) markRequestAsSent(ctx context.Context, args [][]byte) ([]byte, error) {
	result, err := p.machine.MarkRequestAsSent(ctx, string(args[0]), args[1])
	if err != nil || result == nil {
		return []byte("null"), err
	}
	return appendChange(nil, result), nil
}

func (p *program) markAllTrackedUsersAsDirty(ctx context.Context, _ [][]byte) ([]byte, error) {
	defer p.wake()
	return []byte("{}"), p.machine.MarkAllTrackedUsersAsDirty(ctx)
}

// appendRequest writes a request to send.
func appendRequest(dst []byte, r *lane.Request) []byte {
	return object(dst, func(dst []byte) []byte { return requestMembers(dst, r) })
}

func requestMembers(dst []byte, r *lane.Request) []byte {
	dst = text(text(dst, "id", r.ID), "type", r.Type.String())
	return text(text(text(dst, "method", r.Method()), "path", r.Path()), "body", string(r.Body))
}

// appendRequests writes a list of them.
func appendRequests(dst []byte, requests []lane.Request) []byte {
	return array(dst, len(requests), func(dst []byte, i int) []byte { return appendRequest(dst, &requests[i]) })
}

func (p *program) meetPeers([][]byte) ([]byte, error) {
	p.machine.MeetPeers()
	return []byte("{}"), nil
}

// The JSON that tabs tell each other: {"copies": [room, session, sender key, provenance, room, ...], "users", "asked", "answered": [user, ...], "account": bool}.

func appendPeerNews(dst []byte, news *core.PeerNews) []byte {
	users := func(dst []byte, member string, users []ids.UserID) []byte {
		return array(name(dst, member), len(users), func(dst []byte, i int) []byte { return signedjson.AppendString(dst, string(users[i])) })
	}
	return object(dst, func(dst []byte) []byte {
		dst = array(name(dst, "copies"), 4*len(news.Copies), func(dst []byte, i int) []byte {
			key := &news.Copies[i/4]
			return signedjson.AppendString(dst, [...]string{string(key.RoomID), key.SessionID.String(), key.SenderKey.String(), key.Provenance.String()}[i%4])
		})
		dst = number(dst, "fresh", int64(news.Fresh))
		dst = users(users(users(dst, "users", news.Users), "asked", news.Asked), "answered", news.Answered)
		return signedjson.AppendBool(name(dst, "account"), news.Account)
	})
}

// hearPeers takes what another tab told. Scripts of other origins cannot speak on the channel, and
// whatever comes names rows to be read again, nothing more.
func (p *program) hearPeers(ctx context.Context, args [][]byte) ([]byte, error) {
	news, err := parsePeerNews(args[0])
	if err != nil {
		return nil, err
	}
	if err := p.machine.HearPeers(ctx, news); err != nil {
		return nil, err
	}
	if len(news.Users) > 0 {
		p.wake() // there may be device lists to ask for
	}
	p.wakeSoon()
	return []byte("{}"), nil
}

func parsePeerNews(raw []byte) (core.PeerNews, error) {
	var news core.PeerNews
	told, err := signedjson.ParseLimit(raw, 64<<20)
	if err != nil {
		return news, err
	}
	for member, into := range map[string]*[]ids.UserID{"users": &news.Users, "asked": &news.Asked, "answered": &news.Answered} {
		names, err := told.Strings(member)
		if err != nil {
			return news, err
		}
		for _, text := range names {
			user, err := ids.ParseUserID(text)
			if err != nil {
				return news, err
			}
			*into = append(*into, user)
		}
	}
	news.Account, _ = told.Bool("account") // a tab of an older version does not say, nor this:
	fresh, _ := told.Int("fresh")
	news.Fresh = int(max(fresh, 0))
	parts, err := told.Strings("copies")
	if err != nil {
		return news, err
	}
	for ; len(parts) >= 4; parts = parts[4:] {
		var key sender.CopyKey
		if key.RoomID, err = ids.ParseRoomID(parts[0]); err != nil {
			return news, err
		}
		if key.SessionID, err = megolm.ParseSessionID(parts[1]); err != nil {
			return news, err
		}
		if key.SenderKey, err = keys.ParseCurve25519(parts[2]); err != nil {
			return news, err
		}
		if parts[3] == sender.Claimed.String() {
			key.Provenance = sender.Claimed
		}
		news.Copies = append(news.Copies, key)
	}
	return news, nil
}
