//go:build js && wasm && olm

package main

import (
	"context"

	"knownsender/core"
	"knownsender/core/crosssigning"
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/jsbridge"
)

// Our own identity, for a machine whose Olm account is here.

func (p *program) registerCrossSigning(door *jsbridge.Door) {
	door.Async("bootstrapCrossSigning", p.opened(1, p.bootstrapCrossSigning))
	door.Async("importCrossSigningKeys", p.opened(3, p.importCrossSigningKeys))
	door.Async("exportCrossSigningKeys", p.opened(0, p.exportCrossSigningKeys))
	door.Async("crossSigningStatus", p.opened(0, p.crossSigningStatus))
	door.Async("verifyIdentity", p.opened(2, p.verifyIdentity))
	door.Async("verifyDevice", p.opened(2, p.verifyDevice))
}

// bootstrapCrossSigning takes "true" for a reset.
func (p *program) bootstrapCrossSigning(ctx context.Context, args [][]byte) ([]byte, error) {
	requests, err := p.machine.BootstrapCrossSigning(ctx, string(args[0]) == "true")
	if err != nil {
		return nil, err
	}
	return object(nil, func(dst []byte) []byte {
		dst = appendRequestOrNull(name(dst, "uploadKeysRequest"), requests.UploadKeys)
		dst = appendRequest(name(dst, "uploadSigningKeysRequest"), &requests.UploadSigningKeys)
		return appendRequest(name(dst, "uploadSignaturesRequest"), &requests.UploadSignatures)
	}), nil
}

// importCrossSigningKeys takes the seeds of the master, the self-signing and the user-signing key, each empty when it is not there.
func (p *program) importCrossSigningKeys(ctx context.Context, args [][]byte) ([]byte, error) {
	defer p.wake()
	status, err := p.machine.ImportCrossSigningKeys(ctx, crosssigning.Export{Master: string(args[0]), SelfSigning: string(args[1]), UserSigning: string(args[2])})
	return appendCrossSigningStatus(status), err
}

// exportCrossSigningKeys answers with the seeds, those that are not there left out, or null.
func (p *program) exportCrossSigningKeys(ctx context.Context, _ [][]byte) ([]byte, error) {
	export, err := p.machine.ExportCrossSigningKeys(ctx)
	if err != nil || export == (crosssigning.Export{}) {
		return []byte("null"), err
	}
	return object(nil, func(dst []byte) []byte {
		for _, key := range [...][2]string{{"masterKey", export.Master}, {"self_signing_key", export.SelfSigning}, {"userSigningKey", export.UserSigning}} {
			if key[1] != "" {
				dst = text(dst, key[0], key[1])
			}
		}
		return dst
	}), nil
}

func (p *program) crossSigningStatus(ctx context.Context, _ [][]byte) ([]byte, error) {
	status, err := p.machine.CrossSigningStatus(ctx)
	return appendCrossSigningStatus(status), err
}

func appendCrossSigningStatus(s core.CrossSigningStatus) []byte {
	return object(nil, func(dst []byte) []byte {
		return flag(flag(flag(dst, "hasMaster", s.HasMaster), "hasSelfSigning", s.HasSelfSigning), "hasUserSigning", s.HasUserSigning)
	})
}

// verifyIdentity takes user and master key; the answer is a request, or null.
func (p *program) verifyIdentity(ctx context.Context, args [][]byte) ([]byte, error) {
	user, err := ids.ParseUserID(string(args[0]))
	if err != nil {
		return nil, err
	}
	master, err := keys.ParseEd25519(string(args[1]))
	if err != nil {
		return nil, err
	}
	defer p.wake()
	request, err := p.machine.VerifyIdentity(ctx, user, master)
	return appendRequestOrNull(nil, request), err
}

// verifyDevice takes device and fingerprint; the answer is a request, or null.
func (p *program) verifyDevice(ctx context.Context, args [][]byte) ([]byte, error) {
	device, err := ids.ParseDeviceID(string(args[0]))
	if err != nil {
		return nil, err
	}
	fingerprint, err := keys.ParseEd25519(string(args[1]))
	if err != nil {
		return nil, err
	}
	defer p.wake()
	request, err := p.machine.VerifyDevice(ctx, device, fingerprint)
	return appendRequestOrNull(nil, request), err
}

// appendRequestOrNull writes a request to send, null for none.
func appendRequestOrNull(dst []byte, r *lane.Request) []byte {
	if r == nil {
		return append(dst, "null"...)
	}
	return appendRequest(dst, r)
}
