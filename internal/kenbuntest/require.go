package kenbuntest

import (
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
)

// SkipUnlessRequired ends a test that lacks something of the machine it runs
// on. reason says what is missing. Where KENBUN_TEST_REQUIRE is "all" the test
// fails instead, so that a run which claims to be whole is whole.
func SkipUnlessRequired(t testing.TB, reason string) {
	t.Helper()
	require.SkipUnlessRequired(t, reason)
}
