package keyfile

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"math"

	"github.com/go-json-experiment/json/jsontext"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/redact"
	"knownsender/core/sender"
	"knownsender/core/signedjson"
)

// Room keys of a server-side backup, m.megolm_backup.v1.curve25519-aes-sha2 (specification, "Backup algorithm"). Each is sealed for the backup's
// public key: X25519 with an ephemeral key, HKDF-SHA-256 without salt to 80 bytes (AES 32, MAC 32, IV 16), AES-256-CBC with PKCS#7.
//
// The MAC is the first 8 bytes of HMAC-SHA-256 over nothing at all: so the first implementation computed it, and the specification and everybody
// since. It tells that the backup's key agreed on the secret, and protects neither the ciphertext nor from the server, who knows the public key
// and can seal what it likes (T33). The rule: what comes out is a claim, and what stands beside the ciphertext not even that.

// SealedSession is a room key of a backup as the server has it. Nothing in it is secret or to be relied upon.
type SealedSession struct {
	FirstMessageIndex uint32 // what the uploader, or the server, says is the session's first known index
	ForwardedCount    int64  // how often it is said to have been forwarded
	IsVerified        bool   // somebody's word, never a reason to trust (specification, KeyBackupData)
	Ephemeral         keys.Curve25519
	Ciphertext        []byte // whole blocks of AES, at least one
	MAC               [8]byte
}

// ParseBackupSession takes one KeyBackupData object. The error is a *BackupError, bad_backup_entry.
func ParseBackupSession(raw []byte) (*SealedSession, error) {
	o, err := signedjson.Parse(raw)
	if err != nil {
		return nil, badBackupEntry("", err)
	}
	s := &SealedSession{}
	index, err := o.Int("first_message_index")
	if err != nil || index < 0 || index > math.MaxUint32 {
		return nil, badBackupEntry("first_message_index", err)
	}
	s.FirstMessageIndex = uint32(index)
	if s.ForwardedCount, err = o.Int("forwarded_count"); err != nil || s.ForwardedCount < 0 {
		return nil, badBackupEntry("forwarded_count", err)
	}
	if s.IsVerified, err = o.Bool("is_verified"); err != nil {
		return nil, badBackupEntry("is_verified", err)
	}
	data, err := o.Object("session_data")
	if err != nil {
		return nil, badBackupEntry("session_data", err)
	}
	text, err := data.String("ephemeral")
	if err == nil {
		s.Ephemeral, err = keys.ParseCurve25519(text)
	}
	if err != nil {
		return nil, badBackupEntry("session_data.ephemeral", err)
	}
	if text, err = data.String("ciphertext"); err == nil {
		s.Ciphertext, err = keys.DecodeBase64(text)
	}
	if err != nil || len(s.Ciphertext) == 0 || len(s.Ciphertext)%aes.BlockSize != 0 {
		return nil, badBackupEntry("session_data.ciphertext", err)
	}
	var mac []byte
	if text, err = data.String("mac"); err == nil {
		mac, err = keys.DecodeBase64(text)
	}
	if err != nil || len(mac) != len(s.MAC) {
		return nil, badBackupEntry("session_data.mac", err)
	}
	s.MAC = [8]byte(mac)
	return s, nil
}

func badBackupEntry(member string, cause error) *BackupError {
	return &BackupError{Code: CodeBadBackupEntry, Member: member, Reason: reasonOf(cause), cause: cause}
}

// Agreement computes X25519 by whatever engine it has.
type Agreement interface {
	// Agree gives the secret of each exchange: the list is as long and in the same order, each 32 bytes, or nil where there is none. An error
	// means that nothing was decided.
	Agree(ctx context.Context, exchanges []keys.Exchange) ([][]byte, error)
	// Ephemeral makes count fresh keys, each with the secret it shares with public, 32 bytes, or nil where there is none. An error means that
	// nothing was decided.
	Ephemeral(ctx context.Context, public keys.Curve25519, count int) ([]Ephemeral, error)
}

// Ephemeral is one side of a key agreement of which the private key is gone already: what it takes to seal one session. It is secret.
type Ephemeral struct {
	redact.Secret
	_      [0]func() // not comparable with ==, which is not constant-time
	Public keys.Curve25519
	Shared []byte
}

// GoAgreement is the Agreement on the Go library. It answers before it returns.
type GoAgreement struct{}

// Agree agrees with each; the only error is that of ctx, looked at between two of them.
func (GoAgreement) Agree(ctx context.Context, exchanges []keys.Exchange) ([][]byte, error) {
	secrets := make([][]byte, len(exchanges))
	for i := range exchanges {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		secrets[i] = exchanges[i].Agree()
	}
	return secrets, nil
}

// Ephemeral makes the keys; the only error is that of ctx, looked at between two of them.
func (GoAgreement) Ephemeral(ctx context.Context, public keys.Curve25519, count int) ([]Ephemeral, error) {
	made := make([]Ephemeral, count)
	for i := range made {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		own, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			panic("internal error: the system has no randomness")
		}
		shared := keys.Exchange{Private: [32]byte(own.Bytes()), Public: public}
		made[i].Public, made[i].Shared = keys.Curve25519(own.PublicKey().Bytes()), shared.Agree()
	}
	return made, nil
}

// SharedSecrets is what k shares with the ephemeral key of each session, for SealedSession.Open. The error is that of the agreement.
func (k *BackupKey) SharedSecrets(ctx context.Context, a Agreement, sessions []*SealedSession) ([][]byte, error) {
	exchanges := make([]keys.Exchange, len(sessions))
	defer clear(exchanges)
	for i, s := range sessions {
		exchanges[i].Private, exchanges[i].Public = k.private, s.Ephemeral
	}
	return a.Agree(ctx, exchanges)
}

// Open is the payload of the session, for ParseBackupEntry, and is secret; shared is wiped. The error is a *BackupError: bad_backup_secret,
// bad_backup_mac or bad_backup_ciphertext.
func (s *SealedSession) Open(shared []byte) ([]byte, error) {
	k, ok := deriveBackupKeys(shared)
	if !ok {
		return nil, &BackupError{Code: CodeBadBackupSecret}
	}
	defer clear(k)
	mac := k.mac()
	if !hmac.Equal(mac[:], s.MAC[:]) {
		return nil, &BackupError{Code: CodeBadBackupMAC}
	}
	padded := make([]byte, len(s.Ciphertext))
	cipher.NewCBCDecrypter(k.block(), k[64:]).CryptBlocks(padded, s.Ciphertext)
	padding := int(padded[len(padded)-1])
	good := padding >= 1 && padding <= aes.BlockSize
	if good {
		for _, b := range padded[len(padded)-padding:] {
			good = good && int(b) == padding
		}
	}
	if !good {
		clear(padded)
		return nil, &BackupError{Code: CodeBadBackupCiphertext}
	}
	return padded[:len(padded)-padding], nil
}

// Seal is c as a KeyBackupData object sealed for the backup that e was made for; with key, which may be nil, the sender data of a direct copy are
// in it. e seals once: its secret is wiped. The error is a *BackupError, bad_backup_secret, when the backup's public key keeps no secret.
func (e *Ephemeral) Seal(c *sender.Copy, key *SenderDataKey) ([]byte, error) {
	k, ok := deriveBackupKeys(e.Shared)
	if !ok {
		return nil, &BackupError{Code: CodeBadBackupSecret}
	}
	defer clear(k)
	payload := appendPayload(make([]byte, 0, 1024), c, key, false)
	padding := aes.BlockSize - len(payload)%aes.BlockSize
	for range padding {
		payload = append(payload, byte(padding))
	}
	cipher.NewCBCEncrypter(k.block(), k[64:]).CryptBlocks(payload, payload)
	mac := k.mac()

	dst := make([]byte, 0, 256+len(payload)*4/3)
	dst = signedjson.AppendInt(signedjson.AppendName(append(dst, '{'), "first_message_index"), int64(c.Session.FirstKnownIndex()))
	dst = signedjson.AppendInt(signedjson.AppendName(dst, "forwarded_count"), 0)
	dst = signedjson.AppendBool(signedjson.AppendName(dst, "is_verified"), false)
	dst = append(signedjson.AppendName(dst, "session_data"), '{')
	dst = append(signedjson.AppendName(dst, "ciphertext"), '"')
	dst = append(keys.EncodeBase64(dst, payload), '"')
	dst = appendText(dst, "ephemeral", e.Public.String())
	dst = appendText(dst, "mac", string(keys.EncodeBase64(nil, mac[:])))
	return append(dst, "}}"...), nil
}

// backupKeys are 32 bytes for AES, 32 for the MAC and 16 of initialisation vector.
type backupKeys []byte

// deriveBackupKeys wipes shared. A secret that is all zero is none: whoever sent the key chose it so (T30).
func deriveBackupKeys(shared []byte) (backupKeys, bool) {
	defer clear(shared)
	var none [32]byte
	if len(shared) != len(none) || subtle.ConstantTimeCompare(shared, none[:]) == 1 {
		return nil, false
	}
	derived, err := hkdf.Key(sha256.New, shared, nil, "", 80)
	if err != nil {
		panic("internal error: HKDF refuses 80 bytes")
	}
	return derived, true
}

// mac is over nothing; see the top of this file.
func (k backupKeys) mac() [8]byte {
	return [8]byte(hmac.New(sha256.New, k[32:64]).Sum(nil))
}

func (k backupKeys) block() cipher.Block {
	block, err := aes.NewCipher(k[:32])
	if err != nil {
		panic("internal error: AES refuses 32 bytes")
	}
	return block
}

// BackupRow is one session of an answer, or one part of it that cannot be read.
type BackupRow struct {
	RoomID    ids.RoomID       // empty when the room itself cannot be read
	SessionID megolm.SessionID // zero when the session id cannot be read
	Raw       []byte           // the KeyBackupData object as it stands in the answer, for ParseBackupSession
	Err       *BackupError     // bad_backup_room (all of its sessions are lost) or bad_backup_entry; nil when there is a row
}

// EachBackupSession goes through an answer of GET /room_keys/keys and visits one session after the other, without looking into it; a room or a
// session that cannot be read is visited as such and costs itself only. visit ends the walk by answering false. The error is a *BackupError,
// bad_backup_answer, when the answer as a whole cannot be followed, for instance because it was cut off.
func EachBackupSession(answer []byte, visit func(BackupRow) bool) error {
	more, found := true, false
	whole := signedjson.EachMember(answer, func(quoted []byte, rooms jsontext.Value) bool {
		if name, ok := signedjson.Unquote(quoted); !ok || name != "rooms" {
			return true
		}
		found = signedjson.EachMember(rooms, func(quoted []byte, room jsontext.Value) bool {
			more = eachInRoom(quoted, room, visit)
			return more
		})
		return more && found
	})
	if more && !(whole && found) {
		return &BackupError{Code: CodeBadBackupAnswer}
	}
	return nil
}

// eachInRoom visits the sessions of one room, and answers false when visit did.
func eachInRoom(quoted []byte, room jsontext.Value, visit func(BackupRow) bool) bool {
	text, ok := signedjson.Unquote(quoted)
	id, err := ids.ParseRoomID(text)
	if !ok || err != nil {
		return visit(BackupRow{Err: &BackupError{Code: CodeBadBackupRoom, Reason: ids.CodeBadRoomID, cause: err}})
	}
	more, found := true, false
	whole := signedjson.EachMember(room, func(quoted []byte, sessions jsontext.Value) bool {
		if name, ok := signedjson.Unquote(quoted); !ok || name != "sessions" {
			return true
		}
		found = signedjson.EachMember(sessions, func(quoted []byte, session jsontext.Value) bool {
			row := BackupRow{RoomID: id, Raw: session}
			text, ok := signedjson.Unquote(quoted)
			if row.SessionID, err = megolm.ParseSessionID(text); !ok || err != nil {
				row.Raw, row.Err = nil, &BackupError{Code: CodeBadBackupEntry, Member: "session_id", Reason: megolm.CodeBadSessionID, cause: err}
			}
			more = visit(row)
			return more
		})
		return more && found
	})
	if more && !(whole && found) {
		return visit(BackupRow{RoomID: id, Err: &BackupError{Code: CodeBadBackupRoom, Member: "sessions"}})
	}
	return more
}

// Format keeps them out of texts.
func (backupKeys) Format(f fmt.State, verb rune) { redact.Secret{}.Format(f, verb) }
