package requirements_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/requirements"
)

var update = flag.Bool("update", false, "rewrite docs/requirements.md")

func collect(t *testing.T) map[string][]requirements.Test {
	t.Helper()
	tests, err := requirements.Tests(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

func TestGeneratedDocumentationIsUpToDate(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "requirements.md")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- generated: requirements -->\n", "<!-- end of generated: requirements -->"
	before, rest, foundBegin := strings.Cut(string(content), begin)
	got, after, foundEnd := strings.Cut(rest, end)
	if !foundBegin || !foundEnd {
		t.Fatalf("%s has no part between %q and %q", path, begin, end)
	}
	want := requirements.Table(collect(t))
	if got == want {
		return
	}
	if !*update {
		t.Fatalf("%s is out of date: run script/generate", path)
	}
	if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A name in a test without a sentence says nothing, and a sentence without a
// test is a wish.
func TestEveryRequirementHasATestAndEveryTestItsRequirement(t *testing.T) {
	tests := collect(t)
	known := map[string]bool{}
	for _, family := range requirements.Families() {
		for _, r := range family.Requirements {
			if known[r.ID] || !strings.HasPrefix(r.ID, family.Letter) || !strings.HasSuffix(r.Text, ".") {
				t.Errorf("%s comes twice, in the wrong place, or without a sentence", r.ID)
			}
			known[r.ID] = true
			if !slices.ContainsFunc(append(r.With, r.ID), func(id string) bool { return len(tests[id]) > 0 }) {
				t.Errorf("no test bears %s: %s", r.ID, r.Text)
			}
			if r.Elsewhere != "" && r.ID != "R9" && r.ID != "R20" {
				t.Errorf("%s is this program's to hold", r.ID)
			}
		}
	}
	for id, bearers := range tests {
		if !known[id] {
			t.Errorf("%s of %v is not a requirement: name it in this package", id, bearers)
		}
	}
}
