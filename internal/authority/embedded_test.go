package authority

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func startEmbedded(t *testing.T, cfg EmbeddedConfig) *Embedded {
	t.Helper()
	e, err := StartEmbedded(t.Context(), cfg)
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
func get(t *testing.T, e *Embedded, path string) (status int, body string) {
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
	for start := range 3 {
		t.Run("start", func(t *testing.T) {
			e := startEmbedded(t, EmbeddedConfig{Dir: dir, Now: clock.Now})
			if !strings.HasPrefix(e.BaseURL(), "http://127.0.0.1:") {
				t.Errorf("listens on %s", e.BaseURL())
			}
			if status, body := get(t, e, "/me"); status != http.StatusOK || !strings.Contains(body, `"role":"owner"`) {
				t.Errorf("me: %d %s", status, body)
			}
			_, body := get(t, e, "/settings/tokens")
			rows := decode[[]map[string]any](t, answer{body: body})
			if len(rows) != 1 || rows[0]["name"] != "kenbun-mcp (embedded)" || rows[0]["expires_at"] != "2027-03-28T10:00:00Z" {
				t.Errorf("tokens %s", body)
			}
			if first == "" {
				first = e.PAT()
			}
			if e.PAT() != first {
				t.Errorf("start %d has another token", start)
			}
			wantModes(t, dir, "kenbun.db", "kenbun.db-wal", "kenbun.db-shm", "kenbun.db.lock", "pepper", "pat", "pat.lock")
		})
	}
}

func TestEmbedded_InMemory(t *testing.T) {
	one, two := startEmbedded(t, EmbeddedConfig{}), startEmbedded(t, EmbeddedConfig{})
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
	e := startEmbedded(t, EmbeddedConfig{Dir: dir, Now: clock.Now})
	if err := e.CheckPAT(t.Context()); err != nil {
		t.Fatal(err)
	}
	pat := e.PAT()
	clock.advance(366 * 24 * time.Hour)
	later := startEmbedded(t, EmbeddedConfig{Dir: dir, Now: clock.Now})
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
	fresh := startEmbedded(t, EmbeddedConfig{Dir: dir, Now: clock.Now})
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
	e := startEmbedded(t, EmbeddedConfig{Dir: dir})
	issued, err := e.authority.IssueToken(t.Context(), embeddedEmail, "rotated", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(e.PATFile(), []byte(issued.Value+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := startEmbedded(t, EmbeddedConfig{Dir: dir})
	if again.PAT() != issued.Value {
		t.Error("the rotated token was not kept")
	}
}

// A start that ended between the making of the token and its keeping leaves a
// token whose value nobody has.
func TestEmbedded_InterruptedFirstStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "embedded")
	func() {
		e := startEmbedded(t, EmbeddedConfig{Dir: dir})
		if err := os.Remove(e.PATFile()); err != nil {
			t.Fatal(err)
		}
	}()
	e := startEmbedded(t, EmbeddedConfig{Dir: dir})
	_, body := get(t, e, "/settings/tokens")
	active := 0
	rows := decode[[]row](t, answer{body: body})
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
			e, err := StartEmbedded(t.Context(), EmbeddedConfig{Dir: dir})
			if err == nil {
				t.Fatal(errors.Join(errors.New("it was started"), e.Close()))
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %q, want one that says %q", err, c.says)
			}
		})
	}
}
