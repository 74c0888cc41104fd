package journal_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/internal/human/journal"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// A process that is killed needs to be another one than that of the tests. It is
// this test binary again, told by its environment where to stop.
const (
	killPoint = "JOURNAL_TEST_POINT"
	killAPI   = "JOURNAL_TEST_API"
	killPAT   = "JOURNAL_TEST_PAT"
	killDir   = "JOURNAL_TEST_DIR"
)

// stopAt tells the parent that the point is reached and waits to be killed.
func stopAt(point string) {
	if os.Getenv(killPoint) == point {
		fmt.Println("reached")
		time.Sleep(time.Hour) // an empty select would be taken for a deadlock
	}
}

// stoppingJournal stops before and after what it notes.
type stoppingJournal struct{ tokens.Journal }

func (j stoppingJournal) Begin(ctx context.Context, caller tools.Caller, intent tokens.Intent) (tokens.JournalEntry, error) {
	entry, err := j.Journal.Begin(ctx, caller, intent)
	stopAt("begun")
	return stoppingEntry{entry}, err
}

type stoppingEntry struct{ tokens.JournalEntry }

func (e stoppingEntry) Made(id string) error {
	stopAt("minted")
	err := e.JournalEntry.Made(id)
	stopAt("noted")
	return err
}

func (e stoppingEntry) Done() error {
	stopAt("delivered")
	err := e.JournalEntry.Done()
	stopAt("done")
	return err
}

// stoppingRoad stops with half of the value delivered.
type stoppingRoad struct{ tokens.Deliverer }

func (r stoppingRoad) Deliver(ctx context.Context, caller tools.Caller, token *client.CreatedToken) (tokens.Receipt, error) {
	stopAt("delivering")
	return r.Deliverer.Deliver(ctx, caller, token)
}

type oneCaller struct{ caller tools.Caller }

func (c oneCaller) Caller(context.Context) (tools.Caller, error) { return c.caller, nil }

// TestKilledChild is the other process; in that of the tests there is nothing to
// do.
func TestKilledChild(t *testing.T) {
	if os.Getenv(killPoint) == "" {
		return
	}
	api, err := client.New(client.WithBaseURL(os.Getenv(killAPI)))
	if err != nil {
		t.Fatal(err)
	}
	pat := client.NewSecret(os.Getenv(killPAT))
	road, err := delivery.NewFile(filepath.Join(os.Getenv(killDir), "tokens"))
	if err != nil {
		t.Fatal(err)
	}
	journal, err := journal.New(journal.Config{Dir: filepath.Join(os.Getenv(killDir), "journal"), API: os.Getenv(killAPI)})
	if err != nil {
		t.Fatal(err)
	}
	toolbox, err := toolsets.New(toolsets.Config{
		Callers:   oneCaller{tools.Caller{API: api.As(client.Credential{PAT: pat}), ID: "child", TokenPrefix: pat.Prefix()}},
		Deliverer: stoppingRoad{road},
		Journal:   stoppingJournal{journal},
		Policy:    tools.DefaultPolicy(),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, text, err := toolbox.Run(t.Context(), "create_token", map[string]any{"name": "killed", "expires": "30d"})
	t.Fatalf("the child was not killed: %s, %v", text, err)
}

// killAt runs a child that makes a token, and kills it at a point on the way.
func killAt(t *testing.T, f *journalFixture, dir, point string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self, "-test.run=^TestKilledChild$")
	child.Env = append(os.Environ(), killPoint+"="+point, killAPI+"="+f.api.URL, killPAT+"="+f.pat, killDir+"="+dir)
	child.Stderr = os.Stderr
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil || line != "reached\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
	if err := child.Process.Kill(); err != nil { // SIGKILL: nothing is flushed or closed
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
}

func TestA33_KilledAtAnyPointNoLiveTokenIsLeftThatNobodyHolds(t *testing.T) {
	for _, c := range []struct {
		point string
		// tokens is how many were made, live how many of them live in the end, and
		// told what the next process says.
		tokens, live int
		told         string
	}{
		{"begun", 0, 0, "it was not made"},
		{"minted", 1, 0, "it was revoked now"},
		{"noted", 1, 0, "it was revoked now"},
		{"delivering", 1, 0, "it was revoked now"},
		{"delivered", 1, 0, "it was revoked now"},
		{"done", 1, 1, ""},
	} {
		t.Run(c.point, func(t *testing.T) {
			f := newJournalFixture(t)
			dir := t.TempDir()
			f.dir = filepath.Join(dir, "journal")
			killAt(t, f, dir, c.point)
			if got := f.killed(); len(got) != c.tokens {
				t.Fatalf("%d tokens were made, want %d", len(got), c.tokens)
			}

			journal := f.journal(false)
			toolbox, err := toolsets.New(toolsets.Config{
				Callers: oneCaller{f.caller(f.pat)}, Deliverer: delivery.None{}, Journal: journal, Policy: tools.DefaultPolicy(),
			})
			if err != nil {
				t.Fatal(err)
			}
			_, first, err := toolbox.Run(t.Context(), "list_tokens", nil)
			if err != nil {
				t.Fatal(err)
			}
			live := 0
			for _, token := range f.killed() {
				if token.RevokedAt == nil {
					live++
				} else if !strings.Contains(first, token.ID) {
					t.Errorf("the answer does not name the token: %s", first)
				}
			}
			if live != c.live {
				t.Errorf("%d tokens live, want %d", live, c.live)
			}
			if warned := strings.Contains(first, "warning: "); warned != (c.told != "") || !strings.Contains(first, c.told) {
				t.Errorf("the next process says %q, want %q in it", first, c.told)
			}
			// It is told once.
			if _, second, err := toolbox.Run(t.Context(), "list_tokens", nil); err != nil || strings.Contains(second, "warning: ") {
				t.Errorf("the second answer is %q, %v", second, err)
			}
			if files := f.files(); len(files) != 0 {
				t.Errorf("left are %v", files)
			}
		})
	}
}

// killed are the tokens that children made.
func (f *journalFixture) killed() []client.Token {
	f.t.Helper()
	tokens, err := f.api.As(f.t, f.pat).ListTokens(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	var made []client.Token
	for _, token := range tokens {
		if token.Name == "killed" {
			made = append(made, token)
		}
	}
	return made
}
