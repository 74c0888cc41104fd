package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func start(t *testing.T, cfg Config) *API {
	t.Helper()
	e, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return e
}

// get asks the embedded API over its socket.
func get(t *testing.T, e *API, path string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", e.BaseURL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+e.PAT())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

func TestEmbedded_FirstStartAndLater(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "authority")
	clock := newClock()
	var first string
	for n := range 3 {
		t.Run("start", func(t *testing.T) {
			e := start(t, Config{Dir: dir, Now: clock.Now})
			if !strings.HasPrefix(e.BaseURL(), "http://127.0.0.1:") {
				t.Errorf("listens on %s", e.BaseURL())
			}
			if status, body := get(t, e, "/me"); status != http.StatusOK || !strings.Contains(body, `"role":"owner"`) {
				t.Errorf("me: %d %s", status, body)
			}
			_, body := get(t, e, "/settings/tokens")
			rows := decode[[]map[string]any](t, body)
			if len(rows) != 1 || rows[0]["name"] != "kenbun-mcp (embedded)" || rows[0]["expires_at"] != "2027-03-28T10:00:00Z" {
				t.Errorf("tokens %s", body)
			}
			if first == "" {
				first = e.PAT()
			}
			if e.PAT() != first {
				t.Errorf("start %d has another token", n)
			}
			wantModes(t, dir, "kenbun.db", "kenbun.db-wal", "kenbun.db-shm", "kenbun.db.lock", "pepper", "pat", "pat.lock")
		})
	}
}

func TestEmbedded_InMemory(t *testing.T) {
	one, two := start(t, Config{}), start(t, Config{})
	if one.PATFile() != "" || one.BaseURL() == two.BaseURL() || one.PAT() == two.PAT() {
		t.Error("two in memory share something")
	}
	if status, _ := get(t, one, "/me"); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	one.pat = two.pat
	if status, _ := get(t, one, "/me"); status != http.StatusUnauthorized {
		t.Errorf("the token of another: status %d", status)
	}
}

func TestEmbedded_RefusedTokenIsLeftAndTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "embedded")
	clock := newClock()
	e := start(t, Config{Dir: dir, Now: clock.Now})
	if err := e.CheckPAT(t.Context()); err != nil {
		t.Fatal(err)
	}
	pat := e.PAT()
	clock.advance(366 * 24 * time.Hour)
	later := start(t, Config{Dir: dir, Now: clock.Now})
	if later.PAT() != pat {
		t.Error("an expired token was replaced unasked")
	}
	err := later.CheckPAT(t.Context())
	if !errors.Is(err, ErrKeptPATRefused) || !strings.Contains(err.Error(), "expired") || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v", err)
	}
	// What the error says helps.
	if err := os.Remove(later.PATFile()); err != nil {
		t.Fatal(err)
	}
	fresh := start(t, Config{Dir: dir, Now: clock.Now})
	if err := fresh.CheckPAT(t.Context()); err != nil {
		t.Error(err)
	}
	users, err := fresh.authority.Users(t.Context())
	if err != nil || len(users) != 1 {
		t.Errorf("users %+v: %v", users, err)
	}
}

func TestEmbedded_RotatedTokenIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "embedded")
	e := start(t, Config{Dir: dir})
	issued, err := e.authority.IssueToken(t.Context(), userEmail, "rotated", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(e.PATFile(), []byte(issued.Value+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := start(t, Config{Dir: dir})
	if again.PAT() != issued.Value {
		t.Error("the rotated token was not kept")
	}
}

// A start that ended between the making of the token and its keeping leaves a
// token whose value nobody has.
func TestEmbedded_InterruptedFirstStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "embedded")
	func() {
		e := start(t, Config{Dir: dir})
		if err := os.Remove(e.PATFile()); err != nil {
			t.Fatal(err)
		}
	}()
	e := start(t, Config{Dir: dir})
	_, body := get(t, e, "/settings/tokens")
	active := 0
	rows := decode[[]row](t, body)
	for _, r := range rows {
		if r.RevokedAt == nil {
			active++
		}
	}
	if len(rows) != 2 || active != 1 {
		t.Errorf("%d tokens, %d of them active, want 2 and 1", len(rows), active)
	}
}

func TestR36_EmbeddedFolder(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(dir string) error
		says    string
	}{
		"writable by others": {func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777|os.ModeSticky)) }, "chmod go-w"},
		"symbolic link":      {func(dir string) error { return errors.Join(os.Mkdir(dir+"2", 0o700), os.Symlink(dir+"2", dir)) }, "symbolic link"},
		"a file":             {func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, "not a folder"},
		"empty pat": {func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), writeMode(filepath.Join(dir, "pat"), 0o600))
		}, "is empty"},
		"readable pat": {func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), writeMode(filepath.Join(dir, "pat"), 0o604))
		}, "chmod 600"},
		"below a file": {func(dir string) error { return os.WriteFile(filepath.Dir(dir), nil, 0o600) }, "cannot be made"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "x")
			if name == "below a file" {
				dir = filepath.Join(dir, "y")
			}
			if err := c.prepare(dir); err != nil {
				t.Fatal(err)
			}
			e, err := Start(t.Context(), Config{Dir: dir})
			if err == nil {
				t.Fatal(errors.Join(errors.New("it was started"), e.Close()))
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %q, want one that says %q", err, c.says)
			}
		})
	}
}

func wantModes(t *testing.T, dir string, files ...string) {
	t.Helper()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %o", info.Mode().Perm())
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		found[entry.Name()] = true
		if info.Mode() != 0o600 {
			t.Errorf("%s has mode %s", entry.Name(), info.Mode())
		}
	}
	for _, file := range files {
		if !found[file] {
			t.Errorf("%s is missing: there are %v", file, found)
		}
		delete(found, file)
	}
	if len(found) > 0 {
		t.Errorf("left in the folder: %v", found)
	}
}

// writeMode makes a file with exactly that mode, whatever the umask. Where root
// runs the test, the file gets a group that root is not in.
func writeMode(path string, mode fs.FileMode) error {
	err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, mode))
	if os.Geteuid() == 0 {
		err = errors.Join(err, os.Chown(path, -1, 54321))
	}
	return err
}

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 3, 28, 10, 0, 0, 123456789, time.UTC)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func decode[T any](t *testing.T, body string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("body %s: %v", body, err)
	}
	return v
}

type row struct {
	RevokedAt *string `json:"revoked_at"`
}

// Some tests need another process: this test binary again, which starts the API in the
// folder that its environment names.
const childDir = "EMBEDDED_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		printStart(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// printStart prints a digest of the kept token, so that no value is printed, or what
// went wrong.
func printStart(dir string) {
	e, err := Start(context.Background(), Config{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = e.Close() }() // the parent looks at the files
	if err := e.CheckPAT(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	digest, _ := e.authority.Digest(e.PAT())
	fmt.Println("digest " + digest)
}

func TestEmbedded_FirstStartRaceMakesOneUserAndToken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "embedded")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const processes = 6
	outputs := make([][]byte, processes)
	errs := make([]error, processes)
	var starts sync.WaitGroup
	for i := range processes {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		cmd.Stderr = os.Stderr
		starts.Go(func() { outputs[i], errs[i] = cmd.Output() })
	}
	starts.Wait()
	e := start(t, Config{Dir: dir})
	digest, _ := e.authority.Digest(e.PAT())
	for i, output := range outputs {
		if got := strings.TrimSpace(string(output)); errs[i] != nil || got != "digest "+digest {
			t.Errorf("process %d has another token, or failed: %q, %v", i, got, errs[i])
		}
	}
	users, err := e.authority.Users(t.Context())
	if err != nil || len(users) != 1 {
		t.Fatalf("users %+v: %v", users, err)
	}
	if tokens, err := e.authority.TokensOf(t.Context(), users[0].ID); err != nil || len(tokens) != 1 {
		t.Errorf("%d tokens: %v", len(tokens), err)
	}
}
