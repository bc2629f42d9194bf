// Package lane says when an unknown sender is asked about, and by whom it was asked already.
//
// Three speeds. The fast lane is no lane: what memory knows is said at once. The slow lane asks the server for all senders that wait, in few
// requests, and lets go of them after a short while. The retry lane picks up the rest, by a schedule that lies with each copy.
//
// The rule of this package: it is pure. It takes the time as a number and randomness as a number, and it starts, sends and waits for nothing.
package lane
