package keys

import "slices"

// Unpadded base64 (specification, appendices, "Unpadded Base64"), for secrets as well as for public keys.
//
// The usual codecs look symbols up in tables, and which cache line of a table was touched tells a neighbour what the secret was
// (CVE-2024-40640, CVE-2024-45192). Here symbols are computed: no table, no branch and no index depends on a byte of the text or of the
// data. Lengths are public, and so is the one answer given at the end, whether the whole text was base64.
//
// One form only is accepted (T32): no padding, no white space or line end, no bits left over in the last symbol. Decoding and encoding
// again always gives the same text.

// EncodeBase64 appends the unpadded base64 of src to dst.
func EncodeBase64(dst, src []byte) []byte {
	for len(src) >= 3 {
		v := int32(src[0])<<16 | int32(src[1])<<8 | int32(src[2])
		dst = append(dst, symbol(v>>18), symbol(v>>12&63), symbol(v>>6&63), symbol(v&63))
		src = src[3:]
	}
	switch len(src) {
	case 2:
		v := int32(src[0])<<16 | int32(src[1])<<8
		dst = append(dst, symbol(v>>18), symbol(v>>12&63), symbol(v>>6&63))
	case 1:
		v := int32(src[0]) << 16
		dst = append(dst, symbol(v>>18), symbol(v>>12&63))
	}
	return dst
}

// DecodeBase64 is the bytes text stands for. The error is an *Error with code bad_base64; nothing is returned with it.
func DecodeBase64[Text ~string | ~[]byte](text Text) ([]byte, error) {
	return AppendDecode(make([]byte, 0, len(text)*3/4), text)
}

// AppendDecode appends the bytes text stands for to dst. On error dst comes back as long as it was, and what had been written beyond it
// is wiped.
func AppendDecode[Text ~string | ~[]byte](dst []byte, text Text) ([]byte, error) {
	start := len(dst)
	dst = slices.Grow(dst, len(text)*3/4) // at once, so that growing leaves no part of a secret behind
	// Every symbol that is none, and every bit left over, leaves a bit in bad; it is looked at once, at the end.
	var bad int32
	var none uint64
	i := 0
	for ; i+4 <= len(text); i += 4 {
		digits, missing := fourValues(uint64(text[i]) | uint64(text[i+1])<<16 | uint64(text[i+2])<<32 | uint64(text[i+3])<<48)
		none |= missing
		v := digits<<18 | digits>>16&63<<12 | digits>>32&63<<6 | digits>>48
		dst = append(dst, byte(v>>16), byte(v>>8), byte(v))
	}
	bad = int32((none>>48 | none>>32 | none>>16 | none) & 0x8000)
	switch len(text) - i {
	case 3:
		a, b, c := value(text[i]), value(text[i+1]), value(text[i+2])
		bad |= (a|b|c)>>8 | c&3
		dst = append(dst, byte(a<<2|b>>4), byte(b<<4|c>>2))
	case 2:
		a, b := value(text[i]), value(text[i+1])
		bad |= (a|b)>>8 | b&15
		dst = append(dst, byte(a<<2|b>>4))
	case 1: // six bits make no byte
		bad = -1
	}
	if bad != 0 {
		clear(dst[start:])
		return dst[:start], &Error{Code: CodeBadBase64}
	}
	return dst, nil
}

// symbol is the base64 symbol of v, 0 to 63. Each line moves v on when it lies beyond the end of a run of the alphabet: shifting a
// negative number right by 8 gives all ones, a positive one below 256 gives zero.
func symbol(v int32) byte {
	s := v + 'A'
	s += (25 - v) >> 8 & ('a' - 'Z' - 1)
	s += (51 - v) >> 8 & ('0' - 'z' - 1)
	s += (61 - v) >> 8 & ('+' - '9' - 1)
	s += (62 - v) >> 8 & ('/' - '+' - 1)
	return byte(s)
}

// value is what the symbol c stands for, 0 to 63, or -1 when it is none. Each line adds something for one run of the alphabet only.
func value(c byte) int32 {
	s := int32(c)
	v := int32(-1)
	v += within(s, 'A', 'Z') & (s - 'A' + 1)
	v += within(s, 'a', 'z') & (s - 'a' + 26 + 1)
	v += within(s, '0', '9') & (s - '0' + 52 + 1)
	v += within(s, '+', '+') & (62 + 1)
	v += within(s, '/', '/') & (63 + 1)
	return v
}

// fourValues is value for four symbols at once, each in sixteen bits of its own. missing is not zero when one of them is none; digits are of no
// use then.
func fourValues(c uint64) (digits, missing uint64) {
	const each, top = 0x0001_0001_0001_0001, 0x8000_8000_8000_8000
	var v uint64 // the value and one more, or zero
	// For every run of the alphabet: 1 where the symbol lies in it. Adding to and taking from 0x8000 never borrows from the next sixteen bits.
	in := (c + (0x8000-'A')*each) & ((0x8000+'Z')*each - c) >> 15 & each
	v += in*0xffff&c - in*('A'-1)
	in = (c + (0x8000-'a')*each) & ((0x8000+'z')*each - c) >> 15 & each
	v += in*0xffff&c - in*('a'-26-1)
	in = (c + (0x8000-'0')*each) & ((0x8000+'9')*each - c) >> 15 & each
	v += in*0xffff&c + in*(52+1-'0')
	in = (c + (0x8000-'+')*each) & ((0x8000+'+')*each - c) >> 15 & each
	v += in * (62 + 1)
	in = (c + (0x8000-'/')*each) & ((0x8000+'/')*each - c) >> 15 & each
	v += in * (63 + 1)
	return v - each, ^(v + 0x7fff*each) & top
}

// within is all ones when first <= s <= last, else zero.
func within(s, first, last int32) int32 {
	return ((first - 1 - s) & (s - last - 1)) >> 8
}
