// Package peers forwards to scripts/peertest while callers move there.
package peers

import (
	"testing"

	"fieldgate/scripts/peertest"
)

// Need forwards to peertest.Need.
func Need(t testing.TB, name string) string { t.Helper(); return peertest.Need(t, name) }

// NeedPython forwards to peertest.NeedPython.
func NeedPython(t testing.TB, module string) string { t.Helper(); return peertest.NeedPython(t, module) }
