package record

// Writing and reading msgpack, and the only file that imports it. The package's encoder and decoder are used for single values only: what it
// does by reflection trusts lengths, takes nil for zero and stops before trailing bytes.
//
// There is one spelling of every record. Numbers and lengths are as short as they can be, text is text and bytes are bytes, and the reader
// refuses every other spelling. So whatever can be read is written again byte for byte.

import (
	"bytes"
	"math"
	"sync"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"

	"knownsender/core/store"
)

// packer writes one record at a time into its buffer. Writing to memory cannot fail, and no value written here can be refused by the
// encoder, so its errors are not looked at.
type packer struct {
	buf      []byte
	identity []byte
	enc      *msgpack.Encoder
}

var packers = sync.Pool{New: func() any {
	p := &packer{}
	p.enc = msgpack.NewEncoder(p)
	return p
}}

func newPacker() *packer {
	p := packers.Get().(*packer)
	p.buf = p.buf[:0]
	return p
}

// done gives the packer back, without the secrets that were in it.
func (p *packer) done() {
	clear(p.buf)
	packers.Put(p)
}

// Write implements io.Writer for the encoder.
func (p *packer) Write(b []byte) (int, error) {
	p.buf = append(p.buf, b...)
	return len(b), nil
}

// WriteByte implements io.ByteWriter for the encoder.
func (p *packer) WriteByte(b byte) error {
	p.buf = append(p.buf, b)
	return nil
}

func (p *packer) array(n int)     { _ = p.enc.EncodeArrayLen(n) }
func (p *packer) uint(n uint64)   { _ = p.enc.EncodeUint(n) }
func (p *packer) int(n int64)     { _ = p.enc.EncodeInt(n) }
func (p *packer) text(s string)   { _ = p.enc.EncodeString(s) }
func (p *packer) raw(b []byte)    { p.buf = append(p.buf, b...) }
func (p *packer) bytesHead(n int) { _ = p.enc.EncodeBytesLen(n) }

func (p *packer) bytes(b []byte) {
	p.bytesHead(len(b))
	p.buf = append(p.buf, b...)
}

// key writes 32 bytes, or none where there is no key.
func (p *packer) key(k *[32]byte) {
	if *k == ([32]byte{}) {
		p.bytes(nil)
		return
	}
	p.bytes(k[:])
}

// record begins a record of n members and as many more as extra holds. It returns what raw is to append behind the n members: extra, or
// nothing where extra is not made of whole values and would spoil the record.
func (p *packer) record(n int, extra []byte) []byte {
	more, ok := countValues(extra)
	if !ok || more > maxExtra {
		more, extra = 0, nil
	}
	p.array(n + more)
	return extra
}

// flags packs truths into a number, the first as bit 0.
func flags(truths ...bool) uint64 {
	var n uint64
	for i, truth := range truths {
		if truth {
			n |= 1 << i
		}
	}
	return n
}

// unpacker reads one record. After the first thing that does not fit it reads nothing more and gives zeros; fault then says what it was.
type unpacker struct {
	all   []byte
	from  bytes.Reader
	dec   *msgpack.Decoder
	table store.Table
	fault *Error
}

var unpackers = sync.Pool{New: func() any {
	u := &unpacker{}
	u.dec = msgpack.NewDecoder(&u.from)
	return u
}}

// newUnpacker begins to read a row's record.
func newUnpacker(row *store.Row, table store.Table, newest byte) (u *unpacker, version byte, err error) {
	version, plain, err := open(row, table, newest)
	if err != nil {
		return nil, 0, err
	}
	u = unpackers.Get().(*unpacker)
	u.all, u.table, u.fault = plain, table, nil
	u.from.Reset(plain)
	u.dec.Reset(&u.from)
	return u, version, nil
}

func (u *unpacker) done() {
	u.all = nil
	u.from.Reset(nil)
	unpackers.Put(u)
}

func (u *unpacker) fail(reason string, cause error) {
	if u.fault == nil {
		u.fault = &Error{Code: CodeBadRecord, Table: u.table, Reason: reason, Err: cause}
	}
}

// end is the verdict on the whole record: an error if anything did not fit, or if anything is left.
func (u *unpacker) end() error {
	if u.fault == nil && u.from.Len() > 0 {
		u.fail("bytes follow the record", nil)
	}
	if u.fault != nil {
		return u.fault
	}
	return nil
}

// at is how many bytes were read.
func (u *unpacker) at() int { return len(u.all) - u.from.Len() }

// code looks at the byte that says what follows.
func (u *unpacker) code() (byte, bool) {
	if u.fault != nil {
		return 0, false
	}
	if u.from.Len() == 0 {
		u.fail("the record ends too soon", nil)
		return 0, false
	}
	return u.all[u.at()], true
}

// Classes of what a code announces. Nil, maps, floats and extensions have no class: no record holds any.
type class byte

const (
	classNone class = iota
	classUint
	classNegative
	classText
	classBytes
	classArray
)

// classOf says what a code announces and how many bytes of number or length follow it; 0: they are in the code itself.
func classOf(code byte) (class, int) {
	switch {
	case code < 0x80:
		return classUint, 0
	case code >= 0xe0:
		return classNegative, 0
	case code >= 0xa0 && code < 0xc0:
		return classText, 0
	case code >= 0x90 && code < 0xa0:
		return classArray, 0
	}
	switch code {
	case 0xcc, 0xcd, 0xce, 0xcf:
		return classUint, 1 << (code - 0xcc)
	case 0xd0, 0xd1, 0xd2, 0xd3:
		return classNegative, 1 << (code - 0xd0)
	case 0xd9, 0xda, 0xdb:
		return classText, 1 << (code - 0xd9)
	case 0xc4, 0xc5, 0xc6:
		return classBytes, 1 << (code - 0xc4)
	case 0xdc, 0xdd:
		return classArray, 2 << (code - 0xdc)
	}
	return classNone, 0
}

// shortest says in how many bytes a number or length is written that may be as large as inCode in the code itself; 8-bit ones exist unless
// narrow is 2.
func shortest(n, inCode uint64, narrow int) int {
	switch {
	case n <= inCode:
		return 0
	case n <= math.MaxUint8 && narrow == 1:
		return 1
	case n <= math.MaxUint16:
		return 2
	case n <= math.MaxUint32:
		return 4
	}
	return 8
}

// head reads a code of the wanted class with its number or length.
func (u *unpacker) head(wanted class, what string) (n uint64, ok bool) {
	code, ok := u.code()
	if !ok {
		return 0, false
	}
	got, width := classOf(code)
	if got != wanted {
		u.fail(what+" is something else", nil)
		return 0, false
	}
	if u.from.Len() <= width {
		u.fail("the record ends too soon", nil)
		return 0, false
	}
	var err error
	var length int
	inCode, narrow := uint64(0), 1
	switch wanted {
	case classUint:
		n, err = u.dec.DecodeUint64()
		inCode = 0x7f
	case classArray:
		length, err = u.dec.DecodeArrayLen()
		n, inCode, narrow = uint64(length), 0x0f, 2
	case classText:
		length, err = u.dec.DecodeBytesLen()
		n, inCode = uint64(length), 0x1f
	case classBytes:
		length, err = u.dec.DecodeBytesLen()
		n = uint64(length)
	}
	// Even an empty byte string has its length written out.
	short := shortest(n, inCode, narrow)
	if wanted == classBytes {
		short = max(short, 1)
	}
	if err != nil || width != short {
		u.fail(what+" is spelled in another way than we spell it", err)
		return 0, false
	}
	return n, true
}

// array reads the length of an array: at least least, at most most members.
func (u *unpacker) array(least, most int, what string) int {
	n, ok := u.head(classArray, what)
	// Each member takes a byte at least, so a length beyond what is left is a lie, whoever would believe it.
	if ok && (n > uint64(u.from.Len()) || n < uint64(least) || n > uint64(most)) {
		u.fail(what+" has too few or too many members", nil)
		return 0
	}
	return int(n)
}

// uint reads a number up to most.
func (u *unpacker) uint(most uint64, what string) uint64 {
	n, ok := u.head(classUint, what)
	if ok && n > most {
		u.fail(what+" is too great", nil)
		return 0
	}
	return n
}

// int reads a number with sign.
func (u *unpacker) int(what string) int64 {
	code, ok := u.code()
	if !ok {
		return 0
	}
	got, width := classOf(code)
	if got == classUint {
		return int64(u.uint(math.MaxInt64, what))
	}
	if got != classNegative || u.from.Len() <= width {
		u.fail(what+" is no number", nil)
		return 0
	}
	n, err := u.dec.DecodeInt64()
	if err != nil || n >= 0 || width != shortestNegative(n) {
		u.fail(what+" is spelled in another way than we spell it", err)
		return 0
	}
	return n
}

func shortestNegative(n int64) int {
	switch {
	case n >= -32:
		return 0
	case n >= math.MinInt8:
		return 1
	case n >= math.MinInt16:
		return 2
	case n >= math.MinInt32:
		return 4
	}
	return 8
}

// flags reads count truths.
func (u *unpacker) flags(count int, what string) uint64 { return u.uint(1<<count-1, what) }

// view reads n bytes without copying them.
func (u *unpacker) view(n uint64, what string) []byte {
	if n > uint64(u.from.Len()) {
		u.fail(what+" is longer than the record", nil)
		return nil
	}
	at := u.at()
	_, _ = u.from.Seek(int64(n), 1)
	return u.all[at : at+int(n) : at+int(n)]
}

// bytes reads a byte string, as a view.
func (u *unpacker) bytes(what string) []byte {
	n, ok := u.head(classBytes, what)
	if !ok {
		return nil
	}
	return u.view(n, what)
}

// text reads a text.
func (u *unpacker) text(what string) string {
	n, ok := u.head(classText, what)
	if !ok {
		return ""
	}
	b := u.view(n, what)
	if !utf8.Valid(b) {
		u.fail(what+" is not UTF-8", nil)
		return ""
	}
	return string(b)
}

// key reads 32 bytes, or none for no key.
func (u *unpacker) key(what string) (k [32]byte) {
	b := u.bytes(what)
	if len(b) != 0 && len(b) != len(k) {
		u.fail(what+" has the wrong length", nil)
		return k
	}
	copy(k[:], b)
	if len(b) > 0 && k == ([32]byte{}) {
		u.fail(what+" is all zeros", nil)
	}
	return k
}

// maxExtra is how many members a newer version may have added.
const maxExtra = 64

// record reads the length of a record of n members, which a newer version may have made longer.
func (u *unpacker) record(n int) (extra int) {
	return u.array(n, n+maxExtra, "the record") - n
}

// extra reads the members a newer version has added, as they are written.
func (u *unpacker) extra(count int) []byte {
	if u.fault != nil || count <= 0 {
		return nil
	}
	at := u.at()
	end := at
	for range count {
		n, ok := valueLength(u.all[end:])
		if !ok {
			u.fail("an added member is damaged", nil)
			return nil
		}
		end += n
	}
	_, _ = u.from.Seek(int64(end-at), 1)
	return bytes.Clone(u.all[at:end])
}

// countValues counts the msgpack values that b is made of.
func countValues(b []byte) (count int, ok bool) {
	for len(b) > 0 {
		n, ok := valueLength(b)
		if !ok {
			return 0, false
		}
		b = b[n:]
		count++
	}
	return count, true
}

// valueLength is the length of the first msgpack value in b, whatever it is. It keeps a number instead of calling itself: nesting costs
// nothing here, however deep somebody made it.
func valueLength(b []byte) (length int, ok bool) {
	at := uint64(0)
	for open := uint64(1); open > 0; open-- {
		if at >= uint64(len(b)) {
			return 0, false
		}
		code := b[at]
		at++
		var width, payload, members uint64 // of the length field, of what follows it, and values inside
		counted := byte(0)                 // what the length field counts: bytes, members, pairs
		switch {
		case code < 0x80 || code >= 0xe0 || code == 0xc0 || code == 0xc2 || code == 0xc3:
		case code < 0x90:
			members = uint64(code&0x0f) * 2
		case code < 0xa0:
			members = uint64(code & 0x0f)
		case code < 0xc0:
			payload = uint64(code & 0x1f)
		case code >= 0xc4 && code <= 0xc6:
			width, counted = 1<<(code-0xc4), 'b'
		case code >= 0xc7 && code <= 0xc9:
			width, counted, payload = 1<<(code-0xc7), 'b', 1
		case code == 0xca || code == 0xcb:
			payload = 4 << (code - 0xca)
		case code >= 0xcc && code <= 0xcf:
			payload = 1 << (code - 0xcc)
		case code >= 0xd0 && code <= 0xd3:
			payload = 1 << (code - 0xd0)
		case code >= 0xd4 && code <= 0xd8:
			payload = 1 + 1<<(code-0xd4)
		case code >= 0xd9 && code <= 0xdb:
			width, counted = 1<<(code-0xd9), 'b'
		case code == 0xdc || code == 0xdd:
			width, counted = 2<<(code-0xdc), 'm'
		case code == 0xde || code == 0xdf:
			width, counted = 2<<(code-0xde), 'p'
		default:
			return 0, false
		}
		if width > uint64(len(b))-at {
			return 0, false
		}
		var n uint64
		for _, digit := range b[at : at+width] {
			n = n<<8 | uint64(digit)
		}
		at += width
		switch counted {
		case 'b':
			payload += n
		case 'm':
			members = n
		case 'p':
			members = 2 * n
		}
		if payload > uint64(len(b))-at || members > uint64(len(b))-at {
			return 0, false
		}
		at += payload
		open += members
	}
	return int(at), true
}
