//go:build unix

package human

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
)

// atLeisure is a person's time that no test is to come to the end of, however
// slow the machine and its browser are.
const atLeisure = time.Hour

// house is pages whose browser tells the test which address it was given.
type house struct {
	*Pages
	log    *logged
	opened <-chan string
}

// newHouse makes pages that end with the test, and leave nothing behind.
func newHouse(t *testing.T) *house {
	t.Helper()
	leftovers := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		// The shell that stands for a browser has told the address before it ends,
		// and a goroutine waits for its end.
		err := goleak.Find(leftovers)
		for deadline := time.Now().Add(60 * time.Second); err != nil && time.Now().Before(deadline); {
			err = goleak.Find(leftovers)
		}
		if err != nil {
			t.Error(err)
		}
	})
	browser, opened := tellingBrowser(t)
	log := &logged{}
	pages := NewPages(browser, slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() {
		if err := pages.Close(); err != nil {
			t.Error(err)
		}
	})
	return &house{pages, log, opened}
}

// address waits until the browser was sent to a page.
func (h *house) address(t *testing.T) string {
	t.Helper()
	select {
	case address := <-h.opened:
		return follow(t, address)
	case <-time.After(60 * time.Second):
		t.Fatal("no page was opened")
		return ""
	}
}

// runOut ends the time of the page at address.
func (h *house) runOut(t *testing.T, address string) {
	t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	h.find(at.Path).endAfter(0)
}

func (h *house) openPages() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.pages)
}

// tellingBrowser is a command that writes the address into a named pipe.
func tellingBrowser(t *testing.T) (*Browser, <-chan string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "opened")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	// Also open for writing, so that there is no end of file between two writers.
	pipe, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan string, 64)
	t.Cleanup(func() {
		if err := pipe.Close(); err != nil {
			t.Error(err)
		}
	})
	go func() {
		lines := bufio.NewScanner(pipe)
		for lines.Scan() {
			opened <- lines.Text()
		}
	}()
	return &Browser{
		argv:        []string{"/bin/sh", "-c", `printf '%s\n' "$1" >"$0"`, path},
		environment: browserEnvironment(os.Environ()),
		folder:      filepath.Join(t.TempDir(), "pages"),
	}, opened
}

var refresh = regexp.MustCompile(`<meta http-equiv="refresh" content="0; url=([^"]+)">`)

// arrivalAt returns where the file at a file address leads.
func arrivalAt(t *testing.T, file string) string {
	t.Helper()
	path, isFile := strings.CutPrefix(file, "file://")
	content, err := os.ReadFile(path)
	found := refresh.FindSubmatch(content)
	if !isFile || err != nil || found == nil {
		t.Fatalf("the browser was sent to %q, which leads nowhere: %v", file, err)
	}
	return string(found[1])
}

// follow goes from a file to a page as a browser does, and returns the page's
// address.
func follow(t *testing.T, file string) string {
	t.Helper()
	arrival := arrivalAt(t, file)
	got := send(t, http.MethodGet, arrival, nil, fromAFile)
	found := refresh.FindStringSubmatch(got.body)
	if got.status != http.StatusOK || found == nil {
		t.Fatalf("%s leads to %d %s", arrival, got.status, got.body)
	}
	return arrival[:strings.LastIndex(arrival, "/")] + found[1]
}

// fromAFile has a request look as Chromium sends it from a file.
func fromAFile(r *http.Request) {
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
}

// logged is what was logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newToken makes a token that no API knows.
func newToken() *client.CreatedToken {
	value := "kbn_pat_" + rand.Text() + rand.Text()
	expires := time.Date(2027, 3, 31, 12, 0, 0, 0, time.Local) // pages tell the time of this machine
	return &client.CreatedToken{
		Token: client.Token{
			ID: "pat_" + rand.Text(), Name: "Nightly import - build server", Prefix: value[:16],
			CreatedAt: time.Now(), ExpiresAt: &expires,
		},
		Value: client.NewSecret(value),
	}
}

// secretOf is the content of a page on which token is shown after a click.
func secretOf(token *client.CreatedToken) *secretContent {
	content := newSecretContent(client.NewToken{
		Name: token.Name, ExpiresAt: token.ExpiresAt, ValidFrom: token.ValidFrom, Permissions: token.Permissions,
	})
	content.made <- token
	return content
}

// delivery is a delivery that is under way.
type delivery struct {
	token   *client.CreatedToken
	address string
	end     <-chan delivered
}

type delivered struct {
	receipt tools.Receipt
	err     error
}

// deliver starts a delivery and waits until its page is open.
func (h *house) deliver(ctx context.Context, t *testing.T, limit time.Duration) delivery {
	t.Helper()
	token := newToken()
	end := make(chan delivered, 1)
	go func() {
		receipt, err := NewSecretPage(h.Pages, limit).Deliver(ctx, tools.Caller{}, token)
		end <- delivered{receipt, err}
	}()
	return delivery{token, h.address(t), end}
}

func (d delivery) wait(t *testing.T) delivered {
	t.Helper()
	return mustReceive(t, d.end)
}

func mustReceive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(60 * time.Second):
		t.Fatal("it did not end")
		panic("unreachable")
	}
}

// mustWait fails if the delivery is over.
func (d delivery) mustWait(t *testing.T) {
	t.Helper()
	select {
	case got := <-d.end:
		t.Fatalf("the delivery ended: %+v, %v", got.receipt, got.err)
	default:
	}
}

// answer is what a server answered.
type answer struct {
	status int
	header http.Header
	body   string
}

// send makes one request over a connection of its own. edit may change it.
func send(t *testing.T, method, address string, form url.Values, edit func(*http.Request)) answer {
	t.Helper()
	got, err := trySend(t, method, address, form, edit)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func trySend(t *testing.T, method, address string, form url.Values, edit func(*http.Request)) (answer, error) {
	t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(t.Context(), method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if edit != nil {
		edit(request)
	}
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	return answer{response.StatusCode, response.Header, html.UnescapeString(string(content))}, nil
}

func get(t *testing.T, address string) answer {
	t.Helper()
	return send(t, http.MethodGet, address, nil, nil)
}

// post sends a page's form as a browser does.
func post(t *testing.T, address string, form url.Values) answer {
	t.Helper()
	return send(t, http.MethodPost, address, form, asBrowser)
}

func asBrowser(r *http.Request) {
	r.Header.Set("Origin", "http://"+r.URL.Host)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// formOf is the form of a page, filled in.
func formOf(t *testing.T, address string, fields ...string) url.Values {
	t.Helper()
	page := get(t, address)
	found := csrfField.FindStringSubmatch(page.body)
	if page.status != http.StatusOK || found == nil {
		t.Fatalf("there is no form at the page: %d %s", page.status, page.body)
	}
	form := url.Values{"csrf": {found[1]}}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return form
}

// mustBeWithdrawn expects the page that tells its user why it is over.
func mustBeWithdrawn(t *testing.T, got answer) {
	t.Helper()
	if got.status != http.StatusGone || !strings.Contains(got.body, "This was withdrawn") {
		t.Errorf("got %d %s; want the page for what was withdrawn", got.status, got.body)
	}
}

// mustBeNothing fails unless got is the page for addresses that show nothing.
func mustBeNothing(t *testing.T, got answer) {
	t.Helper()
	if got.status != http.StatusNotFound || !strings.Contains(got.body, "This page was used, has ended, or never was.") {
		t.Errorf("got %d %s; want the page for addresses that show nothing", got.status, got.body)
	}
}
