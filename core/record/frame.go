package record

// The frame around every record:
//
//	0    2         3      4
//	| KS | version | seal | sealed bytes
//
// The seal binds the bytes to their row: format version, table and key go into it, so a record that somebody or something moved to
// another row does not open there.

import (
	"hash/crc32"

	"knownsender/core/store"
)

const (
	magic0, magic1 = 'K', 'S'
	headerLength   = 4
	checksumLength = 4
)

// Sealer closes and opens the bytes of a record. identity is the row's identity and the format version; a seal opens for the identity it
// was made for and no other.
type Sealer interface {
	// Kind is the seal byte of the frame.
	Kind() byte
	// Overhead is how many bytes Seal adds.
	Overhead() int
	// Seal appends the sealed form of plain to dst.
	Seal(dst, identity, plain []byte) []byte
	// Open returns what was sealed, which may be a view into sealed, or false.
	Open(identity, sealed []byte) ([]byte, bool)
}

// Checksum is the Sealer of stores without a key: CRC-32C over identity and bytes. It finds damage and misplaced rows. Against somebody who
// can write to the store it is no protection; that takes a key.
type Checksum struct{}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Kind implements Sealer.
func (Checksum) Kind() byte { return 0 }

// Overhead implements Sealer.
func (Checksum) Overhead() int { return checksumLength }

// Seal implements Sealer.
func (Checksum) Seal(dst, identity, plain []byte) []byte {
	sum := checksum(identity, plain)
	dst = append(dst, byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
	return append(dst, plain...)
}

// Open implements Sealer.
func (Checksum) Open(identity, sealed []byte) ([]byte, bool) {
	if len(sealed) < checksumLength {
		return nil, false
	}
	plain := sealed[checksumLength:]
	sum := checksum(identity, plain)
	return plain, sealed[0] == byte(sum>>24) && sealed[1] == byte(sum>>16) && sealed[2] == byte(sum>>8) && sealed[3] == byte(sum)
}

func checksum(identity, plain []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, identity), castagnoli, plain)
}

// appendIdentity writes what a seal is bound to: version and seal kind, then table and key parts, each behind its length, so that no two
// rows have one identity.
func appendIdentity(dst []byte, version, kind byte, table store.Table, key store.Key) []byte {
	dst = append(dst, version, kind, byte(len(table)))
	dst = append(dst, table...)
	for _, part := range key {
		dst = append(dst, byte(len(part)>>8), byte(len(part)))
		dst = append(dst, part...)
	}
	return dst
}

// seal closes what the packer holds for a row and returns the row's value, which is the caller's.
func (p *packer) seal(version byte, row *store.Row) []byte {
	var s Checksum
	p.identity = appendIdentity(p.identity[:0], version, s.Kind(), row.Table, row.Key)
	value := make([]byte, 0, headerLength+s.Overhead()+len(p.buf))
	value = append(value, magic0, magic1, version, s.Kind())
	return s.Seal(value, p.identity, p.buf)
}

// open takes the frame of a row's value off, up to version newest.
func open(row *store.Row, table store.Table, newest byte) (version byte, plain []byte, err error) {
	value := row.Value
	if len(value) < headerLength || value[0] != magic0 || value[1] != magic1 {
		return 0, nil, &Error{Code: CodeBadFrame, Table: table, Reason: "the value is no record"}
	}
	version, kind := value[2], value[3]
	if version == 0 || version > newest {
		return 0, nil, &Error{Code: CodeUnknownFormat, Table: table, Reason: "the record has a format version that is not known here"}
	}
	var s Checksum
	if kind != s.Kind() {
		return 0, nil, &Error{Code: CodeUnknownSeal, Table: table, Reason: "the record is sealed in a way that is not known here"}
	}
	// The table is given, not taken from the row: a row that somebody put together by hand may have none.
	var scratch [512]byte
	identity := appendIdentity(scratch[:0], version, kind, table, row.Key)
	plain, ok := s.Open(identity, value[headerLength:])
	if !ok {
		return 0, nil, &Error{Code: CodeBadChecksum, Table: table, Reason: "the record is damaged, or lies in a row it was not written for"}
	}
	return version, plain, nil
}
