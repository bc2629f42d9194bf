//go:build tools

// Package homeserver is no program of ours: it names what the end-to-end stories need of dendrite, in a module of its own, so that nothing of
// it comes near the module's own dependencies. "dendrite.ts" starts it.
package homeserver

import (
	_ "github.com/element-hq/dendrite/cmd/dendrite"
	_ "github.com/element-hq/dendrite/cmd/generate-keys"
)
