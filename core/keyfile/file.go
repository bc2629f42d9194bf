package keyfile

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
)

// The key-export file (specification, "Key exports"): base64 between two lines, of
//
//	0         1      17   33       37           n-32    n
//	| version | salt | IV | rounds | ciphertext | MAC |
//
// The rule: what the file says of itself is judged before anything is derived from the passphrase, for until the MAC has been checked anybody
// may have written it (T41, T42). Line ends and white space carry nothing and are passed over; everything else has one form.

const (
	header      = "-----BEGIN MEGOLM SESSION DATA-----"
	footer      = "-----END MEGOLM SESSION DATA-----"
	fileVersion = 1

	saltStart   = 1
	ivStart     = saltStart + 16
	roundsStart = ivStart + 16
	// HeaderLength is how many bytes stand before the ciphertext.
	HeaderLength = roundsStart + 4
	macLength    = 32
	// minFile is the length of a file with an empty ciphertext. Below it the MAC would overlap what it is over.
	minFile = HeaderLength + macLength
)

const (
	// MinRounds is the least number of rounds of PBKDF2 a file may ask for: with fewer the passphrase is as good as written on it.
	MinRounds = 1_000
	// MaxRounds is the most: 2^32-1 would take hours, and whoever wrote the file need not know the passphrase to ask for that (T42).
	MaxRounds = 10_000_000
	// DefaultRounds is what Element writes.
	DefaultRounds = 500_000
)

// SealedFile is a key-export file, taken out of its armour and not opened. Nothing in it is secret.
type SealedFile struct {
	Salt       [16]byte // of PBKDF2
	IV         [16]byte // of AES-CTR, the whole of it a big-endian counter
	Rounds     uint32   // of PBKDF2, MinRounds to MaxRounds
	Ciphertext []byte   // the part of a file that is as long as the plaintext
	MAC        [32]byte // HMAC-SHA-256 over Header and Ciphertext, one behind the other
}

// ParseFile takes the text of a key-export file. Line ends of any kind and number, white space, and a missing last line end make no
// difference; base64 may be padded or not. The error is a *FileError: bad_key_file_header, bad_key_file_footer, bad_key_file_base64,
// bad_key_file_length, bad_key_file_version or bad_key_file_rounds.
func ParseFile(text []byte) (*SealedFile, error) {
	text = bytes.Trim(text, whiteSpace)
	body, ok := bytes.CutPrefix(text, []byte(header))
	if !ok {
		return nil, &FileError{Code: CodeBadKeyFileHeader}
	}
	if body, ok = bytes.CutSuffix(body, []byte(footer)); !ok {
		return nil, &FileError{Code: CodeBadKeyFileFooter}
	}
	raw, ok := decodeArmoured(body)
	if !ok {
		return nil, &FileError{Code: CodeBadKeyFileBase64}
	}
	if len(raw) < minFile {
		return nil, &FileError{Code: CodeBadKeyFileLength, Expected: minFile, Got: int64(len(raw))}
	}
	if raw[0] != fileVersion {
		return nil, &FileError{Code: CodeBadKeyFileVersion, Expected: fileVersion, Got: int64(raw[0])}
	}
	end := len(raw) - macLength
	f := &SealedFile{
		Salt:       [16]byte(raw[saltStart:]),
		IV:         [16]byte(raw[ivStart:]),
		Rounds:     binary.BigEndian.Uint32(raw[roundsStart:]),
		Ciphertext: raw[HeaderLength:end:end],
		MAC:        [32]byte(raw[end:]),
	}
	if err := checkRounds(f.Rounds); err != nil {
		return nil, err
	}
	return f, nil
}

func checkRounds(rounds uint32) error {
	switch {
	case rounds < MinRounds:
		return &FileError{Code: CodeBadKeyFileRounds, Expected: MinRounds, Got: int64(rounds)}
	case rounds > MaxRounds:
		return &FileError{Code: CodeBadKeyFileRounds, Expected: MaxRounds, Got: int64(rounds)}
	}
	return nil
}

// Header is what stands before the ciphertext: version, salt, IV and rounds.
func (f *SealedFile) Header() (h [HeaderLength]byte) {
	h[0] = fileVersion
	copy(h[saltStart:], f.Salt[:])
	copy(h[ivStart:], f.IV[:])
	binary.BigEndian.PutUint32(h[roundsStart:], f.Rounds)
	return h
}

// lineBytes are the bytes that stand in one line of a file, as Element writes it: 128 symbols.
const lineBytes = 96

// Text is the file in its armour, as ParseFile reads it: padded base64, which readers that know one form only know.
func (f *SealedFile) Text() []byte {
	h := f.Header()
	size := minFile + len(f.Ciphertext)
	text := make([]byte, 0, len(header)+len(footer)+2+size/3*4+size/lineBytes+8)
	text = append(append(text, header...), '\n')
	// Three parts, and lines that run across their borders.
	var line [lineBytes]byte
	held := 0
	for _, part := range [...][]byte{h[:], f.Ciphertext, f.MAC[:]} {
		for len(part) > 0 {
			n := copy(line[held:], part)
			held, part = held+n, part[n:]
			if held == lineBytes {
				text = append(base64.StdEncoding.AppendEncode(text, line[:]), '\n')
				held = 0
			}
		}
	}
	if held > 0 {
		text = append(base64.StdEncoding.AppendEncode(text, line[:held]), '\n')
	}
	return append(append(text, footer...), '\n')
}

const whiteSpace = " \t\r\n"

// decodeArmoured decodes base64 with white space anywhere in it. A file is public, so the library's decoder does; Strict makes it refuse bits
// left over.
func decodeArmoured(body []byte) (raw []byte, ok bool) {
	encoding := base64.RawStdEncoding.Strict()
	raw = make([]byte, 0, len(body)/4*3+3)
	var symbols [4096]byte
	n := 0
	var err error
	for _, c := range body {
		if c == ' ' || c == '\t' || c == '\r' || c == '\n' {
			continue
		}
		if n == len(symbols) {
			if raw, err = encoding.AppendDecode(raw, symbols[:]); err != nil {
				return nil, false
			}
			n = 0
		}
		symbols[n] = c
		n++
	}
	// Padding, if there is any, fills the last four.
	last := symbols[:n]
	if n%4 == 0 {
		for range 2 {
			last = bytes.TrimSuffix(last, []byte{'='})
		}
	}
	raw, err = encoding.AppendDecode(raw, last)
	return raw, err == nil
}
