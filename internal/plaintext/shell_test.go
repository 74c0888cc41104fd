//go:build unix

package plaintext_test

import (
	"os/exec"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

func TestAShellTakesAShellWordAsOneWord(t *testing.T) {
	for _, word := range []string{"", "plain", "two words", "it's", `"quoted"`, "$HOME", "`id`", "$(id)", "a;b", "a\nb", "*", "~", "!", `a\`, "ü"} {
		got, err := exec.Command("/bin/sh", "-c", "printf %s "+plaintext.ShellWord(word)+" && printf . ").Output()
		if err != nil || string(got) != word+"." {
			t.Errorf("%q became %q, %v", word, got, err)
		}
	}
	if got := plaintext.ShellWord("read:leads,write:leads"); got != "read:leads,write:leads" {
		t.Errorf("quoted without need: %s", got)
	}
}
