//go:build unix

package pages

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/tools"
)

// waitUntilGone waits until a file is removed.
func waitUntilGone(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s stays", filepath.Base(path))
		}
	}
}

// startDelivery starts a delivery and returns what the browser was called with.
func startDelivery(t *testing.T, h *house, limit time.Duration) (file string, end <-chan error) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := NewSecret(h.Server, limit).Deliver(t.Context(), tools.Caller{}, newToken())
		ended <- err
	}()
	return mustReceive(t, h.opened), ended
}

// Other users can read the arguments of a command, and so they hold no address of
// a page, only a file that others cannot read.
func TestA46_TheAddressOfAPageStandsInNoArgument(t *testing.T) {
	h := newHouse(t)
	file, _ := startDelivery(t, h, atLeisure)
	path := strings.TrimPrefix(file, "file://")
	for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v; want %v", filepath.Base(name), info.Mode(), err, want)
		}
	}
	arrival := arrivalAt(t, file)
	address := follow(t, file)
	for _, secret := range []string{arrival, address} {
		if strings.Contains(file, secret[strings.LastIndex(secret, "/"):]) {
			t.Errorf("the browser was called with %s", file)
		}
	}
	if arrival == address || strings.Contains(address, arrival) {
		t.Error("the file holds the page's own address")
	}
	waitUntilGone(t, path)
	waitUntilGone(t, filepath.Dir(path))
	mustBeNothing(t, get(t, arrival)) // it works once
	if got := get(t, address); got.status != http.StatusOK {
		t.Errorf("the page answers %d", got.status)
	}
}

// What a file leads to takes nothing but a browser that goes there, and does not
// open the page itself to other sites.
func TestA46_OnlyABrowserThatArrivesIsLedOn(t *testing.T) {
	h := newHouse(t)
	file, _ := startDelivery(t, h, atLeisure)
	arrival := arrivalAt(t, file)
	with := func(headers ...string) func(*http.Request) {
		return func(r *http.Request) {
			fromAFile(r)
			for i := 0; i < len(headers); i += 2 {
				r.Header.Set(headers[i], headers[i+1])
			}
		}
	}
	for name, got := range map[string]answer{
		"HEAD":         send(t, http.MethodHead, arrival, nil, fromAFile),
		"POST":         send(t, http.MethodPost, arrival, map[string][]string{"a": {"b"}}, fromAFile),
		"a script":     send(t, http.MethodGet, arrival, nil, with("Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "script")),
		"a frame":      send(t, http.MethodGet, arrival, nil, with("Sec-Fetch-Dest", "iframe")),
		"same-site":    send(t, http.MethodGet, arrival, nil, with("Sec-Fetch-Site", "same-site")),
		"an origin":    send(t, http.MethodGet, arrival, nil, with("Origin", "null")),
		"another host": send(t, http.MethodGet, arrival, nil, func(r *http.Request) { fromAFile(r); r.Host = "evil.example" }),
	} {
		if got.status == http.StatusOK || strings.Contains(got.body, "refresh") {
			t.Errorf("%s is answered with %d %s", name, got.status, got.body)
		}
	}
	address := follow(t, file) // none of these has used it up
	if got := send(t, http.MethodGet, address, nil, fromAFile); got.status != http.StatusForbidden {
		t.Errorf("from a file, the page itself answers %d", got.status)
	}
}

func TestALeadEndsWithItsPage(t *testing.T) {
	h := newHouse(t)
	file, end := startDelivery(t, h, 200*time.Millisecond)
	if err := mustReceive(t, end); err == nil {
		t.Error("nobody asked for the token, and it was delivered")
	}
	waitUntilGone(t, strings.TrimPrefix(file, "file://"))
}

func TestLeadsThatWereLeftBehindAreSwept(t *testing.T) {
	folder := t.TempDir()
	b := &Browser{folder: folder}
	old := time.Now().Add(-2 * redirectKept)
	for _, name := range []string{"page-OLD.html", "page-NEW.html", "notes.html"} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if name != "page-NEW.html" {
			if err := os.Chtimes(filepath.Join(folder, name), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := b.redirectTo("http://127.0.0.1:1/x"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"page-OLD.html": false, "page-NEW.html": true, "notes.html": true} {
		if _, err := os.Stat(filepath.Join(folder, name)); (err == nil) != want {
			t.Errorf("%s is there: %t, want %t", name, err == nil, want)
		}
	}
}

func TestLeadsAreWhereSnapsCanReadThem(t *testing.T) {
	there := func(string) (fs.FileInfo, error) { return nil, nil }
	missing := func(string) (fs.FileInfo, error) { return nil, fs.ErrNotExist }
	for _, c := range []struct {
		goos, home string
		stat       func(string) (fs.FileInfo, error)
		want       string
	}{
		{"linux", "/home/ada", there, "/home/ada/kenbun-mcp-pages"}, {"linux", "/home/ada", missing, "/data"},
		{"linux", "", there, "/data"}, {"darwin", "/Users/ada", there, "/data"},
	} {
		if got := redirectFolder(c.goos, "/data", c.home, c.stat); got != c.want {
			t.Errorf("%s: %s, want %s", c.goos, got, c.want)
		}
	}
}
