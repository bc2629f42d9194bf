// Package modeltest explores small worlds to their end. It has only tests.
//
// The world: one session, six copies of it at most, Alice who made it, Mallory who sends it on, our own identity lost and found. The
// alphabet: what may happen in it, one letter an event. The explorer drives the real core.Machine through every word of that alphabet,
// shortest first, and every crash between two writes is a letter too.
//
// The rule of this package: nothing here knows how the Machine comes to its answers. What must hold is said once more in few words of its own
// (facts, laws, oracle), over the rows as they lie in the store, and over a list of who really signed what.
//
// What is no part of a state's name must bear on nothing but itself: times, revisions, the numbers of requests, names of notes, schedules,
// the letter at which the finder stopped, and the sender data at reception. That they do not change, or only as they may, is held against
// every transition instead.
//
// Two tabs over one store are another, smaller model (tabs): every interleaving of their store operations, and a crash at each.
package modeltest
