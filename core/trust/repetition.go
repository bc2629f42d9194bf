package trust

import (
	"crypto/sha256"
	"encoding/binary"

	"knownsender/core/ids"
)

// What was answered before, word for word. Servers are asked again and again and mostly answer the same. What an answer said of a user when it was taken
// over without a problem is remembered by its digest until anything about the user's row changes: said again it changes nothing, and the row need not
// even be read. The digests are not stored.

// digest is over all that an answer says of one user.
type digest [sha256.Size]byte

// digest is made once.
func (of *answered) digest() digest {
	if of.sum == (digest{}) {
		hash := sha256.New()
		part := func(kind byte, refused bool, texts ...[]byte) {
			head := []byte{kind, 0}
			if refused {
				head[1] = 1
			}
			for _, text := range texts {
				head = binary.LittleEndian.AppendUint32(head, uint32(len(text)))
			}
			hash.Write(head)
			for _, text := range texts {
				hash.Write(text)
			}
		}
		if of.listed {
			part('l', of.refused)
		}
		for i := range of.devices {
			part('d', of.devices[i].refused, []byte(of.devices[i].id), of.devices[i].raw)
		}
		for role := range of.keys {
			if key := &of.keys[role]; key.raw != nil {
				part(byte(role), key.refused, key.raw)
			}
		}
		hash.Sum(of.sum[:0])
	}
	return of.sum
}

// Unrepeated is the answer without the users of whom it says what was taken over before: it counts as applied for them. Everything is as for Prepare,
// which the rest is for. Our own user is never left out, nor whose list is to be brought up to date, nor who would be a Problem.
func (x *Index) Unrepeated(a *Answer, sequence Sequence) *Answer {
	if x.NeedsAll(a) {
		return a
	}
	rest := &Answer{failures: a.failures, problems: a.problems}
	for _, of := range a.users {
		if p := x.users[of.user]; p != nil && x.repeated(p, a, of, sequence) {
			p.applied = max(p.applied, sequence)
		} else {
			rest.users = append(rest.users, of)
		}
	}
	return rest
}

func (x *Index) repeated(p *person, a *Answer, of *answered, sequence Sequence) bool {
	switch {
	case p.said == digest{}, of.user == x.own.UserID, a.failed(of.user), p.applied > sequence && sequence != 0:
		return false
	case p.flags&(tracked|outdated) == tracked|outdated:
		return false
	}
	return p.said == of.digest()
}

// saying is what an answer said of a user.
type saying struct {
	user ids.UserID
	said digest
}

// unproblematic are those of the answer whose repetition would change nothing, and bring no Problem either.
func (f *finishing) unproblematic() []saying {
	if f.problems.further > 0 {
		return nil
	}
	problematic := make(map[ids.UserID]bool, len(f.problems.list))
	for i := range f.problems.list {
		problematic[f.problems.list[i].UserID] = true
	}
	var said []saying
	for _, w := range f.others {
		if w.answered != nil && !problematic[w.user] {
			said = append(said, saying{user: w.user, said: w.answered.digest()})
		}
	}
	return said
}
