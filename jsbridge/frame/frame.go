// Package frame packs a list of byte strings into one buffer and takes it apart again.
//
// The rule: everything that crosses between Go and JavaScript is one frame in one buffer, because one copy of one buffer is
// cheap and walking JavaScript values is not. A frame is a count (32 bits, little endian), then for every item its length (32
// bits, little endian) and its bytes; nothing may follow. An item may itself be a frame. web/src/frame.ts is the other side.
package frame

import "encoding/binary"

// Codes of Error.
const (
	// CodeTruncated: the buffer ends before the frame does.
	CodeTruncated = "frame_truncated"
	// CodeLeftover: bytes follow the frame.
	CodeLeftover = "frame_leftover"
)

// Error is the error of Decode.
type Error struct {
	// Code is one of the constants above.
	Code string
	// Offset is where in the buffer decoding stopped, in bytes.
	Offset int
}

// Error gives a sentence.
func (e *Error) Error() string {
	if e.Code == CodeLeftover {
		return "frame: bytes follow the last item"
	}
	return "frame: the buffer ends before the frame does"
}

// ErrorCode returns the stable code.
func (e *Error) ErrorCode() string { return e.Code }

// Size returns the length in bytes of the frame of items.
func Size(items ...[]byte) int {
	n := 4
	for _, item := range items {
		n += 4 + len(item)
	}
	return n
}

// Append appends the frame of items to dst. Items of 4 GiB and more cannot be framed; nothing in a 32-bit program is that long.
func Append(dst []byte, items ...[]byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(items)))
	for _, item := range items {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(item)))
		dst = append(dst, item...)
	}
	return dst
}

// AppendStrings appends the frame of strings to dst.
func AppendStrings(dst []byte, items ...string) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(items)))
	for _, item := range items {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(item)))
		dst = append(dst, item...)
	}
	return dst
}

// Decode takes a frame apart. The items are views into buf, not copies. A count or length that the buffer cannot hold is
// refused before anything is allocated for it. Errors are *Error: `frame_truncated`, `frame_leftover`.
func Decode(buf []byte) ([][]byte, error) {
	if len(buf) < 4 {
		return nil, &Error{Code: CodeTruncated, Offset: len(buf)}
	}
	count := uint64(binary.LittleEndian.Uint32(buf))
	if count > uint64(len(buf)-4)/4 {
		return nil, &Error{Code: CodeTruncated, Offset: 4}
	}
	items := make([][]byte, 0, count)
	at := 4
	for range count {
		if len(buf)-at < 4 {
			return nil, &Error{Code: CodeTruncated, Offset: at}
		}
		n := uint64(binary.LittleEndian.Uint32(buf[at:]))
		at += 4
		if n > uint64(len(buf)-at) {
			return nil, &Error{Code: CodeTruncated, Offset: at}
		}
		end := at + int(n)
		items = append(items, buf[at:end:end])
		at = end
	}
	if at != len(buf) {
		return nil, &Error{Code: CodeLeftover, Offset: at}
	}
	return items, nil
}

// Writer builds a frame item by item, nested frames included, in one buffer. The zero Writer is ready: items written to it are
// items of the outermost frame.
type Writer struct {
	buf   []byte
	count uint32
}

// Reset empties the writer and keeps its buffer.
func (w *Writer) Reset() { w.buf, w.count = w.buf[:0], 0 }

func (w *Writer) item(n int) {
	if len(w.buf) == 0 {
		w.buf = append(w.buf, 0, 0, 0, 0) // the count of the outermost frame, set by Frame
	}
	w.count++
	w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(n))
}

// Bytes adds one item.
func (w *Writer) Bytes(b []byte) {
	w.item(len(b))
	w.buf = append(w.buf, b...)
}

// String adds one item.
func (w *Writer) String(s string) {
	w.item(len(s))
	w.buf = append(w.buf, s...)
}

// Uint64 adds one item of eight bytes, little endian.
func (w *Writer) Uint64(n uint64) {
	w.item(8)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, n)
}

// Strings adds one item that is a frame of strings.
func (w *Writer) Strings(items []string) {
	n := 4
	for _, item := range items {
		n += 4 + len(item)
	}
	w.item(n)
	w.buf = AppendStrings(w.buf, items...)
}

// Nest adds one item that is a frame: what fill writes.
func (w *Writer) Nest(fill func()) {
	w.item(0)
	start, outer := len(w.buf), w.count
	w.buf = append(w.buf, 0, 0, 0, 0)
	w.count = 0
	fill()
	binary.LittleEndian.PutUint32(w.buf[start:], w.count)
	binary.LittleEndian.PutUint32(w.buf[start-4:], uint32(len(w.buf)-start))
	w.count = outer
}

// Frame ends the outermost frame and returns it. The bytes are the writer's until Reset.
func (w *Writer) Frame() []byte {
	if len(w.buf) == 0 {
		w.buf = append(w.buf, 0, 0, 0, 0)
	}
	binary.LittleEndian.PutUint32(w.buf, w.count)
	return w.buf
}
