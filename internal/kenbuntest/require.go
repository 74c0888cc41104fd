package kenbuntest

import (
	"os"
	"testing"
)

// requireVariable, set to "all", turns what would be left out into a failure.
const requireVariable = "KENBUN_TEST_REQUIRE"

// SkipUnlessRequired ends a test that lacks something of the machine it runs
// on. reason says what is missing. Where KENBUN_TEST_REQUIRE is "all" the test
// fails instead, so that a run which claims to be whole is whole.
func SkipUnlessRequired(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv(requireVariable) == "all" {
		t.Fatalf("%s, and %s=all allows no test to be left out", reason, requireVariable)
	}
	t.Skip(reason)
}
