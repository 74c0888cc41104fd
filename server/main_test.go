package server_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// TestMain fails the package if anything still runs after its tests.
func TestMain(m *testing.M) {
	code := kenbuntest.Run(m)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
