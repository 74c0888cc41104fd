package architecture

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// secretCommand names a command that prints a secret.
var secretCommand = regexp.MustCompile(`kenbun-mcp (tokens (create|rotate)|claim( --sealed|[^ ]* claim_|[ \x60"]+\+)|authority session)`)

// A model with a shell runs what an answer names. What tools, the user's pages
// and the server say must not name a command that prints a secret.
func TestNoAnswerNamesACommandThatPrintsASecret(t *testing.T) {
	for _, folder := range []string{"tools", "internal/human", "server"} {
		err := filepath.WalkDir(filepath.Join("..", "..", folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if named := secretCommand.FindString(string(content)); named != "" {
				t.Errorf("%s names %q: say what the user can do without it", path, named)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
