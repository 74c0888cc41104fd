package credential

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A token that was renewed counts without a restart, once the old one has been
// kept for its time.
func TestCommandRunsAgainAfterAWhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	give := func() string {
		pat := "kbn_pat_" + strings.ToLower(rand.Text())
		if err := os.WriteFile(path, []byte(pat), 0o600); err != nil {
			t.Fatal(err)
		}
		return pat
	}
	read := "cat "
	if os.PathSeparator == '\\' {
		read = "type "
	}
	command := newCommand(read + path)
	first := give()
	if got, err := command.token(t.Context()); err != nil || got != first {
		t.Fatalf("the first token is not given: %v", err)
	}
	second := give()
	if got, err := command.token(t.Context()); err != nil || got != first {
		t.Errorf("the first token is not kept: %v", err)
	}
	command.ranAt = command.ranAt.Add(-commandKept)
	if got, err := command.token(t.Context()); err != nil || got != second {
		t.Errorf("the second token is not given: %v", err)
	}
}
