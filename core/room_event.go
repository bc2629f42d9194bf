package core

import (
	"github.com/go-json-experiment/json/jsontext"

	"knownsender/core/ids"
	"knownsender/core/megolm"
	"knownsender/core/sender"
	"knownsender/core/signedjson"
)

// maxRoomEvent is the largest room event that is read, in bytes. The specification allows 64 KiB for an event; servers add `unsigned`.
const maxRoomEvent = 1 << 20

// roomEvent is an m.room.encrypted room event, parsed at the edge. What a server can put there is not trusted for anything but finding the
// session; the deprecated sender_key and device_id are not read at all (MSC3700).
type roomEvent struct {
	object     *signedjson.Object // nil where only its names are known, and content with it
	content    *signedjson.Object
	sender     ids.UserID // empty when what stands there is no user id (T57)
	eventID    ids.EventID
	name       sessionName
	ciphertext string
}

// parseRoomEvent reads an encrypted event of the room. The error is a *DecryptionError: bad_event.
func parseRoomEvent(raw []byte, room ids.RoomID) (*roomEvent, error) {
	object, err := signedjson.ParseLimit(raw, maxRoomEvent)
	if err != nil {
		return nil, badEvent("", err)
	}
	return readRoomEvent(object, room)
}

func readRoomEvent(object *signedjson.Object, room ids.RoomID) (*roomEvent, error) {
	e := &roomEvent{object: object}
	kind, err := object.String("type")
	if err != nil {
		return nil, badEvent("type", err)
	}
	if kind != "m.room.encrypted" {
		return nil, &DecryptionError{Code: CodeBadEvent, Member: "type", Expected: "m.room.encrypted", Got: kind}
	}
	if inside, present, err := object.OptionalString("room_id"); err != nil {
		return nil, badEvent("room_id", err)
	} else if present && inside != string(room) {
		return nil, &DecryptionError{Code: CodeBadEvent, Member: "room_id", Expected: string(room), Got: inside}
	}
	// A sender that is missing or no user id is not an error of the event's form: it decrypts, and is withheld by every policy (T57).
	if from, present, err := object.OptionalString("sender"); err == nil && present {
		e.sender, _ = ids.ParseUserID(from)
	}
	id, err := object.String("event_id")
	if err != nil {
		return nil, badEvent("event_id", err)
	}
	if e.eventID, err = ids.ParseEventID(id); err != nil {
		return nil, badEvent("event_id", err)
	}
	if e.content, err = object.Object("content"); err != nil {
		return nil, badEvent("content", err)
	}
	algorithm, err := e.content.String("algorithm")
	if err != nil {
		return nil, badEvent("content.algorithm", err)
	}
	if algorithm != sender.MegolmAlgorithm {
		return nil, &DecryptionError{Code: CodeBadEvent, Member: "content.algorithm", Expected: sender.MegolmAlgorithm, Got: algorithm}
	}
	session, err := e.content.String("session_id")
	if err != nil {
		return nil, badEvent("content.session_id", err)
	}
	e.name.room = room
	if e.name.session, err = megolm.ParseSessionID(session); err != nil {
		return nil, badEvent("content.session_id", err)
	}
	if e.ciphertext, err = e.content.String("ciphertext"); err != nil {
		return nil, badEvent("content.ciphertext", err)
	}
	return e, nil
}

// clear puts the clear event together: type and content from inside, everything else from outside. m.relates_to may travel in the clear so
// that servers can aggregate it, and is copied in where the inside has none.
func (e *roomEvent) clear(inside *signedjson.Object) ([]byte, error) {
	kind, err := inside.String("type")
	if err != nil {
		return nil, &DecryptionError{Code: CodeBadPlaintext, Member: "type", cause: err}
	}
	content, err := inside.Object("content")
	if err != nil {
		return nil, &DecryptionError{Code: CodeBadPlaintext, Member: "content", cause: err}
	}
	out := append(make([]byte, 0, len(inside.Raw())), '{')
	out = signedjson.AppendName(out, "type")
	out = signedjson.AppendString(out, kind)
	out = signedjson.AppendName(out, "content")
	if e.object == nil {
		return append(append(out, content.Raw()...), '}'), nil
	}
	out = e.appendContent(out, content)
	e.object.Range(func(name string, value jsontext.Value) bool {
		if name != "type" && name != "content" {
			out = append(signedjson.AppendName(out, name), value...)
		}
		return true
	})
	return append(out, '}'), nil
}

const relatesTo = "m.relates_to"

func (e *roomEvent) appendContent(out []byte, inside *signedjson.Object) []byte {
	relation, outside := e.content.Value(relatesTo)
	if _, already := inside.Value(relatesTo); already || !outside {
		return append(out, inside.Raw()...)
	}
	out = append(out, '{')
	inside.Range(func(name string, value jsontext.Value) bool {
		out = append(signedjson.AppendName(out, name), value...)
		return true
	})
	out = append(signedjson.AppendName(out, relatesTo), relation...)
	return append(out, '}')
}

// nested is an encrypted event that a server bundled into another's `unsigned`.
type nested struct {
	Location string
	object   *signedjson.Object
}

// The places of nested events, named as matrix-sdk-crypto's UnsignedEventLocation.
const (
	LocationReplace      = "RelationsReplace"
	LocationThreadLatest = "RelationsThreadLatestEvent"
)

// nested lists the encrypted events in unsigned.m.relations. Whatever is not of that form is the server's ornament and passed over.
func (e *roomEvent) nested() []nested {
	unsigned, err := e.object.Object("unsigned")
	if err != nil {
		return nil
	}
	relations, err := unsigned.Object("m.relations")
	if err != nil {
		return nil
	}
	var found []nested
	add := func(location string, object *signedjson.Object, err error) {
		if err != nil {
			return
		}
		if kind, err := object.String("type"); err == nil && kind == "m.room.encrypted" {
			found = append(found, nested{location, object})
		}
	}
	replace, err := relations.Object("m.replace")
	add(LocationReplace, replace, err)
	if thread, err := relations.Object("m.thread"); err == nil {
		latest, err := thread.Object("latest_event")
		add(LocationThreadLatest, latest, err)
	}
	return found
}
