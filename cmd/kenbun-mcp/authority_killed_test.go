package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// A server that is killed in the middle of making and revoking tokens has lost
// nothing that it answered.
func TestDurability_NothingAnsweredIsLostWithTheServer(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		killedWhileChanging(t, kenbuntest.Environment(t, "KENBUN_STORE=sqlite:"+filepath.Join(t.TempDir(), "data", "kenbun.db")))
	})
	t.Run("postgres", func(t *testing.T) {
		killedWhileChanging(t, kenbuntest.Environment(t, "KENBUN_STORE="+kenbuntest.StartPostgres(t), "KENBUN_PEPPER_FILE="+filepath.Join(t.TempDir(), "pepper")))
	})
}

func killedWhileChanging(t *testing.T, environment []string) {
	const changes, kills = 1000, 4
	if got := runProgram(t, environment, "", "authority", "user", "add", "ada@example.com"); got.code != command.ExitDone {
		t.Fatalf("exit code %d: %s", got.code, got.stderr)
	}
	session := strings.TrimSpace(runProgram(t, environment, "", "authority", "session", "--stdout", "ada@example.com").stdout)
	var mu sync.Mutex
	acknowledged := 0
	made, revoked := map[string]bool{}, map[string]bool{}
	for kill := range kills {
		s := startAuthority(t, environment, "--token-limit", "100000")
		s.session = session
		enough := make(chan struct{})
		tell := sync.OnceFunc(func() { close(enough) })
		acknowledge := func(into map[string]bool, id string) {
			mu.Lock()
			defer mu.Unlock()
			into[id] = true
			if acknowledged++; acknowledged >= changes*(kill+1)/kills {
				tell()
			}
		}
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				for i := 0; ; i++ {
					var created struct{ ID string }
					status, answer := s.ask("POST", "/settings/tokens", fmt.Sprintf(`{"name": "token %d"}`, i))
					if status == 0 {
						return
					}
					if err := json.Unmarshal(answer, &created); status != http.StatusCreated || err != nil {
						t.Errorf("create: status %d, %v", status, err)
						return
					}
					acknowledge(made, created.ID)
					status, _ = s.ask("DELETE", "/settings/tokens/"+created.ID, "")
					if status == 0 {
						return
					}
					if status != http.StatusNoContent {
						t.Errorf("revoke: status %d", status)
						return
					}
					acknowledge(revoked, created.ID)
				}
			})
		}
		<-enough
		s.kill()
		clients.Wait()
	}
	s := startAuthority(t, environment)
	s.session = session
	var listed []struct {
		ID        string  `json:"id"`
		RevokedAt *string `json:"revoked_at"`
	}
	if status, answer := s.ask("GET", "/settings/tokens", ""); status != http.StatusOK {
		t.Fatalf("list: status %d", status)
	} else if err := json.Unmarshal(answer, &listed); err != nil {
		t.Fatal(err)
	}
	active := map[string]bool{}
	for _, token := range listed {
		active[token.ID] = token.RevokedAt == nil
	}
	for id := range made {
		if _, kept := active[id]; !kept {
			t.Errorf("token %s was made and is lost", id)
		}
	}
	for id := range revoked {
		if active[id] {
			t.Errorf("token %s was revoked and is active", id)
		}
	}
	t.Logf("%d made and %d revoked were acknowledged, %d are there", len(made), len(revoked), len(listed))
}
