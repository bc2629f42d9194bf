package signedjson

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Canonical JSON (specification, appendices, "Canonical JSON"): no white space, the shortest escapes, members sorted by code point,
// integers only.
//
// Sorting is by the bytes of the UTF-8, which is the order of code points. JavaScript's and RFC 8785's order is that of UTF-16, where the
// characters beyond U+FFFF come before U+E000 to U+FFFF; jsontext's own canonical form is therefore not Matrix's.
//
// One deviation from the letter: the specification's last example rewrites -0 to 0 and 1e10 to 10000000000. Nobody who signs writes
// those, peers disagree on them, and one who guesses at what was signed is one who can be made to guess wrong. They are refused.

const integerWanted = "an integer within 2^53 - 1 of zero, without fraction, exponent or negative zero"

// Canonical is the object in canonical form. The error is an *Error with code bad_number: all else that could be wrong, Parse refused.
func (o *Object) Canonical() ([]byte, error) {
	return o.canonical(func([]byte) bool { return true })
}

// SignedBytes is what a signature on the object is made over: its canonical form without the members `signatures` and `unsigned`, all
// others included whether known to us or not (T52). The same bytes are returned every time and must not be changed. The error is an *Error
// with code bad_number.
func (o *Object) SignedBytes() ([]byte, error) {
	if o.signed == nil {
		signed, err := o.canonical(func(name []byte) bool { return string(name) != "signatures" && string(name) != "unsigned" })
		if err != nil {
			return nil, err
		}
		o.signed = signed
	}
	return o.signed, nil
}

// canonical is the canonical form of the object with those members that keep wants.
func (o *Object) canonical(keep func(name []byte) bool) ([]byte, error) {
	c := canonicalizer{out: make([]byte, 0, len(o.raw)), members: make([]member, 0, len(o.members)+8)}
	for _, m := range o.members {
		if keep(m.name) {
			c.members = append(c.members, m)
		}
	}
	if err := c.object(0); err != nil {
		return nil, err
	}
	return c.out, nil
}

// canonicalizer writes canonical JSON. The members of the objects it is inside of lie on one stack, each object's above its parent's.
type canonicalizer struct {
	out     []byte
	members []member
}

// object writes the object whose members lie on the stack from start upwards, and takes them off.
func (c *canonicalizer) object(start int) error {
	slices.SortFunc(c.members[start:], func(a, b member) int { return bytes.Compare(a.name, b.name) })
	c.out = append(c.out, '{')
	for i, end := start, len(c.members); i < end; i++ {
		if i > start {
			c.out = append(c.out, ',')
		}
		m := c.members[i]
		c.string(m.name)
		c.out = append(c.out, ':')
		if err := c.value(m.value); err != nil {
			return err
		}
	}
	c.out = append(c.out, '}')
	c.members = c.members[:start]
	return nil
}

// value writes any value; it calls itself at most MaxDepth deep.
func (c *canonicalizer) value(value jsontext.Value) error {
	switch value.Kind() {
	case '{':
		start := len(c.members)
		for w := into(value, anyDepth); ; {
			m, ok := w.next()
			if !ok {
				return c.object(start)
			}
			c.members = append(c.members, m)
		}
	case '[':
		c.out = append(c.out, '[')
		for w, first := into(value, anyDepth), true; ; first = false {
			element, ok := w.element()
			if !ok {
				c.out = append(c.out, ']')
				return nil
			}
			if !first {
				c.out = append(c.out, ',')
			}
			if err := c.value(element); err != nil {
				return err
			}
		}
	case '"':
		if bytes.IndexByte(value, '\\') >= 0 {
			c.string(unescaped(value))
			return nil
		}
	case '0':
		if fault := numberFault(value); fault != "" {
			return &Error{Code: CodeBadNumber, Expected: integerWanted, Got: fault}
		}
	}
	c.out = append(c.out, value...) // has one form only: a string without escapes, a number, true, false, null
	return nil
}

// string writes a string with the shortest escapes: on those RFC 8785 and Matrix agree.
func (c *canonicalizer) string(plain []byte) {
	c.out, _ = jsontext.AppendQuote(c.out, plain) // the error is for invalid UTF-8, which Parse refused
}

// numberFault says in words why a JSON number is not an integer of canonical JSON, "" when it is.
func numberFault(number []byte) string {
	digits := bytes.TrimPrefix(number, []byte{'-'})
	for _, c := range digits {
		if c < '0' || c > '9' {
			return "a fraction or an exponent"
		}
	}
	if len(digits) < len(number) && digits[0] == '0' {
		return "negative zero"
	}
	// As many digits compare as text does.
	const most = "9007199254740991"
	if len(digits) > len(most) || len(digits) == len(most) && string(digits) > most {
		return "a number beyond 2^53 - 1"
	}
	return ""
}
