// Package size says how much the tests of load, of random histories and of long
// times do in this run.
package size

import (
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
)

// Of returns short with -short, full with KENBUN_TEST_REQUIRE=all, and normal
// otherwise. Under the race detector full becomes normal: the detector looks at which
// code runs, and not at how often.
func Of[T any](short, normal, full T) T {
	switch {
	case testing.Short():
		return short
	case require.All() && !RaceDetector:
		return full
	default:
		return normal
	}
}
