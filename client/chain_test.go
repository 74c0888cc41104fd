package client

import (
	"fmt"
	"strings"
	"testing"
)

// assertNotInChain fails if any error under err, printed in any way, shows value.
func assertNotInChain(t *testing.T, err error, value string) {
	t.Helper()
	if value == "" {
		t.Fatal("there is no value to look for")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%q"} {
		if text := fmt.Sprintf(verb, err); strings.Contains(text, value) {
			t.Errorf("%s of %T shows a secret", verb, err)
		}
	}
	switch wrapper := err.(type) { //nolint:errorlint // each layer on its own
	case interface{ Unwrap() error }:
		if inner := wrapper.Unwrap(); inner != nil {
			assertNotInChain(t, inner, value)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range wrapper.Unwrap() {
			assertNotInChain(t, inner, value)
		}
	}
}
