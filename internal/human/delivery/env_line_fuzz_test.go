package delivery

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// envLine is a line of a .env file, read without the code under test. Group 2 is
// the value with its quotation marks.
var envLine = regexp.MustCompile(`(?m)(?:\A\x{FEFF})?^[ \t]*(?:\x{FEFF})?[ \t]*(?:export[ \t]+)?KENBUN_PAT[ \t]*=[ \t]*("[^"\n]*"|'[^'\n]*'|[0-9A-Za-z_-]*)[ \t\r]*(?:#.*)?$`)

// The edited variable has the new value, and every other byte stays.
func FuzzEnvLine(f *testing.F) {
	for _, seed := range []string{
		"", "A=1\n", "KENBUN_PAT=a", "KENBUN_PAT=\"a\" # b\r\n", "A=\"\nKENBUN_PAT=a\n\"", "\ufeffexport KENBUN_PAT='x'", "\ufeff KENBUN_PAT=x",
		"KENBUN_PAT=# c\nB=2", "A='1\nKENBUN_PAT=x", " export\tKENBUN_PAT = \"a\\\"b\" \n", "#KENBUN_PAT=a\nKENBUN_PAT =", "A=1\r\nB=2",
	} {
		f.Add([]byte(seed), "kbn_pat_0a-Z")
	}
	f.Fuzz(func(t *testing.T, content []byte, value string) {
		before := bytes.Clone(content)
		at, err := findVariable(content, "KENBUN_PAT")
		if !bytes.Equal(before, content) {
			t.Fatal("looking changed the content")
		}
		if err != nil {
			if text := err.Error(); len(text) > 200 || strings.ContainsAny(text, "\r\n") {
				t.Fatalf("the refusal is %q", text)
			}
			return
		}
		after, err := at.with(content, "KENBUN_PAT", value)
		if !bytes.Equal(before, content) {
			t.Fatal("editing changed what was read")
		}
		if isToken := regexp.MustCompile(`\A[0-9A-Za-z_-]*\z`).MatchString(value); (err == nil) != isToken {
			t.Fatalf("the value %q: %v", value, err)
		}
		if err != nil || value == "" {
			return
		}

		if at.found {
			head, tail := content[:at.start], content[at.end:]
			rest, ok := bytes.CutPrefix(after, append(bytes.Clone(head), value...))
			if spaced, cut := bytes.CutPrefix(rest, []byte(" #")); cut && bytes.HasPrefix(tail, []byte("#")) {
				rest = append([]byte("#"), spaced...)
			}
			if !ok || !bytes.Equal(rest, tail) {
				t.Fatalf("%q became %q", content, after)
			}
		} else {
			added, ok := bytes.CutPrefix(after, content)
			if !ok || strings.Trim(string(added), "\r\n") != "KENBUN_PAT="+value {
				t.Fatalf("%q became %q", content, after)
			}
		}

		again, err := findVariable(after, "KENBUN_PAT")
		if err != nil || !again.found || string(after[again.start:again.end]) != value {
			t.Fatalf("%q became %q, where the value is %q (%v)", content, after, after[again.start:again.end], err)
		}
		values := 0
		for _, line := range envLine.FindAllSubmatch(after, -1) {
			if strings.Trim(string(line[1]), `"'`) != value {
				t.Fatalf("%q became %q, where another reader finds %q", content, after, line[1])
			}
			values++
		}
		if values != 1 {
			t.Fatalf("%q became %q, where another reader finds %d values", content, after, values)
		}
	})
}
