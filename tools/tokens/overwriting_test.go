package tokens_test

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
	"testing/synctest"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/bend"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// envFileWith delivers into a .env file with content, and returns its path.
func envFileWith(t *testing.T, content string) (*delivery.EnvFile, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	road, err := delivery.NewEnvFile(path, "KENBUN_PAT")
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
			f := newFixture(t, withDeliverer(road))
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
			// It is no no of the user's: the same call asks anew.
			f.callIn(t.Context(), session, tool, given).ok(nil)
		})
	}
}

// meeting has two calls see the same value before either goes on.
type meeting struct {
	*delivery.EnvFile
	calls atomic.Int32
	both  sync.WaitGroup
}

func (m *meeting) Current(ctx context.Context) (tokens.CurrentValue, error) {
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

func TestR37_ANoCountsWhereTheQuestionIsNotNeededAnyMore(t *testing.T) {
	capabilities := `{"elicitation":{}}`
	no := response(declined)
	t.Run("create_token", func(t *testing.T) {
		road, path := envFileWith(t, "KENBUN_PAT=precious\n")
		f := newFixture(t, withDeliverer(road))
		create := createArguments("import", "1d")
		asked := f.callModern(capabilities, "create_token", create)
		asked.asking()
		if err := os.WriteFile(path, []byte("KENBUN_PAT=\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		f.callModern(capabilities, "create_token", create, state(asked.Result.RequestState), no).failed(tools.CodeDeclined, "said no", "no token was made")
		f.callModern(capabilities, "create_token", create).failed(tools.CodeDeclined, "the user said no")
		if f.liveIDs("import") != nil {
			t.Error("a token was made")
		}
	})
	t.Run("update_token", func(t *testing.T) {
		f := newFixture(t, withExtensions)
		token := f.idle("old laptop")
		longer := `{"id":` + quoted(token.ID) + `,"expires":"80d"}`
		asked := f.callModern(capabilities, "update_token", longer)
		asked.asking()
		later := time.Now().Add(200 * 24 * time.Hour)
		if _, err := f.as(f.pat).API.UpdateToken(t.Context(), token.ID, client.TokenChange{ExpiresAt: &later}); err != nil {
			t.Fatal(err)
		}
		f.callModern(capabilities, "update_token", longer, state(asked.Result.RequestState), no).failed(tools.CodeDeclined, "said no", "was not changed")
		if end := f.listed()[token.ID].ExpiresAt; end == nil || end.Before(later.Add(-time.Hour)) {
			t.Errorf("after the no the token ends at %v", end)
		}
	})
}

func TestA33_P13_ARotationThatIsCancelledOverwritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := bend.Unserved(bend.Rule{Method: "GET", Path: "/org-units", Delay: 5 * time.Second, Shape: func(map[string]any) {}})
		api.Add(bend.Row{"name": "old laptop", "expires_at": time.Now().Add(90 * 24 * time.Hour).UTC().Format(time.RFC3339)})
		road, path := envFileWith(t, "KENBUN_PAT=value-of-the-old-token\n")
		f := inNoTime(t, api, api, withDeliverer(road))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		f.callIn(ctx, f.asksWith(`{}`, agreed), "rotate_token", id("pat_2")).failed(tools.CodeCannotDeliver, "cancelled", "revoked at once")
		if content := mustRead(t, path); content != "KENBUN_PAT=value-of-the-old-token\n" || api.Revoked("pat_2") || len(api.Live()) != 2 {
			t.Errorf("the old value is lost, or its token is: %v live", api.Live())
		}
	})
}

// inAnswer delivers in the answer, as inline does.
type inAnswer struct{}

func (inAnswer) Method() string { return "inline" }

func (inAnswer) Check(context.Context) error { return nil }

func (inAnswer) Deliver(_ context.Context, _ tools.Caller, token *client.CreatedToken) (tokens.Receipt, error) {
	return tokens.Receipt{Method: "inline", Note: "There.", Value: token.Value.Reveal()}, nil
}

func TestA33_P13_OfTheTwoTokensOfARotationOneAlwaysLives(t *testing.T) {
	for label, cancelled := range map[string]bool{"cancelled while the old one is revoked": true, "left then, and never fetched": false} {
		t.Run(label, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := bend.Unserved(bend.Rule{Method: "DELETE", Times: 1, Act: true, Delay: 6 * time.Second, Status: 204})
				api.Add(bend.Row{"name": "old laptop", "expires_at": time.Now().Add(90 * 24 * time.Hour).UTC().Format(time.RFC3339)})
				user := newHesitant()
				f := inNoTime(t, api, api, withDeliverer(inAnswer{}), func(c *toolsets.Config) { c.ApprovalMethod = user })
				thinks, patience := 44*time.Second, time.Hour
				if cancelled {
					thinks, patience = time.Second, 3*time.Second
				}
				go func() {
					time.Sleep(thinks)
					user.decision <- nil
				}()
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				f.callIn(ctx, f.asks("", nil), "rotate_token", id("pat_2"))
				time.Sleep(20 * time.Minute)
				if api.Revoked("pat_2") && len(api.Live()) == 1 {
					t.Error("both tokens of the rotation are revoked")
				}
				if !api.Revoked("pat_2") && !cancelled {
					t.Error("the old token lives: the test shows nothing")
				}
			})
		})
	}
}
