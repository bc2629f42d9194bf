package signedjson

import (
	"bytes"
	"math"

	"github.com/go-json-experiment/json/jsontext"
)

// Walking over JSON text: where the next string, value or member ends. The walk judges nothing but structure (jsontext does the judging)
// and recurses nowhere; on text that is not JSON it stops, it never leaves the text. Positions are indexes into the text, -1 says "not
// found".

// member is one member of an object: its name as it reads once unescaped, its value as written.
type member struct {
	name  []byte
	value jsontext.Value
}

// walk is a way through the members of one object or the elements of one array.
type walk struct {
	text  []byte
	at    int
	depth int  // how deep a member or element may be nested: beyond, it is as if it never ended
	begun bool // a member or element was found: a comma goes before the next
	ended bool // the closing bracket was found, at is behind it; without it the text was no object (array) after all
}

// anyDepth is for text whose depth was judged before, or does not matter yet.
const anyDepth = math.MaxInt

// into begins a walk at the first member of the object, or element of the array, that text is. Members may be nested depth levels deep.
func into(text []byte, depth int) walk {
	return walk{text: text, at: skipSpace(text, 0) + 1, depth: depth}
}

// all reports whether the walk came to the end of the text.
func (w *walk) all() bool { return w.ended && skipSpace(w.text, w.at) == len(w.text) }

// next finds the next member of an object.
func (w *walk) next() (m member, ok bool) {
	quoted, value, ok := w.nextQuoted()
	if !ok {
		return member{}, false
	}
	return member{unescaped(quoted), value}, true
}

// nextQuoted is next with the name as written.
func (w *walk) nextQuoted() (quoted []byte, value jsontext.Value, ok bool) {
	if !w.more('}') || w.text[w.at] != '"' {
		return nil, nil, false
	}
	end := skipString(w.text, w.at)
	if end < 0 {
		return nil, nil, false
	}
	quoted = w.text[w.at:end]
	if w.at = skipSpace(w.text, end); w.at == len(w.text) || w.text[w.at] != ':' {
		return nil, nil, false
	}
	w.at++
	value, ok = w.value()
	return quoted, value, ok
}

// element finds the next element of an array.
func (w *walk) element() (value jsontext.Value, ok bool) {
	if !w.more(']') {
		return nil, false
	}
	return w.value()
}

// more moves to where the next member or element begins, if there is one.
func (w *walk) more(closing byte) bool {
	w.at = skipSpace(w.text, w.at)
	if w.at >= len(w.text) {
		return false
	}
	if w.text[w.at] == closing {
		w.at++
		w.ended = true
		return false
	}
	if w.begun {
		if w.text[w.at] != ',' {
			return false
		}
		w.at = skipSpace(w.text, w.at+1)
	}
	w.begun = true
	return w.at < len(w.text)
}

func (w *walk) value() (jsontext.Value, bool) {
	start := skipSpace(w.text, w.at)
	end := skipValue(w.text, start, w.depth)
	if end < 0 {
		return nil, false
	}
	w.at = end
	return w.text[start:end:end], true
}

func skipSpace(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t') {
		at++
	}
	return at
}

// skipString is where the string that begins at text[at] ends, its closing quote included.
func skipString(text []byte, at int) int {
	start := at + 1
	for at = start; ; at++ {
		quote := bytes.IndexByte(text[at:], '"')
		if quote < 0 {
			return -1
		}
		at += quote
		// A quote is escaped when an odd number of backslashes stands before it.
		backslashes := 0
		for at-backslashes > start && text[at-backslashes-1] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			return at + 1
		}
	}
}

// skipValue is where the value that begins at text[at] ends, unless it is nested deeper than limit.
func skipValue(text []byte, at, limit int) int {
	if at >= len(text) {
		return -1
	}
	switch text[at] {
	case '"':
		return skipString(text, at)
	case '{', '[':
		for depth := 0; at < len(text); {
			switch text[at] {
			case '"':
				if at = skipString(text, at); at < 0 {
					return -1
				}
				continue
			case '{', '[':
				if depth++; depth > limit {
					return -1
				}
			case '}', ']':
				if depth--; depth == 0 {
					return at + 1
				}
			}
			at++
		}
		return -1
	}
	start := at
	for at < len(text) {
		switch text[at] {
		case ',', '}', ']', ':', '"', ' ', '\n', '\r', '\t':
			if at == start {
				return -1
			}
			return at
		}
		at++
	}
	return at
}

// deeperThan reports whether objects and arrays are nested more than limit levels deep, counting the outermost as one.
func deeperThan(text []byte, limit int) bool {
	for at, depth := 0, 0; at < len(text); at++ {
		switch text[at] {
		case '"':
			end := skipString(text, at)
			if end < 0 {
				return false
			}
			at = end - 1
		case '{', '[':
			if depth++; depth > limit {
				return true
			}
		case '}', ']':
			depth--
		}
	}
	return false
}

// unescaped is what a quoted string reads as; a part of the text itself when nothing in it is escaped.
func unescaped(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	// The error says that the string is not valid; jsontext has said so before, or will.
	plain, _ := jsontext.AppendUnquote(nil, quoted)
	return plain
}
