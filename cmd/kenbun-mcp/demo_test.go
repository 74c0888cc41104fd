package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

func TestDemoShowsTheFiveSteps(t *testing.T) {
	kenbuntest.Binary(t) // the time for building is not the demonstration's
	began := time.Now()
	// What a user has set for the real kenbun must not reach the demonstration.
	got := runProgram(t, append(kenbuntest.Environment(t), "KENBUN_READ_ONLY=true", "KENBUN_API_URL=https://api.example.com"), "", "demo")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	if got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	rest := got.stdout
	for i, want := range []string{"whoami", "list_tokens", "create_token", "revoke_token", "list_tokens"} {
		_, after, found := strings.Cut(rest, fmt.Sprintf("\n%d. Ada: ", i+1))
		if !found {
			t.Fatalf("step %d is missing:\n%s", i+1, got.stdout)
		}
		if rest = after; !strings.Contains(rest, "assistant calls "+want) {
			t.Errorf("step %d does not call %s", i+1, want)
		}
	}
	for _, want := range []string{"The value is not among them.", "the client asks Ada", "Token revoked", "revoked 1"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("the demonstration does not show %q:\n%s", want, got.stdout)
		}
	}
	if strings.Contains(got.stdout, "\x1b") {
		t.Error("there is colour in a pipe")
	}
}
