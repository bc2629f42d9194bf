package core

import (
	"context"

	"knownsender/core/ids"
	"knownsender/core/keyfile"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
)

// BundleResult is what became of a history bundle.
type BundleResult struct {
	ImportCounts
	RoomID    ids.RoomID
	Forwarder sender.Forwarder
	Withheld  int                   // notices that were kept: of sessions of which there was none yet
	Faults    []keyfile.BundleFault // what was passed over, other rooms' keys among it; the first thousand
	// MoreFaults is how much more was passed over.
	MoreFaults int
	Failures   []ImportFailure // keys that contradict what is kept; positions among those that were read
}

// BundleDescriptor reads the announcement of a history bundle, for a host that has yet to download the file: the room, and where the file is. It is
// believed only once ReceiveRoomKeyBundle has accepted it. Errors: *sender.RoomKeyError, *keyfile.BundleError.
func (m *Machine) BundleDescriptor(event sender.DecryptedOlmEvent) (*keyfile.BundleDescriptor, error) {
	m.turn.Lock()
	defer m.leave()
	if m.closed {
		return nil, errClosed()
	}
	handover, err := m.finder.PrepareBundle(m.trust, event)
	if err != nil {
		return nil, err
	}
	return keyfile.ParseBundleDescriptor(handover.Content.Raw())
}

// ReceiveRoomKeyBundle takes a history bundle (MSC4268): the announcement as the host's own Olm decrypted it, and the encrypted file it names. It is
// durable when it returns. Whoever sends it must be known by cross-signing now, and not in violation; the room keys stay claimed, with that
// sender as their forwarder. Whether a bundle from that person is wanted (the one who invited us, about the time we joined) is for the host to
// say before it downloads anything.
//
// Errors: *sender.RoomKeyError for an announcement that is refused, *keyfile.BundleError, and those of the store. Of a bundle that is refused nothing is
// kept; what was stored before an error of the store stays.
func (m *Machine) ReceiveRoomKeyBundle(ctx context.Context, event sender.DecryptedOlmEvent, encrypted []byte) (*BundleResult, error) {
	m.turn.Lock()
	defer m.leave()
	if m.closed {
		return nil, errClosed()
	}
	handover, err := m.finder.PrepareBundle(m.trust, event)
	if err != nil {
		return nil, err
	}
	by, err := m.whoHandsOver(ctx, handover)
	if err != nil {
		return nil, err
	}
	descriptor, err := keyfile.ParseBundleDescriptor(handover.Content.Raw())
	if err != nil {
		return nil, err
	}
	defer descriptor.Wipe()
	plaintext, err := keyfile.OpenBundle(descriptor, encrypted)
	if err != nil {
		return nil, err
	}
	defer clear(plaintext)
	result := &BundleResult{RoomID: descriptor.RoomID, Forwarder: by}
	counting := m.newImport(ImportOptions{})
	counting.hold = importChunk // a bundle comes in one piece: others have their turn only while a chunk of it is written
	var notices []keyfile.Withheld
	keys := 0
	err = keyfile.EachBundleItem(plaintext, descriptor.RoomID, func(item keyfile.BundleItem) error {
		switch {
		case item.Fault != nil:
			return m.passOver(ctx, result, item.Fault)
		case item.Withheld != nil:
			if notices = append(notices, *item.Withheld); len(notices) < importChunk {
				return nil
			}
			some := notices
			notices = nil
			return m.noteBundleWithheld(ctx, some, result)
		}
		c := m.claimed(item.Entry)
		c.Forwarder = &by
		keys++
		return counting.add(ctx, importing{position: keys - 1, copy: c})
	})
	if err != nil {
		return nil, err
	}
	if err := m.noteBundleWithheld(ctx, notices, result); err != nil {
		return nil, err
	}
	if err := counting.store(ctx); err != nil {
		return nil, err
	}
	result.ImportCounts, result.Failures = counting.ImportCounts, counting.Failures
	return result, nil
}

// passOver notes a fault. A bundle may hold nothing but faults, and others must have their turn then too.
func (m *Machine) passOver(ctx context.Context, result *BundleResult, fault *keyfile.BundleFault) error {
	if len(result.Faults) < maxFailures {
		result.Faults = append(result.Faults, *fault)
	} else {
		result.MoreFaults++
	}
	if (len(result.Faults)+result.MoreFaults)%importChunk != 0 {
		return nil
	}
	return m.breathe(ctx)
}

// noteBundleWithheld keeps notices of a bundle, in the name of whoever sent the bundle, and counts them. One that is here already is from somebody nearer
// to the key, and stays.
func (m *Machine) noteBundleWithheld(ctx context.Context, notices []keyfile.Withheld, result *BundleResult) error {
	if len(notices) == 0 {
		return nil
	}
	names := make([]store.Key, len(notices))
	for i := range notices {
		names[i] = record.SessionKey(notices[i].RoomID, notices[i].SessionID)
	}
	rows, err := m.store.Get(ctx, store.Withheld, names)
	if err != nil {
		return err
	}
	kept := 0
	for i := range notices {
		w := &notices[i]
		if rows[i].Rev != 0 {
			m.takeWithheld(&rows[i])
		}
		if in := m.shelf.session(sessionName{w.RoomID, w.SessionID}); in.withheld == nil {
			in.withheld = &withheldNotice{Withheld: Withheld{
				RoomID: w.RoomID, SessionID: w.SessionID, Sender: result.Forwarder.Data.UserID, SenderKey: w.SenderKey, Code: w.Code, Reason: w.Reason,
			}}
			m.shelf.queue(in)
			kept++
		}
	}
	if err := m.flush(ctx); err != nil {
		return err
	}
	result.Withheld += kept
	return nil
}
