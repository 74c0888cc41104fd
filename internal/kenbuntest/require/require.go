// Package require is for tests that need something which is not on every
// machine.
package require

import (
	"os"
	"testing"
)

// variable, set to "all", turns what would be left out into a failure.
const variable = "KENBUN_TEST_REQUIRE"

// All tells whether this run is to leave nothing out.
func All() bool { return os.Getenv(variable) == "all" }

// SkipUnlessRequired ends a test that lacks something of the machine it runs
// on. reason says what is missing. Where KENBUN_TEST_REQUIRE is "all" the test
// fails instead, so that a run which claims to be whole is whole.
func SkipUnlessRequired(t testing.TB, reason string) {
	t.Helper()
	if All() {
		t.Fatalf("%s, and %s=all allows no test to be left out", reason, variable)
	}
	t.Skip(reason)
}

// Long ends a test that takes too long for a run with -short. reason says what
// takes the time.
func Long(t testing.TB, reason string) {
	t.Helper()
	if testing.Short() {
		SkipUnlessRequired(t, reason+", and -short was given")
	}
}
