package trust

import (
	"bytes"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// eachMember goes through the members of a JSON object without looking into their values: it follows strings and counts brackets, never
// recursing, so that depth, size and nonsense inside one value cost nothing and spoil nothing outside of it (T49). Each value is judged when
// it is parsed for good. visit gets the name as written, with its quotes, and the value without space around it, and ends the walk by
// answering false. The result is false when raw is not an object, or is cut off, or something follows it.
//
// A name that stands twice is visited twice, which is why the whole answer is not read as one signedjson.Envelope: there one user listed
// twice would cost all others theirs.
func eachMember(raw []byte, visit func(name, value []byte) bool) bool {
	at := skipSpace(raw, 0)
	if at == len(raw) || raw[at] != '{' {
		return false
	}
	at = skipSpace(raw, at+1)
	for first := true; at < len(raw); first = false {
		if raw[at] == '}' && first {
			return skipSpace(raw, at+1) == len(raw)
		}
		if raw[at] != '"' {
			return false
		}
		end := skipString(raw, at)
		if end < 0 {
			return false
		}
		name := raw[at:end]
		at = skipSpace(raw, end)
		if at == len(raw) || raw[at] != ':' {
			return false
		}
		at = skipSpace(raw, at+1)
		end = skipValue(raw, at)
		if end < 0 {
			return false
		}
		if !visit(name, raw[at:end:end]) {
			return true
		}
		at = skipSpace(raw, end)
		if at == len(raw) {
			return false
		}
		if raw[at] == '}' {
			return skipSpace(raw, at+1) == len(raw)
		}
		if raw[at] != ',' {
			return false
		}
		at = skipSpace(raw, at+1)
	}
	return false
}

// unquote is the text of a JSON string. false when it is not one: an escape that does not exist, a control character, half a surrogate pair,
// bytes that are not UTF-8.
func unquote(quoted []byte) (string, bool) {
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

func skipSpace(raw []byte, at int) int {
	for at < len(raw) && (raw[at] == ' ' || raw[at] == '\n' || raw[at] == '\r' || raw[at] == '\t') {
		at++
	}
	return at
}

// skipString is where the string that begins at raw[at] ends, quotes included; -1 when it does not.
func skipString(raw []byte, at int) int {
	start := at + 1
	for at = start; ; at++ {
		quote := bytes.IndexByte(raw[at:], '"')
		if quote < 0 {
			return -1
		}
		at += quote
		backslashes := 0
		for at-backslashes > start && raw[at-backslashes-1] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			return at + 1
		}
	}
}

// skipValue is where the value that begins at raw[at] ends; -1 when it does not.
func skipValue(raw []byte, at int) int {
	if at == len(raw) {
		return -1
	}
	switch raw[at] {
	case '"':
		return skipString(raw, at)
	case '{', '[':
		for depth := 0; at < len(raw); at++ {
			switch raw[at] {
			case '"':
				end := skipString(raw, at)
				if end < 0 {
					return -1
				}
				at = end - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return at + 1
				}
			}
		}
		return -1
	}
	// A number or a word: it ends where something else begins.
	end := at
	for end < len(raw) {
		switch raw[end] {
		case ',', '}', ']', ':', '"', '{', '[', ' ', '\n', '\r', '\t':
			if end == at {
				return -1
			}
			return end
		}
		end++
	}
	return -1
}
