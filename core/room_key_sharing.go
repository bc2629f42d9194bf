package core

import (
	"context"
	"slices"

	"knownsender/core/ids"
	"knownsender/core/lane"
	"knownsender/core/megolm"
	"knownsender/core/olm"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/sharing"
	"knownsender/core/signedjson"
	"knownsender/core/store"
	"knownsender/core/trust"
)

// The key of a room's outbound session goes to every device that is to have it, and those that are not are told so. A new session is kept here as well, by
// the road that every room key takes. That a device has the key is recorded when the server has taken the message for it, so what a crash loses is sent
// again, which harms nobody; and until all of it was taken, nothing is encrypted.

const (
	// sealingPart is for how many devices a key is sealed in one batch: in between the page has its turn.
	sealingPart = 32
	// messagesPerRequest is how many messages a to-device request carries at most: some hundred kilobytes, which a slow connection takes within the budget.
	messagesPerRequest = 50
)

// keyShare is a to-device request under way, and what it will have done.
type keyShare struct {
	request *outgoing
	room    ids.RoomID
	session megolm.SessionID
	devices []sharing.Share
	told    []record.Told
}

// ShareRoomKey sees to it that every device of the users that is to have the room's key has it, and that others are told once that they do not get it
// (m.room_key.withheld). Users are all members that may read what is sent. Another session is made where there is none, or the one there is must not be
// used on (sharing.Session.Rotation).
//
// With a Fetcher it asks for device lists that are outdated, claims one-time keys, and sends the requests, before it returns: nothing is left to send.
// Without one it follows the users, makes do with the devices it knows, and returns the requests; they are among OutgoingRequests too, until they are
// marked as sent. Errors: *sharing.RecipientsError when nobody may get the key, *AccountError no_account, *sender.RoomKeyError where everybody would
// refuse a key from this device, those of requests, and those of the store.
func (m *Machine) ShareRoomKey(ctx context.Context, room ids.RoomID, users []ids.UserID, settings sharing.Settings) ([]lane.Request, error) {
	m.turn.Lock()
	defer m.leave()
	a, err := m.ownAccount()
	if err != nil {
		return nil, err
	}
	one := a.sharers[room]
	if one == nil {
		one = &queue{turn: &m.turn}
		a.sharers[room] = one
	}
	one.enter()
	defer one.leave()

	users = userIDs(users)
	if err := m.follow(ctx, users); err != nil {
		return nil, err
	}
	s := &roomSharing{ownAccount: a, room: room, users: users, settings: settings.Clamped()}
	if m.lanes.fetcher != nil {
		m.askFor(ctx, users)
	}
	if done, err := s.doneBefore(ctx); done || err != nil {
		return nil, err
	}
	if m.lanes.fetcher != nil {
		if err := s.claim(ctx); err != nil {
			return nil, err
		}
	}
	known := m.trust.Changes()
	for done := false; !done; {
		if done, err = s.step(ctx); err != nil {
			return nil, err
		}
	}
	if s.nothingToDo() {
		a.done[room] = &sharingDone{users: users, settings: s.settings, known: known, session: s.session}
	}
	s.post()
	a.withdrawShares(room, s.session)
	var requests []lane.Request
	for _, share := range a.underWay(s.session) {
		if m.lanes.fetcher == nil {
			requests = append(requests, share.request.Request)
		} else if err := m.deliverNow(ctx, share.request); err != nil {
			return nil, err
		}
	}
	return requests, nil
}

// askFor asks for those device lists of the users that are outdated, and waits for the answers within the budget. A list that was asked for in vain is
// left alone for a while, and what is known of it has to do.
func (m *Machine) askFor(ctx context.Context, users []ids.UserID) {
	var questions []*lane.Question
	for _, user := range users {
		if m.toBeAsked(user) && m.lanes.lists[user].Due(m.now()) {
			questions = append(questions, m.lanes.questions.Ask(user))
		}
	}
	if len(questions) > 0 {
		m.askAll(ctx, questions)
		m.listsInVain(questions)
	}
}

// roomSharing is one sharing of a room's key, while its messages are sealed.
type roomSharing struct {
	*ownAccount
	room     ids.RoomID
	users    []ids.UserID
	settings sharing.Settings

	session  megolm.SessionID // whose key has been sealed so far
	sealed   []addressed
	devices  []sharing.Share // those that sealed is for
	notices  []addressed
	told     []record.Told  // what notices say
	unsealed []trust.Device // there is no Olm session with them

	shared bool // everybody who was to get the key has it
}

// sharingDone is what a sharing was asked that found nothing to do. Asked the same again there is nothing to do either, as long as what is known of devices is
// the same, and the session may be used on.
type sharingDone struct {
	users    []ids.UserID
	settings sharing.Settings
	known    uint64 // trust.Index.Changes
	session  megolm.SessionID
}

// nothingToDo reports whether everybody has the key of the session already, or was told why not, and nobody is to be tried again.
func (s *roomSharing) nothingToDo() bool {
	return s.shared && len(s.sealed)+len(s.notices)+len(s.unsealed) == 0 && len(s.underWay(s.session)) == 0
}

// doneBefore reports whether the same was asked before and found nothing to do: most messages of a room follow another.
func (s *roomSharing) doneBefore(ctx context.Context) (bool, error) {
	last := s.done[s.room]
	if last == nil || last.settings != s.settings || last.known != s.machine.trust.Changes() || !slices.Equal(last.users, s.users) {
		return false, nil
	}
	at, err := s.machine.readRoomSession(ctx, s.room, false)
	if err != nil {
		return false, err
	}
	o := at.inUse()
	return o != nil && o.ID() == last.session && o.Shared && lifeOf(o).Expired(s.machine.now()) == "" && last.known == s.machine.trust.Changes(), nil
}

// claim claims one-time keys of those devices that are to get the key and have it not, where there is no Olm session with them.
func (s *roomSharing) claim(ctx context.Context) error {
	at, err := s.machine.readRoomSession(ctx, s.room, true)
	if err != nil {
		return err
	}
	recipients, err := sharing.Collect(s.machine.trust, s.users, s.settings.Strategy)
	if err != nil {
		return err
	}
	devices := recipients.Devices
	if !s.toBeReplaced(at, recipients) {
		s.session = at.session.ID()
		reached := s.reached(at)
		devices = slices.DeleteFunc(devices, func(device trust.Device) bool { return reached[sharing.HolderOf(&device)] })
	}
	return s.claimMissing(ctx, devices)
}

// toBeReplaced reports whether the room needs another session.
func (s *roomSharing) toBeReplaced(at *roomSession, recipients *sharing.Recipients) bool {
	o := at.inUse()
	return o == nil || lifeOf(o).Rotation(s.machine.now(), s.settings, s.users, recipients, at.shares.Devices) != ""
}

// step seals the key for some more devices; done says that no more are left.
func (s *roomSharing) step(ctx context.Context) (done bool, err error) {
	shelf := s.machine.shelf
	var made *sessionName
	var next roomSharing
	err = s.carry(ctx, func() (*record.Account, []store.Op, error) {
		shelf.drop(made)
		next, made = *s, nil
		next.sealed, next.devices, next.unsealed = slices.Clip(s.sealed), slices.Clip(s.devices), slices.Clip(s.unsealed)
		at, err := s.machine.readRoomSession(ctx, s.room, true)
		if err != nil {
			return nil, nil, err
		}
		recipients, err := sharing.Collect(s.machine.trust, s.users, s.settings.Strategy)
		if err != nil {
			return nil, nil, err
		}
		if s.toBeReplaced(at, recipients) {
			if made, err = s.begin(at, s.machine.now()); err != nil {
				return nil, nil, err
			}
		}
		if id := at.session.ID(); id != next.session { // what was sealed for another, which somebody has replaced, is not sent
			next = roomSharing{ownAccount: s.ownAccount, room: s.room, users: s.users, settings: s.settings, session: id}
		}
		ops, all, err := next.seal(ctx, at, recipients)
		done, next.shared = all, at.session.Shared
		return nil, append(ops, at.ops()...), err
	})
	if err != nil {
		shelf.drop(made)
		return false, err
	}
	*s = next
	return done, nil
}

// begin puts a new session in the place of what there is, and keeps it as the inbound session that it is for us. made is what has to be dropped when
// it is not written.
func (s *roomSharing) begin(at *roomSession, now int64) (made *sessionName, err error) {
	settings := s.settings
	settings.Strategy = 0
	fresh := megolm.NewOutboundSession()
	at.session = &record.Outbound{OutboundSession: fresh, RoomID: s.room, CreatedAt: now, Settings: settings}
	at.shares = &record.Shares{RoomID: s.room, SessionID: fresh.ID()}
	own := s.own()
	receipt := s.machine.receive(&sender.DecryptedOlmEvent{
		Sender: string(own.UserID), SenderKey: own.Curve25519.String(),
		Payload: s.payload(own.UserID, own.Ed25519, "m.room_key", roomKeyContent(at.session)),
	}, now)
	return &sessionName{s.room, fresh.ID()}, receipt.Err
}

// seal seals the key of the session for the next devices that have not got it, and, when these are the last, decides what others are told.
func (s *roomSharing) seal(ctx context.Context, at *roomSession, recipients *sharing.Recipients) (ops []store.Op, all bool, err error) {
	wanted := s.wanted(at, recipients)
	part := wanted[:min(len(wanted), sealingPart)]
	if len(part) > 0 {
		set, err := s.machine.readChannels(ctx, curvesOf(part))
		if err != nil {
			return nil, false, err
		}
		content := roomKeyContent(at.session)
		for i := range part {
			device := &part[i]
			message, err := s.ownAccount.seal(set, device, "m.room_key", content)
			if refused, ok := err.(*olm.Error); ok && refused.Code == olm.CodeNoOlmSession {
				s.unsealed = append(s.unsealed, *device)
				continue
			}
			if err != nil {
				return nil, false, err
			}
			s.sealed = append(s.sealed, addressed{device, message})
			s.devices = append(s.devices, sharing.Share{Holder: sharing.HolderOf(device), Index: at.session.MessageIndex(), Sent: true})
		}
		ops = set.ops()
	}
	if len(part) < len(wanted) {
		return ops, false, nil
	}
	s.notify(sharing.WithheldUnverified, recipients.Withheld, at.shares)
	s.notify(sharing.WithheldNoOlm, s.unsealed, at.shares)
	if len(s.sealed)+len(s.notices) == 0 && !at.session.Shared && !s.sharesUnderWay(s.session) {
		shared := *at.session
		shared.Shared = true
		at.session = &shared
	}
	return ops, true, nil
}

// wanted are the recipients who have not got the key. Those of whom it is not stored yet that they may get it come into the shares: should we never hear
// what became of the message, the session is not used on without them.
func (s *roomSharing) wanted(at *roomSession, recipients *sharing.Recipients) (wanted []trust.Device) {
	stored := map[sharing.Holder]bool{}
	for _, share := range at.shares.Devices {
		stored[share.Holder] = true
	}
	reached := s.reached(at)
	shares := *at.shares
	shares.Devices = slices.Clip(shares.Devices)
	for i := range recipients.Devices {
		device := &recipients.Devices[i]
		holder := sharing.HolderOf(device)
		if reached[holder] || slices.Contains(s.unsealed, *device) {
			continue
		}
		wanted = append(wanted, *device)
		if !stored[holder] {
			shares.Devices = append(shares.Devices, sharing.Share{Holder: holder, Index: at.session.MessageIndex()})
		}
	}
	if len(shares.Devices) > len(at.shares.Devices) {
		at.shares = &shares
	}
	return wanted
}

// reached are the devices that have the key of the session, by what is stored, is under way, or is about to be sent.
func (s *roomSharing) reached(at *roomSession) map[sharing.Holder]bool {
	reached := map[sharing.Holder]bool{}
	for _, share := range at.shares.Devices {
		reached[share.Holder] = share.Sent
	}
	for _, list := range append(s.underWay(s.session), &keyShare{devices: s.devices}) {
		for _, share := range list.devices {
			reached[share.Holder] = true
		}
	}
	return reached
}

// notify adds the notices for devices that do not get the key, unless they were told, or are being told.
func (s *roomSharing) notify(code string, devices []trust.Device, stored *record.Shares) {
	told := map[record.Told]bool{}
	for _, list := range append(s.underWay(s.session), &keyShare{told: stored.Told}) {
		for _, notice := range list.told {
			told[notice] = true
		}
	}
	for i := range devices {
		if notice := (record.Told{UserID: devices[i].UserID, DeviceID: devices[i].DeviceID, Code: code}); !told[notice] {
			told[notice] = true
			s.told = append(s.told, notice)
			s.notices = append(s.notices, addressed{&devices[i], s.withheldContent(code)})
		}
	}
}

// post puts what was sealed on the list of requests.
func (s *roomSharing) post() {
	for at := 0; at < len(s.sealed); at += messagesPerRequest {
		end := min(at+messagesPerRequest, len(s.sealed))
		s.postShare("m.room.encrypted", s.sealed[at:end], &keyShare{devices: s.devices[at:end]})
	}
	for at := 0; at < len(s.notices); at += messagesPerRequest {
		end := min(at+messagesPerRequest, len(s.notices))
		s.postShare("m.room_key.withheld", s.notices[at:end], &keyShare{told: s.told[at:end]})
	}
}

func (s *roomSharing) postShare(eventType string, messages []addressed, share *keyShare) {
	a := s.ownAccount
	share.room, share.session = s.room, s.session
	share.request = a.machine.post(newToDevice(eventType, messages), func(ctx context.Context, _ []byte) error { return a.sent(ctx, share) })
	a.shares = append(a.shares, share)
}

// underWay are the requests for a session that wait to be sent.
func (a *ownAccount) underWay(session megolm.SessionID) (shares []*keyShare) {
	for _, share := range a.shares {
		if share.session == session {
			shares = append(shares, share)
		}
	}
	return shares
}

// withdrawShares takes requests off the list that share what was the room's session before this one: it will not be used any more, and among those they
// are for may be some that have left. What a host was given is its own to send.
func (a *ownAccount) withdrawShares(room ids.RoomID, session megolm.SessionID) {
	m := a.machine
	a.shares = slices.DeleteFunc(a.shares, func(share *keyShare) bool {
		over := m.lanes.fetcher != nil && share.room == room && share.session != session && share.request.sending == nil
		if over {
			share.request.done(m)
		}
		return over
	})
}

// sharesUnderWay reports whether there are any: then not everybody has the session's key.
func (a *ownAccount) sharesUnderWay(session megolm.SessionID) bool {
	return len(a.underWay(session)) > 0
}

// sent records what a request has done. What it did for a session that is no longer the room's does not count.
func (a *ownAccount) sent(ctx context.Context, share *keyShare) error {
	a.shares = slices.DeleteFunc(a.shares, func(other *keyShare) bool { return other == share })
	err := a.changeSession(ctx, share.room, true, func(s *roomSession) error {
		if s.session == nil || s.session.ID() != share.session {
			return nil
		}
		shares := *s.shares
		shares.Told = append(slices.Clip(shares.Told), share.told...)
		shares.Devices = slices.Clone(shares.Devices)
		reached := make(map[sharing.Holder]sharing.Share, len(share.devices))
		for _, d := range share.devices {
			reached[d.Holder] = d
		}
		for i := range shares.Devices {
			if d, now := reached[shares.Devices[i].Holder]; now && !shares.Devices[i].Sent {
				shares.Devices[i] = d
			}
		}
		s.shares = &shares
		if !s.session.Shared && !a.sharesUnderWay(share.session) {
			session := *s.session
			session.Shared = true
			s.session = &session
		}
		return nil
	})
	if err != nil {
		a.shares = append(a.shares, share)
	}
	return err
}

// roomKeyContent is the content of the m.room_key that shares a session from its next message on (specification, "m.room_key"; MSC3061).
func roomKeyContent(o *record.Outbound) []byte {
	dst := appendText([]byte{'{'}, "algorithm", sharing.Algorithm)
	dst = signedjson.AppendBool(signedjson.AppendName(dst, "org.matrix.msc3061.shared_history"), o.Settings.SharedHistory())
	dst = appendText(dst, "room_id", string(o.RoomID))
	dst = appendText(dst, "session_id", o.ID().String())
	return append(appendText(dst, "session_key", o.SessionKey()), '}')
}

// withheldContent is the content of an m.room_key.withheld (specification, of that name): with the code m.no_olm it is about no session.
func (s *roomSharing) withheldContent(code string) []byte {
	dst := appendText([]byte{'{'}, "algorithm", sharing.Algorithm)
	dst = appendText(dst, "code", code)
	if code != sharing.WithheldNoOlm {
		dst = appendText(dst, "room_id", string(s.room))
	}
	dst = appendText(dst, "sender_key", s.Curve25519().String())
	if code != sharing.WithheldNoOlm {
		dst = appendText(dst, "session_id", s.session.String())
	}
	return append(dst, '}')
}
