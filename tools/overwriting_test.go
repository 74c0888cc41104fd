package tools_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/human"
	"github.com/kenbun/kenbun-mcp/tools"
)

// envFileWith delivers into a .env file with content, and returns its path.
func envFileWith(t *testing.T, content string) (*human.EnvFile, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	road, err := human.NewEnvFile(path, "KENBUN_PAT")
	if err != nil {
		t.Fatal(err)
	}
	return road, path
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestR37_ARotationAsksAboutTheValueWhosePlaceItTakes(t *testing.T) {
	road, path := envFileWith(t, "KENBUN_PAT=of-another-program\n")
	f := newFixture(t, withDeliverer(road), withoutSilence)
	old := f.token30("build").ID
	session := f.asksWith(`{}`, declined)
	f.callIn(t.Context(), session, "rotate_token", `{"id":`+quoted(old)+`}`).failed(tools.CodeDeclined)
	if question := session.asked()[0].Message; !strings.Contains(question, "It takes the place of: the present value of KENBUN_PAT") {
		t.Errorf("the user was asked %q", question)
	}
	if content := mustRead(t, path); content != "KENBUN_PAT=of-another-program\n" {
		t.Errorf("after a no the file is %q", content)
	}
}

func TestR37_AYesIsForTheValueThatTheUserWasAskedAbout(t *testing.T) {
	for _, tool := range []string{"create_token", "rotate_token"} {
		t.Run(tool, func(t *testing.T) {
			road, path := envFileWith(t, "KENBUN_PAT=first\n")
			f := newFixture(t, withDeliverer(road), withoutSilence)
			given := createArguments("import", "1d")
			if tool == "rotate_token" {
				given = `{"id":` + quoted(f.token30("build").ID) + `}`
			}
			session := f.asks(`{}`, func(context.Context) (json.RawMessage, error) {
				return json.RawMessage(agreed), os.WriteFile(path, []byte("KENBUN_PAT=second\n"), 0o600)
			})
			f.callIn(t.Context(), session, tool, given).failed(tools.CodeDeclined, "changed meanwhile", "no token was made")
			if content := mustRead(t, path); content != "KENBUN_PAT=second\n" {
				t.Errorf("the file is %q", content)
			}
			if f.liveIDs("import") != nil || tool == "rotate_token" && len(f.liveIDs("build")) != 1 {
				t.Error("a token was made")
			}
		})
	}
}

// meeting has two calls see the same value before either goes on.
type meeting struct {
	*human.EnvFile
	calls atomic.Int32
	both  sync.WaitGroup
}

func (m *meeting) Current(ctx context.Context) (tools.CurrentValue, error) {
	current, err := m.EnvFile.Current(ctx)
	if m.calls.Add(1) <= 2 {
		m.both.Done()
		m.both.Wait()
	}
	return current, err
}

func TestR37_OfTwoTokensForOneEmptyPlaceNeitherIsLost(t *testing.T) {
	file, path := envFileWith(t, "KENBUN_PAT=\n")
	road := &meeting{EnvFile: file}
	road.both.Add(2)
	f := newFixture(t, withDeliverer(road), withoutSilence)
	var both sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for _, name := range []string{"one", "two"} {
		both.Go(func() {
			if !f.call("create_token", createArguments(name, "1d")).Result.IsError {
				mu.Lock()
				defer mu.Unlock()
				made++
			}
		})
	}
	both.Wait()
	live := len(f.liveIDs("one")) + len(f.liveIDs("two"))
	if made != 1 || live != 1 {
		t.Errorf("%d calls made a token, and %d of the tokens live, want one that is in the file", made, live)
	}
	value := strings.TrimSuffix(strings.TrimPrefix(mustRead(t, path), "KENBUN_PAT="), "\n")
	if !slices.Contains(f.proxy.values(), value) {
		t.Error("what is in the file is no new token")
	}
}
