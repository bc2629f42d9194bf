package keyfile

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/redact"
	"knownsender/core/signedjson"
)

// History bundles (MSC4268; specification 1.19, "Sharing keys between users"): the room keys of one room that somebody hands to a person he
// invites, as an encrypted attachment that an m.room_key_bundle describes. The rule: the description came through Olm and says what the file must
// be, so the file is held against it before it is looked into; what the file says of other rooms is passed over entry by entry (T45, scenario
// 114). Whether the one who sent it may be listened to at all is not decided here.

// MaxBundle is the most bytes a bundle may have: some hundred thousand room keys.
const MaxBundle = 64 << 20

// MaxBundleEntries is how many room keys and notices a bundle may list, readable or not.
const MaxBundleEntries = 100_000

// BundleDescriptor is the content of an m.room_key_bundle event. It is secret: the key of the file is in it.
type BundleDescriptor struct {
	redact.Secret
	_      [0]func() // not comparable with ==, which is not constant-time
	RoomID ids.RoomID
	URL    string // mxc://server/media
	key    [32]byte
	iv     [16]byte
	hash   [32]byte
}

// ParseBundleDescriptor takes the content of an m.room_key_bundle (before the specification had it: io.element.msc4268.room_key_bundle). The error
// is a *BundleError, bad_bundle_descriptor.
func ParseBundleDescriptor(content []byte) (*BundleDescriptor, error) {
	o, err := signedjson.Parse(content)
	if err == nil {
		err = o.RefuseVariants("room_id", "file")
	}
	if err != nil {
		return nil, badDescriptor("", err)
	}
	d := &BundleDescriptor{}
	room, err := o.String("room_id")
	if err == nil {
		d.RoomID, err = ids.ParseRoomID(room)
	}
	if err != nil {
		return nil, badDescriptor("room_id", err)
	}
	file, err := o.Object("file")
	if err == nil {
		err = file.RefuseVariants("v", "url", "key", "iv", "hashes")
	}
	if err != nil {
		return nil, badDescriptor("file", err)
	}
	if version, err := file.String("v"); err != nil || version != "v2" {
		return nil, badDescriptor("file.v", err)
	}
	if d.URL, err = file.String("url"); err != nil || !contentURI(d.URL) {
		return nil, badDescriptor("file.url", err)
	}
	if member, err := d.readKey(file); member != "" {
		return nil, badDescriptor(member, err)
	}
	text, err := file.String("iv")
	if err == nil {
		err = decodeInto(d.iv[:], text)
	}
	if err != nil {
		return nil, badDescriptor("file.iv", err)
	}
	hashes, err := file.Object("hashes")
	if err == nil {
		if text, err = hashes.String("sha256"); err == nil {
			err = decodeInto(d.hash[:], text)
		}
	}
	if err != nil {
		return nil, badDescriptor("file.hashes.sha256", err)
	}
	return d, nil
}

// readKey reads the JSON Web Key, and names the member that is not as the specification demands (EncryptedFile, JWK).
func (d *BundleDescriptor) readKey(file *signedjson.Object) (member string, cause error) {
	jwk, err := file.Object("key")
	if err != nil {
		return "file.key", err
	}
	for _, must := range [...][2]string{{"kty", "oct"}, {"alg", "A256CTR"}} {
		if value, err := jwk.String(must[0]); err != nil || value != must[1] {
			return "file.key." + must[0], err
		}
	}
	if extractable, err := jwk.Bool("ext"); err != nil || !extractable {
		return "file.key.ext", err
	}
	if operations, err := jwk.Strings("key_ops"); err != nil || !slices.Contains(operations, "decrypt") {
		return "file.key.key_ops", err
	}
	text, err := jwk.String("k")
	if err == nil {
		err = decodeInto(d.key[:], standardAlphabet(text))
	}
	if err != nil {
		return "file.key.k", err
	}
	return "", nil
}

func badDescriptor(member string, cause error) *BundleError {
	return &BundleError{Code: CodeBadBundleDescriptor, Member: member, Reason: reasonOf(cause), cause: cause}
}

// contentURI reports whether text is an mxc:// URI with a server and a media id.
func contentURI(text string) bool {
	rest, ok := strings.CutPrefix(text, "mxc://")
	server, media, _ := strings.Cut(rest, "/")
	return ok && len(text) <= 1024 && server != "" && media != "" && !strings.ContainsAny(media, "/?#") && !strings.ContainsAny(server, "?#")
}

// decodeInto fills dst from text, which must hold as many bytes. The error is a *keys.Error.
func decodeInto(dst []byte, text string) error {
	if len(text) != (len(dst)*8+5)/6 {
		return &keys.Error{Code: keys.CodeBadBase64}
	}
	_, err := keys.AppendDecode(dst[:0], text)
	return err
}

// standardAlphabet turns base64url into base64, and what is base64 alone into what is neither; without looking anything up, for it is a key.
func standardAlphabet(text string) string {
	out := []byte(text)
	for i, c := range out {
		is := func(symbol byte) byte { return -byte(subtle.ConstantTimeByteEq(c, symbol)) }
		out[i] = c&^(is('-')|is('_')|is('+')|is('/')) | is('-')&'+' | is('_')&'/'
	}
	return string(out)
}

// Wipe overwrites the key.
func (d *BundleDescriptor) Wipe() { clear(d.key[:]) }

// OpenBundle is the content of the encrypted file that d describes, for EachBundleItem; it is secret. The file is held against its hash first. The
// error is a *BundleError: bundle_too_large or bad_bundle_hash.
func OpenBundle(d *BundleDescriptor, encrypted []byte) ([]byte, error) {
	if len(encrypted) > MaxBundle {
		return nil, &BundleError{Code: CodeBundleTooLarge}
	}
	if sum := sha256.Sum256(encrypted); subtle.ConstantTimeCompare(sum[:], d.hash[:]) != 1 {
		return nil, &BundleError{Code: CodeBadBundleHash}
	}
	block, err := aes.NewCipher(d.key[:])
	if err != nil {
		panic("internal error: AES refuses 32 bytes")
	}
	plaintext := make([]byte, len(encrypted))
	cipher.NewCTR(block, d.iv[:]).XORKeyStream(plaintext, encrypted)
	return plaintext, nil
}

// Withheld is a notice of a bundle that a room key is not in it (the content of an m.room_key.withheld). It explains and never decides.
type Withheld struct {
	RoomID    ids.RoomID
	SessionID megolm.SessionID
	SenderKey keys.Curve25519
	Code      string // for example m.history_not_shared; at most 255 bytes
	Reason    string // for people, may be empty; at most 1024 bytes
}

// BundleItem is one element of a bundle: a room key, a notice, or what was passed over. It is secret.
type BundleItem struct {
	Entry    *Entry // marked as shared history, for that is why it was handed over
	Withheld *Withheld
	Fault    *BundleFault
}

// BundleFault says which entry of a bundle was passed over, and why.
type BundleFault struct {
	List     string // room_keys or withheld
	Position int    // in that list, from 0
	Err      *EntryError
}

// Names of the lists of a bundle.
const (
	listOfKeys    = "room_keys"
	listOfNotices = "withheld"
)

// EachBundleItem goes through the content of a bundle that was given for room, and holds none of it: each gets every element of its lists, in their
// order. What is in it for other rooms comes as a fault, foreign_room, what cannot be read with what is wrong with it. The error is a *BundleError,
// bundle_too_large or bad_bundle_json, of a bundle that is no good as a whole: then each was not called; or what each returned, which ends the walk.
func EachBundleItem(plaintext []byte, room ids.RoomID, each func(BundleItem) error) error {
	if len(plaintext) > MaxBundle {
		return &BundleError{Code: CodeBundleTooLarge}
	}
	count := 0
	err := eachBundleElement(plaintext, func(string, int, []byte) error {
		if count++; count > MaxBundleEntries {
			return &BundleError{Code: CodeBundleTooLarge}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return eachBundleElement(plaintext, func(list string, position int, raw []byte) error {
		item := BundleItem{}
		var fault error
		if list == listOfKeys {
			item.Entry, fault = bundledKey(raw, room)
		} else {
			item.Withheld, fault = bundledNotice(raw, room)
		}
		if fault != nil {
			item = BundleItem{Fault: &BundleFault{List: list, Position: position, Err: fault.(*EntryError)}}
		}
		return each(item)
	})
}

// eachBundleElement splits the lists of a bundle. The error is a *BundleError, bad_bundle_json, or what each returned.
func eachBundleElement(plaintext []byte, each func(list string, position int, raw []byte) error) error {
	seen := map[string]bool{}
	var stopped error
	whole := signedjson.EachMember(plaintext, func(quoted []byte, value jsontext.Value) bool {
		name, ok := signedjson.Unquote(quoted)
		switch {
		case !ok, seen[name]:
			stopped = &BundleError{Code: CodeBadBundleJSON, Reason: signedjson.CodeDuplicateMember}
			return false
		case name != listOfKeys && name != listOfNotices:
			return true
		}
		seen[name] = true
		var s Splitter
		err := s.Write(value, func(position int, raw []byte) error {
			stopped = each(name, position, raw)
			return stopped
		})
		if err == nil {
			err = s.Close()
		}
		if err != nil && stopped == nil {
			stopped = &BundleError{Code: CodeBadBundleJSON, Member: name}
		}
		return stopped == nil
	})
	if stopped == nil && !whole {
		return &BundleError{Code: CodeBadBundleJSON}
	}
	return stopped
}

func bundledKey(raw []byte, room ids.RoomID) (*Entry, error) {
	e, err := ParseEntry(raw)
	if err != nil {
		return nil, err
	}
	if e.RoomID != room {
		return nil, &EntryError{Code: CodeForeignRoom, Member: "room_id"}
	}
	e.SharedHistory = true
	return e, nil
}

func bundledNotice(raw []byte, room ids.RoomID) (*Withheld, error) {
	w, err := parseWithheld(raw)
	if err != nil {
		return nil, err
	}
	if w.RoomID != room {
		return nil, &EntryError{Code: CodeForeignRoom, Member: "room_id"}
	}
	return &w, nil
}

func parseWithheld(raw []byte) (w Withheld, err error) {
	o, err := parseObject(raw)
	if err != nil {
		return w, err
	}
	return ReadWithheld(o)
}

// ReadWithheld reads the content of an m.room_key.withheld of one session, be it of an event or of a bundle. The error is an *EntryError:
// missing_member, bad_member or unsupported_algorithm.
func ReadWithheld(o *signedjson.Object) (w Withheld, err error) {
	if err = requireMegolm(o); err != nil {
		return w, err
	}
	text, err := requireString(o, "room_id")
	if err != nil {
		return w, err
	}
	if w.RoomID, err = ids.ParseRoomID(text); err != nil {
		return w, badMember("room_id", err)
	}
	if text, err = requireString(o, "session_id"); err != nil {
		return w, err
	}
	if w.SessionID, err = megolm.ParseSessionID(text); err != nil {
		return w, badMember("session_id", err)
	}
	if text, err = requireString(o, "sender_key"); err != nil {
		return w, err
	}
	if w.SenderKey, err = keys.ParseCurve25519(text); err != nil {
		return w, badMember("sender_key", err)
	}
	if w.Code, err = requireString(o, "code"); err != nil {
		return w, err
	}
	if len(w.Code) > maxWithheldCode {
		return w, &EntryError{Code: CodeBadMember, Member: "code"}
	}
	if w.Reason, _, err = o.OptionalString("reason"); err != nil {
		return w, badMember("reason", err)
	}
	if len(w.Reason) > maxWithheldReason {
		return w, &EntryError{Code: CodeBadMember, Member: "reason"}
	}
	return w, nil
}

const (
	maxWithheldCode   = 255
	maxWithheldReason = 1024
)
