package signedjson

import (
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// EachMember goes through the members of a large object whose insides come from many people, such as an answer to /keys/query, without looking
// into their values: what one person put into his part must not cost the others theirs (T49), so each value is judged when it is parsed for
// good. visit gets the name as written, with its quotes, and the value without space around it; it ends the walk by answering false. A name
// that stands twice is visited twice. The result is false when raw is not an object, or is cut off, or something follows it.
func EachMember(raw []byte, visit func(quoted []byte, value jsontext.Value) bool) bool {
	if at := skipSpace(raw, 0); at == len(raw) || raw[at] != '{' {
		return false
	}
	w := into(raw, anyDepth)
	for {
		quoted, value, ok := w.nextQuoted()
		if !ok {
			return w.all()
		}
		if !visit(quoted, value) {
			return true
		}
	}
}

// Unquote is the text of a JSON string. false when it is not one: an escape that does not exist, a control character, half a surrogate pair,
// bytes that are not UTF-8.
func Unquote(quoted []byte) (string, bool) {
	inner := quoted[1 : len(quoted)-1]
	plain := utf8.Valid(inner)
	for _, c := range inner {
		if c < ' ' || c == '\\' {
			plain = false
			break
		}
	}
	if plain {
		return string(inner), true
	}
	text, err := jsontext.AppendUnquote(nil, quoted)
	return string(text), err == nil
}
