//go:build race

package modeltest

// Under the race detector everything takes ten times as long.
const underRace = true
