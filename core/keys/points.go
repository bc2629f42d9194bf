package keys

import "encoding/binary"

// What can be told about a key from its bytes: whether it is of low order, and whether a smaller number means the same.

// lowOrderPoints are the eight points of Edwards25519 whose order divides 8, and every other encoding that a decoder which reduces y
// modulo p, or which ignores the sign of x = 0, would take for one of them. RFC 8032 and the Go library accept most of these as keys.
var lowOrderPoints = [14][32]byte{
	point("0100000000000000000000000000000000000000000000000000000000000000"), // order 1, the neutral point: y = 1
	point("0100000000000000000000000000000000000000000000000000000000000080"), // y = 1, x = -0
	point("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), // y = p + 1
	point("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"), // y = p + 1, x = -0
	point("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), // order 2: y = -1
	point("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"), // y = -1, x = -0
	point("0000000000000000000000000000000000000000000000000000000000000000"), // order 4: y = 0
	point("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), // y = p
	point("0000000000000000000000000000000000000000000000000000000000000080"), // order 4: y = 0
	point("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"), // y = p
	point("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), // order 8
	point("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"), // order 8
	point("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), // order 8
	point("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"), // order 8
}

// lowOrderCoordinates are the u coordinates of Curve25519 and of its twist that X25519 takes to the all-zero secret. X25519 ignores the
// topmost bit, so it is ignored here as well.
var lowOrderCoordinates = [7][32]byte{
	point("0000000000000000000000000000000000000000000000000000000000000000"), // 0, order 2 (and 1)
	point("0100000000000000000000000000000000000000000000000000000000000000"), // 1, order 4
	point("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), // -1, order 4 on the twist
	point("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"), // order 8
	point("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"), // order 8
	point("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), // p, which is 0
	point("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), // p + 1, which is 1
}

// point reads 64 hexadecimal digits of the tables above.
func point(digits string) (b [32]byte) {
	for i := range b {
		b[i] = digit(digits[2*i])<<4 | digit(digits[2*i+1])
	}
	return b
}

func digit(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

func lowOrderEd25519(encoded *[32]byte) bool {
	for i := range lowOrderPoints {
		if *encoded == lowOrderPoints[i] {
			return true
		}
	}
	return false
}

func lowOrderCurve25519(encoded *[32]byte) bool {
	u := *encoded
	u[31] &= 0x7f
	for i := range lowOrderCoordinates {
		if u == lowOrderCoordinates[i] {
			return true
		}
	}
	return false
}

// canonicalY reports whether the y coordinate of an encoded point is below p. The other way to be non-canonical, the sign bit with x = 0,
// exists for y = 1 and y = -1 only, and those are in the table.
func canonicalY(encoded *[32]byte) bool {
	y := *encoded
	y[31] &= 0x7f
	return belowP(&y)
}

// p is the prime 2^255 - 19 of the field, l the prime order 2^252 + 27742317777372353535851937790883648493 of the group, as four words
// with the least significant first.
var (
	p = [4]uint64{0xffffffffffffffed, 0xffffffffffffffff, 0xffffffffffffffff, 0x7fffffffffffffff}
	l = [4]uint64{0x5812631a5cf5d3ed, 0x14def9dea2f79cd6, 0x0000000000000000, 0x1000000000000000}
)

func belowP(number *[32]byte) bool { return below(number, &p) }
func belowL(number *[32]byte) bool { return below(number, &l) }

// below reports whether the little-endian number is below bound. Keys and signatures are public: it may stop early.
func below(number *[32]byte, bound *[4]uint64) bool {
	for i := 3; i >= 0; i-- {
		if word := binary.LittleEndian.Uint64(number[8*i:]); word != bound[i] {
			return word < bound[i]
		}
	}
	return false
}
