package signedjson

import "github.com/go-json-experiment/json/jsontext"

// Envelope is the outside of a large answer whose insides come from many people, such as that of /keys/query: an object of which only the
// outermost level was read. What one user put into his part must not cost the others theirs (T49), so each value is parsed on its own, by
// ParseEnvelope for one more level or by Parse for good, and refused on its own.
//
// Nothing at all has been said of a value yet: it is text between two commas.
type Envelope struct {
	members []member
}

// ParseEnvelope reads the outermost level of raw, at most limit bytes. The error is an *Error: too_large, byte_order_mark, wrong_type,
// duplicate_member or bad_json.
func ParseEnvelope(raw []byte, limit int) (*Envelope, error) {
	if err := checkOutside(raw, limit); err != nil {
		return nil, err
	}
	if kind := jsontext.Value(raw).Kind(); kind != '{' {
		if kind == 0 {
			return nil, &Error{Code: CodeBadJSON}
		}
		return nil, &Error{Code: CodeWrongType, Expected: "object", Got: nameOf(kind)}
	}
	e := &Envelope{}
	seen := map[string]struct{}{}
	w := into(raw, anyDepth)
	for {
		m, ok := w.next()
		if !ok {
			break
		}
		if _, again := seen[string(m.name)]; again {
			return nil, &Error{Code: CodeDuplicateMember}
		}
		seen[string(m.name)] = struct{}{}
		e.members = append(e.members, m)
	}
	if !w.all() {
		return nil, &Error{Code: CodeBadJSON, Offset: w.at}
	}
	return e, nil
}

// Len is the number of members.
func (e *Envelope) Len() int { return len(e.members) }

// Range calls f for each member, in the order they were written, until it answers false. A name may be anything, UTF-8 or not, until it
// became an identifier.
func (e *Envelope) Range(f func(name string, value jsontext.Value) bool) {
	for i := range e.members {
		if !f(string(e.members[i].name), e.members[i].value) {
			return
		}
	}
}

// Value is the member as written, for envelopes of a few members with known names.
func (e *Envelope) Value(name string) (value jsontext.Value, present bool) {
	for i := range e.members {
		if string(e.members[i].name) == name {
			return e.members[i].value, true
		}
	}
	return nil, false
}
