//go:build js && wasm

package main

import (
	"context"
	"crypto/rand"
	"math"
	"strconv"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/keyfile"
	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/sender"
	"knownsender/core/signedjson"
	"knownsender/jsbridge"
)

// registerImports lists the methods for room keys that did not come from their sender, and for those that go away.
func (p *program) registerImports(door *jsbridge.Door) {
	door.Async("decryptKeyFile", p.decryptKeyFile)
	door.Async("encryptKeyFile", p.encryptKeyFile)

	door.Sync("recoveryKey", recoveryKey)

	door.Async("beginImport", p.opened(3, p.beginImport))
	door.Async("writeImport", p.opened(2, p.writeImport))
	door.Sync("importCounts", p.openedNow(1, p.importCounts))
	door.Async("endImport", p.opened(1, p.endImport))
	door.Async("abortImport", p.opened(1, p.abortImport))

	door.Sync("beginExport", p.openedNow(0, p.beginExport))
	door.Async("nextExport", p.opened(1, p.nextExport))
	door.Sync("endExport", p.openedNow(1, p.endExport))

	door.Async("backup", p.opened(0, p.backup))
	door.Async("enableBackup", p.opened(2, p.enableBackup))
	door.Async("disableBackup", p.opened(0, p.disableBackup))
	door.Async("backupRoomKeys", p.opened(0, p.backupRoomKeys))
	door.Async("uploadRoomKeys", p.opened(0, p.uploadRoomKeys))
	door.Async("markBackedUp", p.opened(1, p.markBackedUp))

	door.Async("requestRoomKey", p.opened(2, p.requestRoomKey))
	door.Async("cancelRoomKeyRequest", p.opened(2, p.cancelRoomKeyRequest))
	door.Async("receiveForwardedRoomKeys", p.opened(-1, p.receiveForwardedRoomKeys))

	door.Sync("roomKeyBundleDescriptor", p.openedNow(3, p.roomKeyBundleDescriptor))
	door.Async("receiveRoomKeyBundle", p.opened(4, p.receiveRoomKeyBundle))
	door.Async("buildRoomKeyBundle", p.opened(1, p.buildRoomKeyBundle))
}

// decryptKeyFile takes the text of a key-export file and the passphrase, and answers with its content. No machine is needed.
func (p *program) decryptKeyFile(ctx context.Context, args [][]byte) ([]byte, error) {
	if err := jsbridge.Arguments(args, 2); err != nil {
		return nil, err
	}
	return keyfile.DecryptFile(ctx, args[0], string(args[1]), jsbridge.NewWebCrypto(p.host))
}

// encryptKeyFile takes the content, the passphrase and the rounds, 0 for the usual number, and answers with a file.
func (p *program) encryptKeyFile(ctx context.Context, args [][]byte) ([]byte, error) {
	if err := jsbridge.Arguments(args, 3); err != nil {
		return nil, err
	}
	rounds, err := strconv.ParseUint(string(args[2]), 10, 32)
	if err != nil {
		rounds = math.MaxUint32 // which is too many, and said by the same error
	}
	return keyfile.EncryptFile(ctx, args[0], string(args[1]), uint32(rounds), rand.Reader, jsbridge.NewWebCrypto(p.host))
}

// number gives a thing that JavaScript holds on to its name.
func (p *program) number() string {
	p.last++
	return strconv.Itoa(p.last)
}

func (p *program) id(id string) []byte {
	return object(nil, func(dst []byte) []byte { return text(dst, "id", id) })
}

// recoveryKey takes a recovery key as people write it down, and answers with the base64 of the 32 bytes that it stands for.
func recoveryKey(args [][]byte) ([]byte, error) {
	if err := jsbridge.Arguments(args, 1); err != nil {
		return nil, err
	}
	key, err := keyfile.ParseRecoveryKey(string(args[0]))
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	return []byte(key.Base64()), nil
}

// beginImport takes the version of the backup, empty for a file; what the key is given as: base64, recovery or none; and the key.
func (p *program) beginImport(ctx context.Context, args [][]byte) ([]byte, error) {
	options := core.ImportOptions{BackupVersion: string(args[0])}
	var err error
	kind := string(args[1])
	if version := options.BackupVersion; kind != "none" && (version == "" || len(version) > 255) {
		return nil, &core.BackupStateError{Code: core.CodeBadBackupVersion}
	}
	switch kind {
	case "none":
	case "base64":
		options.BackupKey, err = keyfile.ParseBackupKey(string(args[2]))
	case "recovery":
		options.BackupKey, err = keyfile.ParseRecoveryKey(string(args[2]))
	default:
		err = &jsbridge.Error{Code: "bad_request", Message: "There is no such kind of backup key.", Got: kind}
	}
	if err != nil {
		return nil, err
	}
	begun, err := p.machine.BeginImport(ctx, options)
	if err != nil {
		return nil, err
	}
	id := p.number()
	p.imports.keep(id, importing{begun, options.BackupKey})
	return p.id(id), nil
}

// importing is an import under way.
type importing struct {
	*core.Import
	key *keyfile.BackupKey // its pieces are parts of a backup, or nil
}

// done wipes what an import that has ended need not keep.
func (i importing) done() {
	if i.key != nil {
		i.key.Wipe()
	}
}

func (p *program) importNamed(arg []byte) (importing, error) {
	if found, known := p.imports.find(arg); known {
		return found, nil
	}
	return importing{}, &core.RequestError{ID: string(arg)}
}

// writeImport takes the id of an import and the next piece.
func (p *program) writeImport(ctx context.Context, args [][]byte) ([]byte, error) {
	found, err := p.importNamed(args[0])
	if err != nil {
		return nil, err
	}
	write := found.Write
	if found.key != nil {
		write = found.WriteBackup
	}
	return []byte("{}"), write(ctx, args[1])
}

func (p *program) importCounts(args [][]byte) ([]byte, error) {
	found, err := p.importNamed(args[0])
	if err != nil {
		return nil, err
	}
	counts := found.Counts()
	return object(nil, func(dst []byte) []byte { return appendCounts(dst, &counts) }), nil
}

// endImport answers with the result of an import and lets go of it; abortImport only lets go of it.
func (p *program) endImport(ctx context.Context, args [][]byte) ([]byte, error) {
	found, err := p.importNamed(args[0])
	if err != nil {
		return nil, err
	}
	defer found.done()
	defer p.imports.letGo(args[0]) // the end may take some time, in which it is asked how far it is, or stopped
	if err := found.End(ctx); err != nil {
		return nil, err
	}
	return appendImported(nil, &found.ImportResult), nil
}

func (p *program) abortImport(_ context.Context, args [][]byte) ([]byte, error) {
	found, known := p.imports.letGo(args[0])
	if !known {
		return nil, &core.RequestError{ID: string(args[0])}
	}
	found.Abort()
	found.done()
	return []byte("{}"), nil
}

func (p *program) beginExport([][]byte) ([]byte, error) {
	id := p.number()
	p.exports.keep(id, p.machine.BeginExport())
	return p.id(id), nil
}

// nextExport takes the id of an export and answers with a list of exported room keys, empty at the end.
func (p *program) nextExport(ctx context.Context, args [][]byte) ([]byte, error) {
	found, known := p.exports.find(args[0])
	if !known {
		return nil, &core.RequestError{ID: string(args[0])}
	}
	copies, err := found.Next(ctx)
	if err != nil {
		return nil, err
	}
	return array(make([]byte, 0, 2+1024*len(copies)), len(copies), func(dst []byte, i int) []byte {
		return p.machine.AppendExported(dst, copies[i])
	}), nil
}

func (p *program) endExport(args [][]byte) ([]byte, error) {
	p.exports.letGo(args[0])
	return []byte("{}"), nil
}

func (p *program) backup(ctx context.Context, _ [][]byte) ([]byte, error) {
	backup, err := p.machine.Backup(ctx)
	if err != nil || backup.Version == "" {
		return []byte("null"), err
	}
	return object(nil, func(dst []byte) []byte {
		dst = text(dst, "version", backup.Version)
		if !backup.Enabled() {
			return textOrNull(dst, "publicKey", "")
		}
		return text(dst, "publicKey", backup.Public.String())
	}), nil
}

// enableBackup takes the public key and the version.
func (p *program) enableBackup(ctx context.Context, args [][]byte) ([]byte, error) {
	public, err := keys.ParseCurve25519(string(args[0]))
	if err != nil {
		return nil, err
	}
	return []byte("{}"), p.machine.EnableBackup(ctx, core.Backup{Version: string(args[1]), Public: public})
}

func (p *program) disableBackup(ctx context.Context, _ [][]byte) ([]byte, error) {
	return []byte("{}"), p.machine.DisableBackup(ctx)
}

func (p *program) backupRoomKeys(ctx context.Context, _ [][]byte) ([]byte, error) {
	request, err := p.machine.BackupRoomKeys(ctx)
	if err != nil || request == nil {
		return []byte("null"), err
	}
	return object(make([]byte, 0, 2*len(request.Body)), func(dst []byte) []byte {
		return number(text(requestMembers(dst, &request.Request), "version", request.Version), "count", int64(request.Count))
	}), nil
}

func (p *program) uploadRoomKeys(ctx context.Context, _ [][]byte) ([]byte, error) {
	uploaded, err := p.machine.UploadRoomKeys(ctx)
	return signedjson.AppendInt(nil, int64(uploaded)), err
}

func (p *program) markBackedUp(ctx context.Context, args [][]byte) ([]byte, error) {
	return []byte("{}"), p.machine.MarkBackedUp(ctx, string(args[0]))
}

// sessionOf parses a room and a session.
func sessionOf(args [][]byte) (room ids.RoomID, session megolm.SessionID, err error) {
	if room, err = ids.ParseRoomID(string(args[0])); err != nil {
		return room, session, err
	}
	session, err = megolm.ParseSessionID(string(args[1]))
	return room, session, err
}

func (p *program) requestRoomKey(ctx context.Context, args [][]byte) ([]byte, error) {
	room, session, err := sessionOf(args)
	if err != nil {
		return nil, err
	}
	request, err := p.machine.RequestRoomKey(ctx, room, session)
	if err != nil {
		return nil, err
	}
	return appendKeyRequest(nil, request), nil
}

func (p *program) cancelRoomKeyRequest(ctx context.Context, args [][]byte) ([]byte, error) {
	room, session, err := sessionOf(args)
	if err != nil {
		return nil, err
	}
	request, err := p.machine.CancelRoomKeyRequest(ctx, room, session)
	if err != nil {
		return nil, err
	}
	return appendKeyRequest(nil, request), nil
}

// receiveForwardedRoomKeys takes three arguments an event, as receiveRoomKeys.
func (p *program) receiveForwardedRoomKeys(ctx context.Context, args [][]byte) ([]byte, error) {
	events, err := olmEvents(args)
	if err != nil {
		return nil, err
	}
	receipts, err := p.machine.ReceiveForwardedRoomKeys(ctx, events)
	if err != nil {
		return nil, err
	}
	return array(nil, len(receipts), func(dst []byte, i int) []byte {
		r := &receipts[i]
		return object(dst, func(dst []byte) []byte {
			if r.Err != nil {
				return appendRefusal(name(flag(dst, "accepted", false), "refusal"), r.Err)
			}
			dst = appendCopyKey(flag(dst, "accepted", true), &r.Copy.CopyKey)
			return appendKeyRequest(name(dst, "cancellation"), r.Cancellation)
		})
	}), nil
}

// roomKeyBundleDescriptor takes an event: sender, sender key, payload.
func (p *program) roomKeyBundleDescriptor(args [][]byte) ([]byte, error) {
	descriptor, err := p.machine.BundleDescriptor(olmEvent(args))
	if err != nil {
		return nil, err
	}
	defer descriptor.Wipe()
	return object(nil, func(dst []byte) []byte {
		return text(text(dst, "roomId", string(descriptor.RoomID)), "url", descriptor.URL)
	}), nil
}

// receiveRoomKeyBundle takes an event and the encrypted file.
func (p *program) receiveRoomKeyBundle(ctx context.Context, args [][]byte) ([]byte, error) {
	result, err := p.machine.ReceiveRoomKeyBundle(ctx, olmEvent(args), args[3])
	if err != nil {
		return nil, err
	}
	return appendBundle(nil, result), nil
}

// buildRoomKeyBundle takes the room and answers with the content of a bundle, or with nothing.
func (p *program) buildRoomKeyBundle(ctx context.Context, args [][]byte) ([]byte, error) {
	room, err := ids.ParseRoomID(string(args[0]))
	if err != nil {
		return nil, err
	}
	return p.machine.BuildRoomKeyBundle(ctx, room)
}

// olmEvent is the event in three arguments.
func olmEvent(args [][]byte) sender.DecryptedOlmEvent {
	return sender.DecryptedOlmEvent{Sender: string(args[0]), SenderKey: string(args[1]), Payload: args[2]}
}

// olmEvents are the events in three arguments each.
func olmEvents(args [][]byte) ([]sender.DecryptedOlmEvent, error) {
	if len(args)%3 != 0 {
		return nil, jsbridge.Arguments(args, len(args)/3*3)
	}
	events := make([]sender.DecryptedOlmEvent, len(args)/3)
	for i := range events {
		events[i] = olmEvent(args[3*i:])
	}
	return events, nil
}
