package megolm

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"

	"knownsender/core/redact"
)

const (
	parts         = 4
	partLength    = sha256.Size
	ratchetLength = parts * partLength
)

// ratchet is a Megolm ratchet at one index. It has a part for each byte of the index, most significant first: part 3 moves with
// every message, part 2 with every 256th and so on, and a part that moves replaces all those after it. So a ratchet reaches any
// later index in at most 1,023 steps, and none leads back.
type ratchet struct {
	redact.Secret
	_     [0]func() // not comparable with ==, which is not constant-time: use equal
	index uint32
	parts [ratchetLength]byte
}

func (r *ratchet) part(i int) []byte { return r.parts[i*partLength : (i+1)*partLength] }

// advanceTo moves r on to index, which must not lie before r's own. It returns how many HMACs that took.
func (r *ratchet) advanceTo(index uint32) (hmacs int) {
	for i := range parts {
		shift := uint(8 * (parts - 1 - i))
		moves := index>>shift - r.index>>shift // at most 255: the parts before i stand where they should
		if moves == 0 {
			continue
		}
		r.index = index >> shift << shift
		for range moves - 1 {
			step(r.part(i), r.part(i), i)
		}
		// The last move also gives the parts after i their values, as far as the next one that will move: that part
		// replaces the rest once more.
		source := [partLength]byte(r.part(i))
		step(r.part(i), source[:], i)
		hmacs += int(moves)
		for j := i + 1; j < parts; j++ {
			step(r.part(j), source[:], j)
			hmacs++
			if byte(index>>(8*(parts-1-j))) != 0 {
				break
			}
		}
		clear(source[:])
	}
	return hmacs
}

// step is the specification's H_i: the new value of part i from a source part.
func step(into, source []byte, i int) {
	mac := hmac.New(sha256.New, source)
	mac.Write([]byte{byte(i)})
	mac.Sum(into[:0])
}

// equal compares in constant time, the index included.
func (r *ratchet) equal(other *ratchet) bool {
	return r.index == other.index && subtle.ConstantTimeCompare(r.parts[:], other.parts[:]) == 1
}

func (r *ratchet) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, r.index)
	return append(dst, r.parts[:]...)
}

// parseRatchet reads what append wrote: 4 bytes of index and 128 of ratchet.
func parseRatchet(raw []byte) (r ratchet) {
	r.index = binary.BigEndian.Uint32(raw)
	copy(r.parts[:], raw[4:])
	return r
}

func (r *ratchet) wipe() { *r = ratchet{} }
