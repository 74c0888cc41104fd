package authority

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Some tests need another process. It is this test binary again, told by its
// environment what to do in place of the tests.
const childTask, childDir = "AUTHORITY_TEST_CHILD", "AUTHORITY_TEST_DIR"

// childReport is what a child prints, one line each.
type childReport struct {
	Digest  string // of the kept token, so that no value is printed
	TokenID string
	Revoked string
	Error   string
}

func runChild() {
	switch task := os.Getenv(childTask); task {
	case "":
		return
	case "start":
		report(startEmbeddedChild())
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

func startEmbeddedChild() childReport {
	e, err := StartEmbedded(context.Background(), EmbeddedConfig{Dir: os.Getenv(childDir)})
	if err != nil {
		return childReport{Error: err.Error()}
	}
	defer func() { _ = e.Close() }() // the parent looks at the files
	if err := e.CheckPAT(context.Background()); err != nil {
		return childReport{Error: err.Error()}
	}
	return childReport{Digest: e.authority.peppers.current().digest(e.PAT())}
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
			if err := a.revokeToken(ctx, user.ID, issued.ID); err != nil {
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

func TestEmbedded_FirstStartRaceMakesOneUserAndToken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "embedded")
	const processes = 6
	outputs := make([][]byte, processes)
	errs := make([]error, processes)
	var starts sync.WaitGroup
	for i := range processes {
		cmd := child(t, "start", dir)
		starts.Go(func() { outputs[i], errs[i] = cmd.Output() })
	}
	starts.Wait()
	first := ""
	for i, output := range outputs {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		r := parseReport(t, output)
		if first == "" {
			first = r.Digest
		}
		if r.Digest != first {
			t.Error("two processes have different tokens")
		}
	}
	e := startEmbedded(t, EmbeddedConfig{Dir: dir})
	if got := e.authority.peppers.current().digest(e.PAT()); got != first {
		t.Error("a later start has another token")
	}
	users, err := e.authority.Users(t.Context())
	if err != nil || len(users) != 1 {
		t.Fatalf("users %+v: %v", users, err)
	}
	if tokens, err := e.authority.tokensOf(t.Context(), users[0].ID); err != nil || len(tokens) != 1 {
		t.Errorf("%d tokens: %v", len(tokens), err)
	}
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
	member, err := a.soleMembership(t.Context(), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := a.tokensOf(t.Context(), member.ID)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]token{}
	for _, tok := range tokens {
		found[tok.id] = tok
	}
	for _, id := range made {
		tok, ok := found[id]
		if !ok {
			t.Errorf("token %s was acknowledged and is lost", id)
		}
		if revoked[id] && tok.revokedAt == nil {
			t.Errorf("token %s was revoked and is active", id)
		}
	}
}
