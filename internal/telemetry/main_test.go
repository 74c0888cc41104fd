package telemetry_test

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain takes away the settings of whoever runs the tests, which the library
// for traces reads by itself.
func TestMain(m *testing.M) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "OTEL_") {
			_ = os.Unsetenv(name) // fails for no such name
		}
	}
	goleak.VerifyTestMain(m)
}
