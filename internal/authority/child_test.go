package authority

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

// Some tests need another process. It is this test binary again, told by its
// environment what to do in place of the tests.
const childTask, childDir = "AUTHORITY_TEST_CHILD", "AUTHORITY_TEST_DIR"

// childReport is what a child prints, one line each.
type childReport struct {
	TokenID string
	Revoked string
	Error   string
}

func runChild() {
	switch task := os.Getenv(childTask); task {
	case "":
		return
	case "write until killed":
		report(writeUntilKilled())
	default:
		report(childReport{Error: "unknown task " + task})
	}
	os.Exit(0)
}

func report(r childReport) {
	line, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

// writeUntilKilled makes tokens and revokes every second one, and tells of each
// as soon as it is acknowledged.
func writeUntilKilled() childReport {
	ctx := context.Background()
	a, err := Open(ctx, Config{Store: "sqlite:" + filepath.Join(os.Getenv(childDir), "kenbun.db"), TokenLimit: 1 << 20})
	if err != nil {
		return childReport{Error: err.Error()}
	}
	user, err := a.AddUser(ctx, NewUser{Email: "ada@example.com"})
	if err != nil {
		return childReport{Error: err.Error()}
	}
	for i := 0; ; i++ {
		issued, err := a.IssueToken(ctx, user.ID, "x", nil)
		if err != nil {
			return childReport{Error: err.Error()}
		}
		report(childReport{TokenID: issued.ID})
		if i%2 == 0 {
			if err := a.Revoke(ctx, user.ID, issued.ID); err != nil {
				return childReport{Error: err.Error()}
			}
			report(childReport{Revoked: issued.ID})
		}
	}
}

func child(t *testing.T, task, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childTask+"="+task, childDir+"="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

func parseReport(t *testing.T, line []byte) childReport {
	t.Helper()
	var r childReport
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatalf("a child printed %q: %v", line, err)
	}
	if r.Error != "" {
		t.Fatalf("a child failed: %s", r.Error)
	}
	return r
}

func TestDurability_AcknowledgedSurvivesKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "killed")
	cmd := child(t, "write until killed", dir)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	made, revoked := []string{}, map[string]bool{}
	lines := bufio.NewScanner(stdout)
	for len(made) < 40 && lines.Scan() {
		r := parseReport(t, lines.Bytes())
		if r.TokenID != "" {
			made = append(made, r.TokenID)
		}
		if r.Revoked != "" {
			revoked[r.Revoked] = true
		}
	}
	if err := cmd.Process.Kill(); err != nil { // SIGKILL: nothing is flushed or closed
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
	a, err := Open(t.Context(), Config{Store: "sqlite:" + filepath.Join(dir, "kenbun.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	member, err := a.Member(t.Context(), "ada@example.com", "")
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := a.TokensOf(t.Context(), member.ID)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]domain.Token{}
	for _, tok := range tokens {
		found[tok.ID] = tok
	}
	for _, id := range made {
		tok, ok := found[id]
		if !ok {
			t.Errorf("token %s was acknowledged and is lost", id)
		}
		if revoked[id] && tok.RevokedAt == nil {
			t.Errorf("token %s was revoked and is active", id)
		}
	}
}
