//go:build !race

package core_test

const sparsely = 0
