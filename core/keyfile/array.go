package keyfile

import "knownsender/core/redact"

// The content of a key-export file is one array of tens of thousands of entries. The rule: it is never parsed as a whole. A Splitter follows
// strings, escapes and nesting, nothing else, and gives out each element as it was written, to be judged alone; so a bad one costs itself only
// (T40), memory does not grow with the file, and where the text was cut into pieces makes no difference.

// Splitter takes a JSON array in pieces of any size and gives out its elements. The zero value is ready. It holds secrets.
type Splitter struct {
	redact.Secret
	state    splitterState
	depth    int  // open brackets inside of the element
	inString bool // inside of a string in the element
	escaped  bool // behind a backslash in that string
	gap      bool // white space stands between the element so far and what follows
	element  []byte
	position int
	offset   int64
	err      error // what ended it
}

type splitterState byte

const (
	beforeArray   splitterState = iota // nothing but white space yet
	beforeElement                      // behind the opening bracket or a comma
	inElement
	behindArray // behind the closing bracket
)

// Write takes the next piece of the text and calls each with every element that ends in it: its position, from 0, and its text, without the
// white space around it. The text is valid until each returns. It need not be JSON: ParseEntry says what it is. Of an element that is longer
// than MaxEntry the first MaxEntry+1 bytes are given out, which ParseEntry refuses as entry_too_large; an empty text stands where there was
// nothing between two commas.
//
// The error is a *FileError, bad_key_file_json with the offset of the byte at fault, when the text is no array or something follows it; or what
// each returned, which ends the walk. Either is returned by every later call.
func (s *Splitter) Write(piece []byte, each func(position int, raw []byte) error) error {
	if s.err != nil {
		return s.err
	}
	for i := 0; i < len(piece); i++ {
		if s.state == inElement && (s.inString || s.depth > 0) {
			n := s.inside(piece[i:])
			s.keep(piece[i : i+n])
			if i += n; i == len(piece) {
				break
			}
		}
		if err := s.outside(piece[i], s.offset+int64(i), each); err != nil {
			return s.end(err)
		}
	}
	s.offset += int64(len(piece))
	return nil
}

// Close says that the text has ended. The error is that of Write, or a *FileError, bad_key_file_json, when the array has not ended. Nothing is
// given out of an element that was cut off.
func (s *Splitter) Close() error {
	if s.err == nil && s.state != behindArray {
		return s.end(&FileError{Code: CodeBadKeyFileJSON, Got: s.offset})
	}
	clear(s.element[:cap(s.element)])
	return s.err
}

func (s *Splitter) end(err error) error {
	s.err = err
	clear(s.element[:cap(s.element)])
	return err
}

// inside is how many bytes of text, which begins inside of a string or of brackets of the element, still lie there.
func (s *Splitter) inside(text []byte) int {
	for i, c := range text {
		switch {
		case s.escaped:
			s.escaped = false
		case s.inString:
			switch c {
			case '\\':
				s.escaped = true
			case '"':
				s.inString = false
			}
		default:
			switch c {
			case '"':
				s.inString = true
			case '{', '[':
				s.depth++
			case '}', ']':
				s.depth--
			}
		}
		if !s.inString && s.depth == 0 {
			return i + 1
		}
	}
	return len(text)
}

// outside takes one byte, the one at offset, that lies in no string and no bracket of an element.
func (s *Splitter) outside(c byte, offset int64, each func(position int, raw []byte) error) error {
	if c == ' ' || c == '\t' || c == '\r' || c == '\n' {
		s.gap = true
		return nil
	}
	switch {
	case s.state == beforeArray && c == '[':
		s.state = beforeElement
		return nil
	case s.state == beforeArray, s.state == behindArray, c == '}':
		return &FileError{Code: CodeBadKeyFileJSON, Got: offset}
	case c == ']':
		s.state = behindArray
		if s.position == 0 && len(s.element) == 0 {
			return nil // an array without elements
		}
		return s.give(each)
	case c == ',':
		return s.give(each)
	}
	if s.gap && len(s.element) > 0 {
		s.keep([]byte{' '}) // two things side by side, which is no JSON: they must not become one
	}
	s.gap = false
	switch c {
	case '"':
		s.inString = true
	case '{', '[':
		s.depth = 1
	}
	s.state = inElement
	s.keep([]byte{c})
	return nil
}

func (s *Splitter) give(each func(position int, raw []byte) error) error {
	raw, position := s.element, s.position
	s.element, s.gap = s.element[:0], false
	s.position++
	if s.state == inElement {
		s.state = beforeElement
	}
	err := each(position, raw)
	clear(raw)
	return err
}

// keep remembers a part of the element, as far as that is of any use. When the buffer grows, nothing is left in the old one.
func (s *Splitter) keep(part []byte) {
	part = part[:min(MaxEntry+1-len(s.element), len(part))]
	if need := len(s.element) + len(part); need > cap(s.element) {
		old := s.element
		s.element = append(make([]byte, 0, max(need, 2*cap(old), 2048)), old...)
		clear(old)
	}
	s.element = append(s.element, part...)
}
