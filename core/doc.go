// Package core holds the Machine: the one object that a host drives. It receives room keys, learns of devices and identities, decrypts room
// events, and says of each who sent it and whether it may be shown.
//
// The rule of this package: it decides nothing itself. Who sent a key is decided in sender, what we know of people in trust, what may be shown
// in policy, how things lie in rows in record. The Machine carries values between them in a fixed order: prepare (parse, list what needs
// checking), check (signatures, by whoever is fastest), finish (pure), commit (one batch). Nothing is computed while a transaction is open.
//
// Calls come in two forms. Those without a context are synchronous: they touch memory alone and may be called from inside a sync loop. Those
// with a context wait for the store or for signatures; between their waits other calls may run, so each reads again what it is about to
// write, and every write is compare-and-set.
//
// A Machine is meant for one thread that never runs two calls at the same instant, which is what a browser gives. Calls may overlap at their
// waits only.
package core
