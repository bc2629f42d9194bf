//go:build race

package core_test

// sparsely is how many cases of a long list are passed over for each one that is run: the race detector looks for races, not for cases, and
// makes every signature ten times as dear. Without it every case is run.
const sparsely = 10
