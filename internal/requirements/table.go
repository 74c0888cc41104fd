package requirements

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var (
	testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
	idsOfName    = regexp.MustCompile(`^(?:Test|Fuzz)((?:[A-Z][0-9]+_)+)`)
)

// Test is a test or a fuzz target, in a package by its folder.
type Test struct{ Package, Name string }

// Tests returns which tests in the files under root bear each requirement, in
// order.
func Tests(root string) (map[string][]Test, error) {
	tests := map[string][]Test{}
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "testdata" || entry.Name() == "node_modules" || strings.HasPrefix(entry.Name(), ".") && name != ".") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		for _, function := range testFunction.FindAllSubmatch(content, -1) {
			for _, id := range idsOf(string(function[1])) {
				tests[id] = append(tests[id], Test{path.Dir(name), string(function[1])})
			}
		}
		return nil
	})
	for id := range tests {
		slices.SortFunc(tests[id], func(a, b Test) int {
			return strings.Compare(a.Package+" "+a.Name, b.Package+" "+b.Name)
		})
		tests[id] = slices.Compact(tests[id])
	}
	return tests, err
}

// idsOf returns the requirements in the name of a test.
func idsOf(name string) []string {
	ids := idsOfName.FindStringSubmatch(name)
	if ids == nil {
		return nil
	}
	return strings.Split(strings.TrimSuffix(ids[1], "_"), "_")
}

// Table renders all requirements with their tests, in Markdown.
func Table(tests map[string][]Test) string {
	var b strings.Builder
	for _, family := range Families() {
		fmt.Fprintf(&b, "## %s · %s\n\n", family.Letter, family.Title)
		if family.Intro != "" {
			fmt.Fprintf(&b, "%s\n\n", family.Intro)
		}
		for _, r := range family.Requirements {
			fmt.Fprintf(&b, "### %s\n\n%s\n\n", r.ID, r.Text)
			if family.Letter == "R" {
				fmt.Fprintf(&b, "Status: %s.\n\n", r.status())
			}
			in := ""
			for _, test := range tests[r.ID] {
				if test.Package != in {
					if in != "" {
						b.WriteString("\n")
					}
					in = test.Package
					fmt.Fprintf(&b, "- `%s`:", in)
				} else {
					b.WriteString(",")
				}
				fmt.Fprintf(&b, " `%s`", test.Name)
			}
			if in != "" {
				b.WriteString("\n\n")
			}
			if len(r.With) > 0 {
				fmt.Fprintf(&b, "Also the tests of %s.\n\n", strings.Join(r.With, " and "))
			}
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (r *Requirement) status() string {
	if r.Elsewhere != "" {
		return r.Elsewhere
	}
	return "held"
}
