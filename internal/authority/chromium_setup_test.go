//go:build unix

package authority_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/chromium"
)

const tableHeading = "Personal access tokens"

// house is an authority with its web page on a real socket, and one person.
type house struct {
	*authority.Authority
	t   *testing.T
	url string

	mu  sync.Mutex
	now time.Time
}

const ada = "ada@example.com"

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, now: time.Now()}
	a, err := authority.Open(t.Context(), authority.Config{Web: true, Now: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	h.Authority = a
	if _, err := a.AddUser(t.Context(), authority.NewUser{Email: ada, FirstName: "Ada", LastName: "Lovelace", Role: authority.RoleMember}); err != nil {
		t.Fatal(err)
	}
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	h.url = "http://" + listener.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- a.Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) setClock(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = now
}

func (h *house) link() string {
	h.t.Helper()
	address, err := h.IssueSignInLink(h.t.Context(), ada, "", h.url)
	if err != nil {
		h.t.Fatal(err)
	}
	return address
}

func (h *house) signIn(tab *chromium.Tab) {
	h.t.Helper()
	tab.Open(h.link())
	tab.MustShow("Sign in to kenbun")
	tab.Click("button.primary")
	tab.MustShow(tableHeading)
}

// call sends a request of the API with a token and returns its status.
func (h *house) call(method, path, body, token string) int {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	r.Close = true
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		h.t.Fatal(err)
	}
	return response.StatusCode
}

// create makes a token as a program does, with what else the body says.
func (h *house) create(name string, more map[string]any) (id, value string) {
	h.t.Helper()
	session, err := h.IssueSession(h.t.Context(), ada, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	body := map[string]any{"name": name}
	for field, content := range more {
		body[field] = content
	}
	sent, err := json.Marshal(body)
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(h.t.Context(), "POST", h.url+"/settings/tokens", strings.NewReader(string(sent)))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+session)
	r.Header.Set("Content-Type", "application/json")
	r.Close = true
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }() // it was read
	var made struct{ ID, Token string }
	if err := json.NewDecoder(response.Body).Decode(&made); err != nil || response.StatusCode != http.StatusCreated {
		h.t.Fatalf("status %d: %v", response.StatusCode, err)
	}
	return made.ID, made.Token
}

// setScheme sets the colour scheme.
func setScheme(tab *chromium.Tab, scheme string) {
	tab.Do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}})
		return err
	}))
}

func noScript(tab *chromium.Tab) {
	tab.Do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
}

// tableText is what a person reads of the table's rows.
func tableText(tab *chromium.Tab) string {
	return chromium.Evaluate[string](tab, `[...document.querySelectorAll("table.tokens tbody tr")].map((row) => row.innerText.replace(/\s+/g, " ")).join("\n")`)
}

func field(tab *chromium.Tab, selector string) string {
	return chromium.Evaluate[string](tab, fmt.Sprintf(`document.querySelector(%q).value`, selector))
}
