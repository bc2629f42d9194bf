// Package sender answers one question: who sent this room key, as far as can be proved when it arrives?
//
// Reception goes in stages, so that signatures can be checked by whoever does it best. Prepare reads the Olm payload, holds it against the
// gate and walks the finder as far as it gets without a signature; Checks lists the signatures that are left; Finish is pure and says what
// became of the key: a Copy to be kept, a copy kept but suspended, or a Tombstone. Judge asks the question again later, for a copy that is
// stored already, when devices, identities or verifications have changed. Join puts two copies of one room key together.
//
// What a sender is known as never falls: every function here either raises it or leaves it.
package sender
