package delivery_test

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/tools"
)

// newToken is a token as it comes from the API.
func newToken(id string) *client.CreatedToken {
	return &client.CreatedToken{
		Token: client.Token{ID: id, Name: "import"},
		Value: client.NewSecret("kbn_pat_" + strings.ToLower(rand.Text()+rand.Text())),
	}
}

// newRoad delivers into a folder of its own that is not there yet.
func newRoad(t *testing.T) (*delivery.File, string) {
	t.Helper()
	return roadInto(t, filepath.Join(t.TempDir(), "deep", "tokens"))
}

func roadInto(t *testing.T, folder string) (*delivery.File, string) {
	t.Helper()
	road, err := delivery.NewFile(folder)
	if err != nil {
		t.Fatal(err)
	}
	return road, folder
}

// refuses fails the test unless the road refuses to be checked and to deliver,
// in words with word in them and with neither path nor value, and leaves the
// folder with the given number of entries.
func refuses(t *testing.T, road *delivery.File, folder, word string, entries int) {
	t.Helper()
	token := newToken("pat_refused")
	_, deliverErr := road.Deliver(t.Context(), tools.Caller{}, token)
	for action, err := range map[string]error{"check": road.Check(t.Context()), "deliver": deliverErr} {
		switch {
		case err == nil:
			t.Errorf("%s: no error", action)
		case !strings.Contains(err.Error(), word):
			t.Errorf("%s: the error does not say %q: %v", action, word, err)
		case !strings.Contains(err.Error(), folder):
			t.Errorf("%s: the error does not show the path: %v", action, err)
		case strings.Contains(err.Error(), token.Value.Reveal()), strings.Contains(err.Error(), "\n"):
			t.Errorf("%s: the error tells too much: %q", action, err)
		}
	}
	if got := entriesOf(t, folder); len(got) != entries {
		t.Errorf("the folder holds %v, want %d entries", got, entries)
	}
}

// entriesOf lists what is in a folder, nothing if it cannot be looked into.
func entriesOf(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) && !strings.Contains(err.Error(), "not a directory") {
		t.Fatal(err)
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func mustMake(t *testing.T, folder string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(folder, mode); err != nil {
		t.Fatal(err)
	}
}

func TestFileHoldsTheValueAlone(t *testing.T) {
	road, folder := newRoad(t)
	if err := road.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := entriesOf(t, folder); len(got) != 0 {
		t.Errorf("the check left %v", got)
	}
	token := newToken("pat_abc123")
	receipt, err := road.Deliver(t.Context(), tools.Caller{}, token)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(folder, "pat_abc123.token"); receipt.Where != want || receipt.Method != "file" || receipt.Note == "" || receipt.Value != "" {
		t.Errorf("receipt for road %q at %q, want %q", receipt.Method, receipt.Where, want)
	}
	data, err := os.ReadFile(receipt.Where)
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != token.Value.Reveal()+"\n" {
		t.Error("the file does not hold the value and a line end")
	}
	if got := entriesOf(t, folder); len(got) != 1 {
		t.Errorf("the folder holds %v", got)
	}
}

func TestFileDoesNotOverwrite(t *testing.T) {
	road, folder := newRoad(t)
	mustMake(t, folder, 0o700)
	there := filepath.Join(folder, "pat_refused.token")
	if err := os.WriteFile(there, []byte("keep me"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := road.Deliver(t.Context(), tools.Caller{}, newToken("pat_refused"))
	if err == nil || !strings.Contains(err.Error(), "already a file") {
		t.Errorf("delivered over a file: %v", err)
	}
	if data, err := os.ReadFile(there); err != nil || string(data) != "keep me" {
		t.Errorf("the file holds %q, %v", data, err)
	}
	if got := entriesOf(t, folder); len(got) != 1 {
		t.Errorf("the folder holds %v", got)
	}
}

// The API's ids are checked by the client; the road does not lean on that.
func TestA15_FileStaysInItsFolder(t *testing.T) {
	for _, id := range []string{"../escaped", "a/../../escaped", "sub/dir", "..", strings.Repeat("x", 300)} {
		road, folder := newRoad(t)
		if _, err := road.Deliver(t.Context(), tools.Caller{}, newToken(id)); err == nil && id != ".." {
			t.Errorf("%q was delivered", id)
		} else if err != nil && !strings.HasPrefix(err.Error(), folder+": ") {
			t.Errorf("%q: the error does not show the folder: %v", id, err)
		}
		if got := entriesOf(t, filepath.Dir(folder)); len(got) != 1 || got[0] != "tokens" {
			t.Errorf("%q: beside the folder there is %v", id, got)
		}
		for _, name := range entriesOf(t, folder) {
			if !strings.HasSuffix(name, ".token") {
				t.Errorf("%q left %s", id, name)
			}
		}
	}
}

func TestNewFileNeedsAName(t *testing.T) {
	if _, err := delivery.NewFile(""); err == nil {
		t.Error("a folder without a name was taken")
	}
}

func TestNoRoadRefusesBeforeAndAfter(t *testing.T) {
	var refusal *tools.Error
	if err := (delivery.None{}).Check(t.Context()); !errors.As(err, &refusal) || refusal.Code != tools.CodeCannotDeliver {
		t.Errorf("check: %v", err)
	}
	if _, err := (delivery.None{}).Deliver(t.Context(), tools.Caller{}, newToken("pat_1")); !errors.As(err, &refusal) || refusal.Code != tools.CodeCannotDeliver {
		t.Errorf("deliver: %v", err)
	}
}

func TestInlineWarns(t *testing.T) {
	token := newToken("pat_1")
	receipt, err := delivery.Inline{}.Deliver(t.Context(), tools.Caller{}, token)
	if err != nil || receipt.Value != token.Value.Reveal() || !strings.HasPrefix(receipt.Note, "WARNING: ") {
		t.Errorf("receipt on road %q without a warning, or %v", receipt.Method, err)
	}
}
