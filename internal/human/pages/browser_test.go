//go:build unix

package pages

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFindBrowser(t *testing.T) {
	for _, c := range []struct {
		name      string
		goos      string
		installed string
		environ   []string
		argv      string
		err       string
	}{
		{"macOS", "darwin", "open", nil, "/bin/open", ""},
		{"macOS over SSH", "darwin", "open", []string{"SSH_CONNECTION=a"}, "", "session over SSH"},
		{"Windows", "windows", "rundll32", nil, "/bin/rundll32 url.dll,FileProtocolHandler", ""},
		{"Windows over SSH", "windows", "rundll32", []string{"SSH_TTY=a"}, "", "session over SSH"},
		{"X11", "linux", "xdg-open", []string{"DISPLAY=:0"}, "/bin/xdg-open", ""},
		{"Wayland", "freebsd", "xdg-open", []string{"WAYLAND_DISPLAY=wayland-0"}, "/bin/xdg-open", ""},
		{"X11 over SSH", "linux", "xdg-open", []string{"DISPLAY=:10", "SSH_TTY=a"}, "/bin/xdg-open", ""},
		{"without xdg-open", "linux", "gio x-www-browser", []string{"DISPLAY=:0"}, "/bin/gio open", ""},
		{"Debian's", "linux", "x-www-browser", []string{"DISPLAY=:0"}, "/bin/x-www-browser", ""},
		{"no display", "linux", "xdg-open", nil, "", "no display"},
		{"an empty display", "linux", "xdg-open", []string{"DISPLAY="}, "", "no display"},
		{"SSH without a display", "linux", "xdg-open", []string{"SSH_CONNECTION=a"}, "", "no display"},
		{"nothing installed", "linux", "", []string{"DISPLAY=:0"}, "", "looked for xdg-open, gio,"},
		{"WSL", "linux", "wslview", []string{"WSL_DISTRO_NAME=Debian"}, "/bin/wslview", ""},
		{"$BROWSER", "linux", "firefox xdg-open", []string{"DISPLAY=:0", "BROWSER=firefox --new-window"}, "/bin/firefox --new-window", ""},
		{"$BROWSER without a display", "linux", "firefox", []string{"BROWSER=firefox"}, "/bin/firefox", ""},
		{"$BROWSER with several", "linux", "b", []string{"BROWSER=a::  :b %s -x:c"}, "/bin/b %s -x", ""},
		{"$BROWSER that is gone", "linux", "xdg-open", []string{"DISPLAY=:0", "BROWSER=firefox"}, "", "$BROWSER"},
		{"VS Code on a remote machine", "linux", "xdg-open /v/bin/helpers/browser.sh", []string{"DISPLAY=:0", "BROWSER=/v/bin/helpers/browser.sh"}, "", "another machine"},
		{"$BROWSER on Windows", "windows", `C:\b.exe`, []string{`BROWSER=a;C:\b.exe`}, `/bin/C:\b.exe`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := findBrowser(c.goos, c.environ, func(name string) (string, error) {
				if slices.Contains(strings.Fields(c.installed), name) {
					return "/bin/" + name, nil
				}
				return "", exec.ErrNotFound
			})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, %v; want an error with %q", b, err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(b.argv, " "); got != c.argv {
				t.Errorf("got %q, want %q", got, c.argv)
			}
		})
	}
}

func TestBrowserPlacesTheAddress(t *testing.T) {
	for in, want := range map[string]string{"b": "b A", "b %s": "b A", "b --url=%s -x": "b --url=A -x", "b%s": "b%s A"} {
		if got := strings.Join((&Browser{argv: strings.Fields(in)}).command("A"), " "); got != want {
			t.Errorf("%q with the address is %q, want %q", in, got, want)
		}
	}
}

// waitForFile waits until a command has made a file.
func waitForFile(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the browser did not come to make %s", filepath.Base(path))
		}
	}
}

// TestA45_TheBrowserGetsNoneOfOurSecrets looks at what a browser really gets.
func TestA45_TheBrowserGetsNoneOfOurSecrets(t *testing.T) {
	dir := t.TempDir()
	canary := newToken().Value.Reveal()
	for _, name := range []string{"KENBUN_PAT", "KENBUN_PAT_FILE", "KENBUN_SESSION_TOKEN", "kenbun_pat", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "LD_PRELOAD", "HTTPS_PROXY"} {
		t.Setenv(name, canary)
	}
	t.Setenv("DISPLAY", ":7")
	t.Setenv("LC_ALL", "C")
	script := filepath.Join(dir, "browser")
	if err := os.WriteFile(script, []byte("#!/bin/sh\ncd \""+dir+"\" && env >environment && printf '%s\\n' \"$@\" >arguments && cat >input && : >done\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BROWSER", script)
	b, err := FindBrowser(filepath.Join(dir, "pages"))
	if err != nil {
		t.Fatal(err)
	}
	const address = "http://127.0.0.1:1/x"
	l, err := b.redirectTo(address)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.open(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	// A command that takes its time is not waited for.
	waitForFile(t, filepath.Join(dir, "done"))
	read := func(name string) string {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	environment := read("environment")
	if strings.Contains(environment, canary) {
		t.Error("the browser was given one of our secrets")
	}
	for line := range strings.Lines(environment) {
		// A value may be a path in which our name is.
		if name, _, _ := strings.Cut(line, "="); strings.HasPrefix(strings.ToUpper(name), "KENBUN") {
			t.Errorf("the browser was given %s", name)
		}
	}
	for _, want := range []string{"DISPLAY=:7\n", "LC_ALL=C\n", "PATH="} {
		if !strings.Contains(environment, want) {
			t.Errorf("the browser was not given %s", want)
		}
	}
	if got := read("arguments"); got != l.url()+"\n" || strings.Contains(got, "127.0.0.1") {
		t.Errorf("the browser was called with %q", got)
	}
	if got := read("input"); got != "" {
		t.Errorf("the browser read %q from our standard input", got)
	}
	// An empty environment must not become the whole of ours.
	if got := browserEnvironment([]string{"KENBUN_PAT=" + canary}); got == nil || len(got) != 0 {
		t.Errorf("of nothing allowed, %v is passed on", got)
	}
}

func TestBrowserOpensOnlyOurPages(t *testing.T) {
	b := &Browser{argv: []string{"/bin/sh", "-c", "exit 0"}, environment: []string{}, folder: t.TempDir()}
	for _, address := range []string{
		"", "-version", "file:///etc/passwd", "https://127.0.0.1:1/x", "http://evil.example/", "http://127.0.0.1@evil.example/",
		"http://user@127.0.0.1/", "http://localhost:1/", "javascript:alert(1)", "http://10.0.0.1/",
	} {
		if _, err := b.redirectTo(address); err == nil {
			t.Errorf("%q was opened", address)
		}
	}
	for _, address := range []string{"http://127.0.0.1:1/x", "http://[::1]:1/x"} {
		if l, err := b.redirectTo(address); err != nil || arrivalAt(t, l.url()) != address {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// TestBrowserInTheForegroundIsNotWaitedFor: a command that is the browser itself
// runs on.
func TestBrowserInTheForegroundIsNotWaitedFor(t *testing.T) {
	folder := t.TempDir()
	done := filepath.Join(folder, "done")
	// It runs until it is told to end, and for a minute if it is not.
	b := &Browser{
		argv:        []string{"/bin/sh", "-c", `n=0; until [ -e "$0.end" ] || [ $n = 600 ]; do n=$((n+1)); sleep 0.1; done; echo done >"$0"`, done},
		environment: browserEnvironment(os.Environ()),
	}
	started := time.Now()
	l := &redirect{filepath.Join(folder, "page")}
	if err := b.open(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(started); took < browserStart {
		t.Errorf("it was watched for %v", took)
	}
	if _, err := os.Stat(done); err == nil {
		t.Error("it was waited for")
	}
	if err := os.WriteFile(done+".end", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	waitForFile(t, done)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.argv[2] = "sleep 1"
	if err := b.open(ctx, l); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}
