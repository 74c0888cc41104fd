package delivery_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/tools"
)

// newEnvFile delivers into a file with the given content, or into none yet.
func newEnvFile(t *testing.T, content *string) (*delivery.EnvFile, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".env")
	if content != nil {
		if err := os.WriteFile(path, []byte(*content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	road, err := delivery.NewEnvFile(path, "KENBUN_PAT")
	if err != nil {
		t.Fatal(err)
	}
	return road, path
}

// TestEnvFileChangesOneValueAndNoOtherByte: in each case VALUE stands for the
// new value.
func TestEnvFileChangesOneValueAndNoOtherByte(t *testing.T) {
	for name, c := range map[string]struct{ before, after string }{
		"empty":                         {"", "KENBUN_PAT=VALUE\n"},
		"plain":                         {"A=1\nKENBUN_PAT=old\nB=2\n", "A=1\nKENBUN_PAT=VALUE\nB=2\n"},
		"empty value":                   {"KENBUN_PAT=\nB=2\n", "KENBUN_PAT=VALUE\nB=2\n"},
		"no last line end":              {"KENBUN_PAT=old", "KENBUN_PAT=VALUE"},
		"appended":                      {"A=1\n", "A=1\nKENBUN_PAT=VALUE\n"},
		"appended, no last line end":    {"A=1", "A=1\nKENBUN_PAT=VALUE"},
		"appended, Windows":             {"A=1\r\n", "A=1\r\nKENBUN_PAT=VALUE\r\n"},
		"Windows":                       {"A=1\r\nKENBUN_PAT=old\r\nB=2\r\n", "A=1\r\nKENBUN_PAT=VALUE\r\nB=2\r\n"},
		"Windows, empty value":          {"KENBUN_PAT=\r\nB=2\r\n", "KENBUN_PAT=VALUE\r\nB=2\r\n"},
		"export":                        {"export KENBUN_PAT=old\n", "export KENBUN_PAT=VALUE\n"},
		"export, tabs":                  {"\texport\tKENBUN_PAT=old\n", "\texport\tKENBUN_PAT=VALUE\n"},
		"white space":                   {"  KENBUN_PAT = old  \n", "  KENBUN_PAT = VALUE  \n"},
		"double quotes":                 {"KENBUN_PAT=\"old\"\n", "KENBUN_PAT=\"VALUE\"\n"},
		"single quotes":                 {"KENBUN_PAT='old' # mine\n", "KENBUN_PAT='VALUE' # mine\n"},
		"quotes, Windows":               {"KENBUN_PAT=\"old\"\r\n", "KENBUN_PAT=\"VALUE\"\r\n"},
		"escaped quote":                 {"KENBUN_PAT=\"o\\\"ld\"\n", "KENBUN_PAT=\"VALUE\"\n"},
		"comment":                       {"KENBUN_PAT=old # mine\n", "KENBUN_PAT=VALUE # mine\n"},
		"comment and no value":          {"KENBUN_PAT= # mine\n", "KENBUN_PAT= VALUE # mine\n"},
		"comment at once":               {"KENBUN_PAT=# mine\n", "KENBUN_PAT=VALUE # mine\n"},
		"number sign in the value":      {"KENBUN_PAT=o#ld\n", "KENBUN_PAT=VALUE\n"},
		"commented out":                 {"# KENBUN_PAT=old\n", "# KENBUN_PAT=old\nKENBUN_PAT=VALUE\n"},
		"commented out, and not":        {"#KENBUN_PAT=a\nKENBUN_PAT=b\n", "#KENBUN_PAT=a\nKENBUN_PAT=VALUE\n"},
		"longer names":                  {"MY_KENBUN_PAT=a\nKENBUN_PAT_FILE=b\n", "MY_KENBUN_PAT=a\nKENBUN_PAT_FILE=b\nKENBUN_PAT=VALUE\n"},
		"another case":                  {"kenbun_pat=a\n", "kenbun_pat=a\nKENBUN_PAT=VALUE\n"},
		"value with an equals sign":     {"KENBUN_PAT=a=b\n", "KENBUN_PAT=VALUE\n"},
		"byte order mark":               {"\ufeffKENBUN_PAT=a\n", "\ufeffKENBUN_PAT=VALUE\n"},
		"no UTF-8":                      {"A=\xff\xfe\nKENBUN_PAT=a\n", "A=\xff\xfe\nKENBUN_PAT=VALUE\n"},
		"words that are no assignments": {"hello\n\n  \nKENBUN_PAT\n", "hello\n\n  \nKENBUN_PAT\nKENBUN_PAT=VALUE\n"},
		"several lines elsewhere":       {"CERT=\"a\nb\nc\"\nKENBUN_PAT=old\n", "CERT=\"a\nb\nc\"\nKENBUN_PAT=VALUE\n"},
		"a lone quotation mark":         {"A=it's\nB='\nKENBUN_PAT=old\n", "A=it's\nB='\nKENBUN_PAT=VALUE\n"},
	} {
		t.Run(name, func(t *testing.T) {
			road, path := newEnvFile(t, &c.before)
			if err := road.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			token := newToken("pat_1")
			receipt, err := road.Deliver(t.Context(), tools.Caller{}, token)
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if shown := strings.ReplaceAll(string(got), token.Value.Reveal(), "VALUE"); shown != c.after {
				t.Errorf("the file holds\n%q, want\n%q", shown, c.after)
			}
			if names := entriesOf(t, filepath.Dir(path)); len(names) != 1 {
				t.Errorf("beside the file there is %v", names)
			}
			if strings.Contains(receipt.Where+receipt.Note, token.Value.Reveal()) || !strings.Contains(receipt.Where, path) {
				t.Error("the receipt is not about the file alone")
			}
		})
	}
}

func TestEnvFileIsMadeWhereThereIsNone(t *testing.T) {
	road, path := newEnvFile(t, nil)
	if err := road.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if names := entriesOf(t, filepath.Dir(path)); len(names) != 0 {
		t.Errorf("the check left %v", names)
	}
	first, second := newToken("pat_1"), newToken("pat_2")
	receipt, err := road.Deliver(t.Context(), tools.Caller{}, first)
	if err != nil || strings.Contains(receipt.Note, "gone from the file") {
		t.Fatalf("the note says %q, %v", receipt.Note, err)
	}
	receipt, err = road.Deliver(t.Context(), tools.Caller{}, second)
	if err != nil || !strings.Contains(receipt.Note, "gone from the file") {
		t.Fatalf("the note says %q, %v", receipt.Note, err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "KENBUN_PAT="+second.Value.Reveal()+"\n" {
		t.Errorf("the file does not hold the second value alone: %v", err)
	}
}

func TestEnvFileRefusesWhatItCannotTellForSure(t *testing.T) {
	for name, c := range map[string]struct{ content, says string }{
		"two lines":               {"KENBUN_PAT=a\nexport KENBUN_PAT=b\n", "more than one line"},
		"several lines":           {"KENBUN_PAT=\"a\nb\"\n", "several lines"},
		"inside another value":    {"CERT=\"a\nKENBUN_PAT=b\n\"\n", "inside the value of another"},
		"not closed":              {"KENBUN_PAT=\"a\nB=2\n", "not closed"},
		"text after the quotes":   {"KENBUN_PAT=\"a\"b\n", "after the quotation marks"},
		"no text file":            {"KENBUN_PAT=a\n\x00", "no text file"},
		"larger than a megabyte":  {strings.Repeat("#", 1<<20+1), "too large"},
		"quotes over other lines": {"KENBUN_PAT='a\nB='\n", "several lines"},
	} {
		road, path := newEnvFile(t, &c.content)
		token := newToken("pat_1")
		_, deliverErr := road.Deliver(t.Context(), tools.Caller{}, token)
		for action, err := range map[string]error{"check": road.Check(t.Context()), "deliver": deliverErr} {
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), path) {
				t.Errorf("%s, %s: %v", name, action, err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != c.content {
			t.Errorf("%s: the file was changed, or %v", name, err)
		}
	}
}

func TestEnvFileTakesNoOtherValueThanATokens(t *testing.T) {
	road, path := newEnvFile(t, nil)
	token := newToken("pat_1")
	token.Value = client.NewSecret(token.Value.Reveal() + "\nPATH=/evil")
	if _, err := road.Deliver(t.Context(), tools.Caller{}, token); err == nil {
		t.Error("a value with a line of its own was delivered")
	}
	if names := entriesOf(t, filepath.Dir(path)); len(names) != 0 {
		t.Errorf("left is %v", names)
	}
}

func TestNewEnvFileChecksTheName(t *testing.T) {
	for name, good := range map[string]bool{
		"KENBUN_PAT": true, "_X": true, "A1": true,
		"": false, "1A": false, "a": false, "A-B": false, "A=B": false, "A\nB": false, "A B": false, "Ä": false,
	} {
		if _, err := delivery.NewEnvFile("x", name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := delivery.NewEnvFile("", "A"); err == nil {
		t.Error("a file without a name was taken")
	}
}

// Two servers deliver into lines of the same file at the same time.
func TestEnvFileLosesNoLineToAnotherWriter(t *testing.T) {
	_, path := newEnvFile(t, nil)
	const writers = 8
	var wait sync.WaitGroup
	for i := range writers {
		road, err := delivery.NewEnvFile(path, fmt.Sprintf("TOKEN_%d", i))
		if err != nil {
			t.Fatal(err)
		}
		wait.Go(func() {
			for range 5 {
				if _, err := road.Deliver(t.Context(), tools.Caller{}, newToken("pat_1")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(content), "\n"); lines != writers {
		t.Errorf("the file has %d lines, want %d", lines, writers)
	}
}

func FuzzEnvFileKeepsEveryOtherLine(f *testing.F) {
	for _, seed := range []string{"", "A=1\n", "KENBUN_PAT=a", "KENBUN_PAT=\"a\" # b\r\n", "A=\"\nKENBUN_PAT=a\n\"", "\ufeffexport KENBUN_PAT='x'"} {
		f.Add(seed)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content string) {
		path := filepath.Join(dir, ".env")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		road, err := delivery.NewEnvFile(path, "KENBUN_PAT")
		if err != nil {
			t.Fatal(err)
		}
		checkErr := road.Check(t.Context())
		token := newToken("pat_1")
		_, err = road.Deliver(t.Context(), tools.Caller{}, token)
		if (err == nil) != (checkErr == nil) {
			t.Fatalf("the check said %v, the delivery %v", checkErr, err)
		}
		after, readErr := os.ReadFile(path)
		if readErr != nil {
			t.Fatal(readErr)
		}
		if err != nil {
			if string(after) != content {
				t.Fatal("a refusal changed the file")
			}
			return
		}
		before, rest, found := strings.Cut(string(after), token.Value.Reveal())
		if !found || strings.Contains(rest, token.Value.Reveal()) {
			t.Fatalf("the value does not stand in the file once")
		}
		start := strings.LastIndexByte(before, '\n') + 1
		if head := strings.TrimPrefix(strings.TrimSpace(before[start:]), "\ufeff"); !strings.Contains(head, "KENBUN_PAT") {
			t.Fatalf("the value stands behind %q", head)
		}
		// What is before the line and behind the value was there before.
		if !strings.HasPrefix(content, strings.TrimRight(before[:start], "\r\n")) {
			t.Fatalf("the lines before were changed: %q became %q", content, before[:start])
		}
		if behind := strings.TrimLeft(rest, " "); !strings.HasSuffix(content+"\r\n", behind) && !strings.HasSuffix(content, behind) && strings.TrimSpace(behind) != "" {
			t.Fatalf("what is behind was changed: %q became %q", content, rest)
		}
		// A second delivery finds the line of the first.
		if _, err := road.Deliver(t.Context(), tools.Caller{}, newToken("pat_2")); err != nil {
			t.Fatalf("the line cannot be found again: %v", err)
		}
	})
}
