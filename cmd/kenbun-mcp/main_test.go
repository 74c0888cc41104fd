package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the generated parts of the documentation")

// TestMain also makes this binary the program that scripts run.
func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"kenbun-mcp": main, "exits": exits, "keep": keep})
}

type tests struct{ *testing.M }

// Run runs the tests.
func (m tests) Run() int {
	// They wait for the program most of the time.
	if err := flag.Set("test.parallel", "16"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	flag.Parse()
	// What whoever runs the tests has set for themselves is not for the commands
	// that tests run in this process.
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); kenbuntest.IsSetting(name) && !strings.HasPrefix(name, "KENBUN_TEST_") {
			if err := os.Unsetenv(name); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
	}
	// An agent may run the tests.
	if err := os.Setenv(command.AllowAgentVariable, "1"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return kenbuntest.Run(m.M)
}

func mustDo(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
