package architecture

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What comes from outside is named by what it contains, not by a tag that its
// publisher can move.
func TestActionsImagesAndPackagesArePinned(t *testing.T) {
	read := func(elements ...string) string {
		t.Helper()
		content, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, elements...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	for _, c := range []struct {
		content, what string
		named, pinned *regexp.Regexp
	}{
		{read(".github", "workflows", "ci.yml"), "an action", regexp.MustCompile(`(?m)^.*\buses:.*$`), regexp.MustCompile(`@[0-9a-f]{40} # v[0-9.]+$`)},
		{read("examples", "deploy", "Dockerfile"), "an image", regexp.MustCompile(`(?m)^(# syntax=|FROM ).*$`), regexp.MustCompile(`@sha256:[0-9a-f]{64}( AS |$)|^FROM scratch$`)},
		{read("examples", "deploy", "compose.yaml"), "an image", regexp.MustCompile(`(?m)^ *image: .*$`), regexp.MustCompile(`@sha256:[0-9a-f]{64}$|image: kenbun-mcp$`)},
	} {
		lines := c.named.FindAllString(c.content, -1)
		if len(lines) == 0 {
			t.Errorf("no line names %s", c.what)
		}
		for _, line := range lines {
			if !c.pinned.MatchString(line) {
				t.Errorf("%s is not pinned: %s", c.what, line)
			}
		}
	}
	for _, folder := range []string{"inspector", "conformance-suite", "npm-clients"} {
		lock := read("script", folder, "package-lock.json")
		if strings.Contains(lock, `"resolved"`) || strings.Contains(lock, "registry") {
			t.Errorf("script/%s/package-lock.json holds the address of a registry: one that npm ci would insist on", folder)
		}
		if packages, hashes := strings.Count(lock, `"node_modules/`), strings.Count(lock, `"integrity"`); hashes < packages {
			t.Errorf("script/%s/package-lock.json has %d packages, and %d hashes", folder, packages, hashes)
		}
		if !strings.Contains(read("script", folder, ".npmrc"), "ignore-scripts=true") {
			t.Errorf("packages of script/%s may run scripts when they are installed", folder)
		}
	}
	for _, program := range []string{filepath.Join(".ci", "run"), filepath.Join("script", "conformance")} {
		if strings.Contains(read(program), "npm install") {
			t.Errorf("%s installs packages that are not in the lock file: use npm ci", program)
		}
	}
}
