package core

import (
	"context"
	"slices"

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
	Faults    []keyfile.BundleFault // what was passed over, other rooms' keys among it
	Failures  []ImportFailure       // keys that contradict what is kept; positions among those that were read
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
// Errors: *sender.RoomKeyError for an announcement that is refused, *keyfile.BundleError, and those of the store.
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
	bundle, err := keyfile.ParseBundle(plaintext, descriptor.RoomID)
	if err != nil {
		return nil, err
	}
	result := &BundleResult{RoomID: descriptor.RoomID, Forwarder: by, Faults: bundle.Faults}
	if result.Withheld, err = m.noteBundleWithheld(ctx, bundle.Withheld, by.Data.UserID); err != nil {
		return nil, err
	}
	counting := m.newImport(ImportOptions{})
	for position, entry := range bundle.Entries {
		c := m.claimed(entry)
		c.Forwarder = &by
		if err := counting.add(ctx, importing{position: position, copy: c}); err != nil {
			return nil, err
		}
	}
	if err := counting.store(ctx); err != nil {
		return nil, err
	}
	result.ImportCounts, result.Failures = counting.ImportCounts, counting.Failures
	return result, nil
}

// noteBundleWithheld keeps notices of a bundle, in the name of whoever sent the bundle, and says how many. One that is here already is from
// somebody nearer to the key, and stays.
func (m *Machine) noteBundleWithheld(ctx context.Context, notices []keyfile.Withheld, by ids.UserID) (kept int, err error) {
	for some := range slices.Chunk(notices, importChunk) {
		names := make([]store.Key, len(some))
		for i := range some {
			names[i] = record.SessionKey(some[i].RoomID, some[i].SessionID)
		}
		rows, err := m.store.Get(ctx, store.Withheld, names)
		if err != nil {
			return kept, err
		}
		for i := range some {
			w := &some[i]
			if rows[i].Rev != 0 {
				m.takeWithheld(&rows[i])
			}
			if in := m.shelf.session(sessionName{w.RoomID, w.SessionID}); in.withheld == nil {
				in.withheld = &withheldNotice{Withheld: Withheld{
					RoomID: w.RoomID, SessionID: w.SessionID, Sender: by, SenderKey: w.SenderKey, Code: w.Code, Reason: w.Reason,
				}}
				m.shelf.queue(in)
				kept++
			}
		}
		if err := m.flush(ctx); err != nil {
			return kept, err
		}
	}
	return kept, nil
}
