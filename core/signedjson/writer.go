package signedjson

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Writing JSON without reflection, in the append style: dst grows by what is written and is handed on.
//
//	dst = append(dst, '{')
//	dst = signedjson.AppendString(signedjson.AppendName(dst, "user_id"), string(user))
//	dst = signedjson.AppendInt(signedjson.AppendName(dst, "count"), 3)
//	dst = append(dst, '}')
//
// Written with its names in the order of code points, an object is canonical JSON.

// AppendName writes the name of the next member and its colon, after a comma unless the object has just been opened.
func AppendName(dst []byte, name string) []byte {
	return append(AppendString(AppendComma(dst), name), ':')
}

// AppendComma writes a comma, unless an object or array has just been opened or dst is empty. It goes before every element of an array.
func AppendComma(dst []byte) []byte {
	// No value but an opened one ends in an opening bracket: a string ends in its quote.
	if len(dst) == 0 || dst[len(dst)-1] == '{' || dst[len(dst)-1] == '[' {
		return dst
	}
	return append(dst, ',')
}

// AppendString writes s as a JSON string with the shortest escapes. Bytes that are no UTF-8 become U+FFFD.
func AppendString(dst []byte, s string) []byte {
	if isPlain(s) {
		return append(append(append(dst, '"'), s...), '"')
	}
	dst, _ = jsontext.AppendQuote(dst, s) // the error says that some became U+FFFD
	return dst
}

// isPlain says that a string is written as it is, as most are.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			return false
		}
	}
	return true
}

// AppendInt writes an integer. JavaScript reads it exactly within ±(2^53 - 1).
func AppendInt(dst []byte, number int64) []byte { return strconv.AppendInt(dst, number, 10) }

// AppendBool writes true or false.
func AppendBool(dst []byte, value bool) []byte { return strconv.AppendBool(dst, value) }
