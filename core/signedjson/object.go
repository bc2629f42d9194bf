// Package signedjson reads JSON objects of which other people have signed every byte that counts.
//
// Two readers that understand one text differently are how signatures get bypassed (T51, T52). So a text is refused whenever readers are
// known to differ: a name twice in one object, in whatever spelling, bytes that are no UTF-8, halves of surrogate pairs, a byte order
// mark, numbers that lose precision. What is signed is the object as it was received, unknown members included, never something encoded
// again from what we understood of it. Strings, numbers and escapes are judged by jsontext; there is no reflection.
package signedjson

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"knownsender/core/redact"
)

const (
	// MaxSize is the most bytes Parse accepts: what the specification allows a whole event.
	MaxSize = 64 << 10
	// MaxDepth is the deepest nesting accepted, the outermost object counting as one.
	MaxDepth = 32
)

// Object is one JSON object as received. It refers to the bytes it was parsed from, which must not change while it is in use. It may hold
// secrets: fmt prints none of it. Not safe for concurrent use.
type Object struct {
	redact.Secret
	raw     []byte
	members []member
	signed  []byte // what SignedBytes found, so that it is made once for all signatures on it
}

// Parse takes raw, at most MaxSize bytes, for one JSON object with nothing but white space around it. The error is an *Error: too_large,
// too_deep, byte_order_mark, bad_utf8, duplicate_member, bad_json, or wrong_type when it is JSON but no object.
func Parse(raw []byte) (*Object, error) { return ParseLimit(raw, MaxSize) }

// ParseLimit is Parse with another limit of bytes.
func ParseLimit(raw []byte, limit int) (*Object, error) {
	if err := checkOutside(raw, limit); err != nil {
		return nil, err
	}
	// The walk goes first: it stops where a text is too deep, which jsontext would follow down 10,000 levels, and the stack with it.
	o, whole := index(raw, MaxDepth-1)
	if !whole || !jsontext.Value(raw).IsValid() {
		return nil, whyRefused(raw)
	}
	return o, nil
}

// checkOutside is what can be said of a text without reading it.
func checkOutside(raw []byte, limit int) error {
	if len(raw) > limit {
		return &Error{Code: CodeTooLarge, Expected: "at most " + strconv.Itoa(limit) + " bytes", Got: strconv.Itoa(len(raw))}
	}
	if bytes.HasPrefix(raw, []byte("\xef\xbb\xbf")) {
		return &Error{Code: CodeByteOrderMark}
	}
	return nil
}

// whyRefused reads a refused text again, to tell why it was refused.
func whyRefused(raw []byte) error {
	if deeperThan(raw, MaxDepth) {
		return &Error{Code: CodeTooDeep, Expected: "at most " + strconv.Itoa(MaxDepth) + " levels"}
	}
	value := jsontext.Value(raw)
	if value.IsValid() {
		return &Error{Code: CodeWrongType, Expected: "object", Got: nameOf(value.Kind())}
	}
	decoder := jsontext.NewDecoder(bytes.NewBuffer(raw))
	_, err := decoder.ReadValue()
	if err == nil {
		// The value itself was well: something follows it.
		return &Error{Code: CodeBadJSON, Expected: "the end of the text", Offset: int(decoder.InputOffset())}
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return &Error{Code: CodeDuplicateMember}
	}
	if value.IsValid(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)) {
		return &Error{Code: CodeBadUTF8}
	}
	offset := len(raw)
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) && !errors.Is(err, io.ErrUnexpectedEOF) {
		offset = int(syntactic.ByteOffset)
	}
	return &Error{Code: CodeBadJSON, Offset: offset}
}

// index lists the members of an object, none of which may be nested deeper than depth, and reports whether that was all there is. What
// the members hold is for jsontext to judge.
func index(raw []byte, depth int) (o *Object, whole bool) {
	o = &Object{raw: raw}
	if jsontext.Value(raw).Kind() != '{' {
		return o, false
	}
	o.members = make([]member, 0, min(1+len(raw)/64, 8)) // a member of Matrix takes 64 bytes or more, mostly
	for w := into(raw, depth); ; {
		m, ok := w.next()
		if !ok {
			return o, w.all()
		}
		o.members = append(o.members, m)
	}
}

// Raw is the text the object was parsed from. It must not be changed.
func (o *Object) Raw() []byte { return o.raw }

// Len is the number of members.
func (o *Object) Len() int { return len(o.members) }

// Range calls f for each member, in the order they were written, until it answers false.
func (o *Object) Range(f func(name string, value jsontext.Value) bool) {
	for i := range o.members {
		if !f(string(o.members[i].name), o.members[i].value) {
			return
		}
	}
}

// Value is the member as written. It takes time in proportion to the number of members: for maps of thousands there is Range.
func (o *Object) Value(name string) (value jsontext.Value, present bool) {
	for i := range o.members {
		if string(o.members[i].name) == name {
			return o.members[i].value, true
		}
	}
	return nil, false
}

// String reads a member that must be there and be a string. The error is an *Error: missing_member, wrong_type or nul_character.
func (o *Object) String(name string) (string, error) {
	value, err := o.require(name, '"')
	if err != nil {
		return "", err
	}
	return text(name, value)
}

// OptionalString reads a member that must be a string when it is there; null is not absence. The error is an *Error: wrong_type or
// nul_character.
func (o *Object) OptionalString(name string) (s string, present bool, err error) {
	if _, present = o.Value(name); !present {
		return "", false, nil
	}
	s, err = o.String(name)
	return s, err == nil, err
}

// Bool reads a member that must be there and be true or false. The error is an *Error: missing_member or wrong_type.
func (o *Object) Bool(name string) (bool, error) {
	value, present := o.Value(name)
	if !present {
		return false, &Error{Code: CodeMissingMember, Member: name, Expected: "boolean"}
	}
	kind := value.Kind()
	if kind != 't' && kind != 'f' {
		return false, &Error{Code: CodeWrongType, Member: name, Expected: "boolean", Got: nameOf(kind)}
	}
	return kind == 't', nil
}

// Int reads a member that must be there and be an integer as canonical JSON has them. The error is an *Error: missing_member, wrong_type
// or bad_number.
func (o *Object) Int(name string) (int64, error) {
	value, err := o.require(name, '0')
	if err != nil {
		return 0, err
	}
	if fault := numberFault(value); fault != "" {
		return 0, &Error{Code: CodeBadNumber, Member: name, Expected: integerWanted, Got: fault}
	}
	// numberFault has seen at most 16 digits: the error cannot be.
	number, _ := strconv.ParseInt(string(value), 10, 64)
	return number, nil
}

// Object reads a member that must be there and be an object. It was judged with the whole; nothing is parsed twice. The error is an
// *Error: missing_member or wrong_type.
func (o *Object) Object(name string) (*Object, error) {
	value, err := o.require(name, '{')
	if err != nil {
		return nil, err
	}
	inner, _ := index(value, anyDepth)
	return inner, nil
}

// Strings reads a member that must be there and be an array of strings. The error is an *Error: missing_member, wrong_type or
// nul_character.
func (o *Object) Strings(name string) ([]string, error) {
	value, err := o.require(name, '[')
	if err != nil {
		return nil, err
	}
	list := []string{}
	for w := into(value, anyDepth); ; {
		element, ok := w.element()
		if !ok {
			return list, nil
		}
		if kind := element.Kind(); kind != '"' {
			return nil, &Error{Code: CodeWrongType, Member: name, Expected: "array of strings", Got: nameOf(kind) + " in it"}
		}
		s, err := text(name, element)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
}

// RefuseVariants looks for members that equal one of the known names, which are ASCII, but for case, folded as Unicode folds it. Readers that ignore case,
// Go's encoding/json among them, take "Room_ID" for "room_id", and "\u212aeys" for "keys": the sender could show them one value
// and us another (T51). The error is an *Error with code case_variant_member and the known name.
func (o *Object) RefuseVariants(known ...string) error {
	for i := range o.members {
		name := o.members[i].name
		for _, k := range known {
			if string(name) != k && foldsTo(name, k) {
				return &Error{Code: CodeCaseVariantMember, Member: k}
			}
		}
	}
	return nil
}

// foldsTo reports whether name equals known, which is ASCII, but for case. What folds to one ASCII letter has at most three bytes.
func foldsTo(name []byte, known string) bool {
	if len(name) < len(known) || len(name) > 3*len(known) {
		return false
	}
	if name[0] < utf8.RuneSelf && name[0]|0x20 != known[0]|0x20 {
		return false // nearly all pairs
	}
	return strings.EqualFold(string(name), known)
}

func (o *Object) require(name string, kind jsontext.Kind) (jsontext.Value, error) {
	value, present := o.Value(name)
	if !present {
		return nil, &Error{Code: CodeMissingMember, Member: name, Expected: nameOf(kind)}
	}
	if got := value.Kind(); got != kind {
		return nil, &Error{Code: CodeWrongType, Member: name, Expected: nameOf(kind), Got: nameOf(got)}
	}
	return value, nil
}

// text reads a string value.
func text(name string, value jsontext.Value) (string, error) {
	plain := unescaped(value)
	if bytes.IndexByte(plain, 0) >= 0 {
		return "", &Error{Code: CodeNULCharacter, Member: name}
	}
	return string(plain), nil
}

func nameOf(kind jsontext.Kind) string {
	switch kind {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case '0':
		return "number"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "nothing"
}
