//go:build unix

package pages

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/peer"
	"github.com/kenbun/kenbun-mcp/internal/webui"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

func TestA10_AForeignHostIsRefusedOnEveryMethodAndAddress(t *testing.T) {
	h := newHouse(t)
	d := h.deliver(t.Context(), t, atLeisure)
	address, err := url.Parse(d.address)
	if err != nil {
		t.Fatal(err)
	}
	port := address.Port()
	form := formOf(t, d.address, "choice", "show")
	for _, host := range []string{
		"evil.test", "evil.test:" + port, "localhost:" + port, "127.0.0.1", "127.0.0.1:1", "127.0.0.1.:" + port,
		"127.1:" + port, "2130706433:" + port, "[::1]:" + port, "[::ffff:127.0.0.1]:" + port, "127.0.0.1:0" + port, "0.0.0.0:" + port,
	} {
		for _, path := range []string{address.Path, "/"} {
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
				got := send(t, method, "http://"+address.Host+path, form, func(r *http.Request) {
					r.Host = host
					r.Header.Set("Origin", "http://"+host)
				})
				if got.status != http.StatusMisdirectedRequest {
					t.Errorf("%s %s with Host %q: %d, want 421", method, path, host, got.status)
				}
				if strings.Contains(got.body, d.token.Prefix) || strings.Contains(got.body, d.token.Value.Reveal()) {
					t.Errorf("Host %q was shown the token", host)
				}
			}
		}
	}
	d.mustWait(t)
}

func TestA10_ARequestWithoutHostIsRefused(t *testing.T) {
	h := newHouse(t)
	d := h.deliver(t.Context(), t, atLeisure)
	address, err := url.Parse(d.address)
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{
		"GET " + address.Path + " HTTP/1.0\r\n\r\n",
		"GET http://evil.test" + address.Path + " HTTP/1.1\r\nHost: " + address.Host + "\r\nConnection: close\r\n\r\n",
	} {
		connection, err := net.Dial("tcp", address.Host)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(connection, raw); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%q: %d, want 421", raw, response.StatusCode)
		}
		response.Body.Close()
		connection.Close()
	}
}

// TestA11_ARequestFromAnotherPageIsRefused sends the right form, the secret in
// it included: only where it comes from is wrong.
func TestA11_ARequestFromAnotherPageIsRefused(t *testing.T) {
	h := newHouse(t)
	d := h.deliver(t.Context(), t, atLeisure)
	own := "http://" + strings.Split(d.address, "/")[2]
	form := formOf(t, d.address, "choice", "show")
	for _, c := range []struct {
		name   string
		header http.Header
		get    int
		post   int
	}{
		{"foreign origin", http.Header{"Origin": {"https://evil.example"}}, 403, 403},
		{"null origin", http.Header{"Origin": {"null"}}, 403, 403},
		{"empty origin", http.Header{"Origin": {""}}, 403, 403},
		{"another port", http.Header{"Origin": {"http://127.0.0.1:1"}}, 403, 403},
		{"another scheme", http.Header{"Origin": {"https" + own[4:]}}, 403, 403},
		{"another case", http.Header{"Origin": {"HTTP" + own[4:]}}, 403, 403},
		{"a longer one", http.Header{"Origin": {own + ".evil.example"}}, 403, 403},
		{"two origins", http.Header{"Origin": {own, own}}, 403, 403},
		{"cross-site", http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403, 403},
		{"cross-site with our origin", http.Header{"Origin": {own}, "Sec-Fetch-Site": {"cross-site"}}, 403, 403},
		{"another port's page", http.Header{"Sec-Fetch-Site": {"same-site"}}, 403, 403},
		{"two sites", http.Header{"Sec-Fetch-Site": {"same-origin", "same-origin"}}, 403, 403},
		{"an unknown site", http.Header{"Sec-Fetch-Site": {"elsewhere"}}, 403, 403},
		{"a form from nowhere", http.Header{"Sec-Fetch-Site": {"none"}}, 200, 403},
	} {
		edit := func(r *http.Request) {
			for name, values := range c.header {
				r.Header[name] = values
			}
		}
		if got := send(t, http.MethodGet, d.address, nil, edit); got.status != c.get {
			t.Errorf("GET, %s: %d, want %d", c.name, got.status, c.get)
		}
		if got := send(t, http.MethodPost, d.address, form, edit); got.status != c.post {
			t.Errorf("POST, %s: %d, want %d", c.name, got.status, c.post)
		}
	}
	d.mustWait(t)
	if got := post(t, d.address, form); !strings.Contains(got.body, d.token.Value.Reveal()) {
		t.Errorf("after all that was refused, the person is not shown the token: %d %s", got.status, got.body)
	}
	if got := d.wait(t); got.err != nil {
		t.Error(got.err)
	}
}

func TestA11_AFormNeedsItsPagesOwnSecret(t *testing.T) {
	h := newHouse(t)
	d, other := h.deliver(t.Context(), t, atLeisure), h.deliver(t.Context(), t, atLeisure)
	own := formOf(t, d.address).Get("csrf")
	for name, form := range map[string]url.Values{
		"none":               {"choice": {"show"}},
		"empty":              {"choice": {"show"}, "csrf": {""}},
		"another page's":     {"choice": {"show"}, "csrf": {formOf(t, other.address).Get("csrf")}},
		"cut":                {"choice": {"show"}, "csrf": {own[:len(own)-1]}},
		"the right one last": {"choice": {"show"}, "csrf": {"x", own}},
		"twice":              {"choice": {"show"}, "csrf": {own, own}},
	} {
		if got := post(t, d.address, form); got.status != http.StatusForbidden {
			t.Errorf("%s: %d, want 403", name, got.status)
		}
	}
	// In the query it does not count, and an address with a query is another one.
	mustBeNothing(t, post(t, d.address+"?csrf="+own, url.Values{"choice": {"show"}}))
	mustBeNothing(t, get(t, d.address+"?choice=show&csrf="+own))
	d.mustWait(t)
}

func TestA11_OnlyAFormIsRead(t *testing.T) {
	h := newHouse(t)
	d := h.deliver(t.Context(), t, atLeisure)
	form := formOf(t, d.address, "choice", "show")
	for _, contentType := range []string{
		"", "text/plain", "application/json", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded-not", "; x",
	} {
		got := send(t, http.MethodPost, d.address, form, func(r *http.Request) { r.Header.Set("Content-Type", contentType) })
		if got.status != http.StatusUnsupportedMediaType {
			t.Errorf("%q: %d, want 415", contentType, got.status)
		}
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "post", "PROPFIND"} {
		got := send(t, method, d.address, form, func(r *http.Request) { r.URL.Path = strings.TrimPrefix(d.address, "http://"+r.Host) })
		if got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != "GET, HEAD, POST" {
			t.Errorf("%s: %d, Allow %q; want 405", method, got.status, got.header.Get("Allow"))
		}
	}
	d.mustWait(t)
}

func TestA22_AFormOverTheLimitIsRefused(t *testing.T) {
	h := newHouse(t)
	d := h.deliver(t.Context(), t, atLeisure)
	form := formOf(t, d.address, "choice", "show", "more", "")
	pad := func(size int) string {
		text := form.Encode()
		return text + strings.Repeat("a", size-len(text))
	}
	for name, unknownLength := range map[string]bool{"told": false, "chunked": true} {
		got := send(t, http.MethodPost, d.address, url.Values{}, func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(pad(formLimit+1))), formLimit+1
			if unknownLength {
				r.ContentLength = -1
			}
		})
		if got.status != http.StatusRequestEntityTooLarge {
			t.Errorf("one byte over, length %s: %d, want 413", name, got.status)
		}
	}
	d.mustWait(t)
	got := send(t, http.MethodPost, d.address, url.Values{}, func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(pad(formLimit))), formLimit
	})
	if got.status != http.StatusOK {
		t.Errorf("just within: %d, want 200", got.status)
	}
}

func TestA23_EveryPhaseOfARequestHasATimeLimit(t *testing.T) {
	h := newHouse(t)
	if err := h.ready(); err != nil {
		t.Fatal(err)
	}
	server := h.site.server
	for name, limit := range map[string]time.Duration{
		"header": server.ReadHeaderTimeout, "read": server.ReadTimeout, "write": server.WriteTimeout, "idle": server.IdleTimeout,
	} {
		if limit <= 0 || limit > time.Minute {
			t.Errorf("%s: %v", name, limit)
		}
	}
	if server.MaxHeaderBytes != 16<<10 {
		t.Errorf("headers may have %d bytes", server.MaxHeaderBytes)
	}
}

func TestA10_ThePagesAreOnLoopbackOnly(t *testing.T) {
	h := newHouse(t)
	if err := h.ready(); err != nil {
		t.Fatal(err)
	}
	host, _, err := net.SplitHostPort(h.site.host)
	if err != nil || !net.ParseIP(host).IsLoopback() {
		t.Errorf("the pages are served on %s", h.site.host)
	}
}

// TestA8_EveryAnswerForbidsWhatItDoesNotNeed looks at the headers of each kind
// of answer.
func TestA8_EveryAnswerForbidsWhatItDoesNotNeed(t *testing.T) {
	h := newHouse(t)
	d := h.deliver(t.Context(), t, atLeisure)
	answers := map[string]answer{
		"page":    get(t, d.address),
		"head":    send(t, http.MethodHead, d.address, nil, nil),
		"nothing": get(t, d.address+"x"),
		"refused": send(t, http.MethodGet, d.address, nil, func(r *http.Request) { r.Host = "evil.test" }),
		"shown":   post(t, d.address, formOf(t, d.address, "choice", "show")),
	}
	for name, got := range answers {
		policy := got.header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'", "style-src 'sha256-", "script-src 'sha256-"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the content security policy %q lacks %q", name, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || strings.Contains(policy, "http") {
			t.Errorf("%s: the content security policy %q is too wide", name, policy)
		}
		for header, want := range map[string]string{
			"X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
			"Permissions-Policy": "clipboard-write=(self)", "Content-Type": "text/html; charset=utf-8",
			"Set-Cookie": "", "Access-Control-Allow-Origin": "", "Server": "",
		} {
			if value := got.header.Get(header); value != want {
				t.Errorf("%s: %s is %q, want %q", name, header, value, want)
			}
		}
	}
	if answers["head"].body != "" {
		t.Error("HEAD has a body")
	}
}

func TestR33_APanicEndsOnePageOnly(t *testing.T) {
	h := newHouse(t)
	secret := newToken().Value.Reveal()
	broken, err := h.open(panicking{secret}, atLeisure)
	if err != nil {
		t.Fatal(err)
	}
	d := h.deliver(t.Context(), t, atLeisure)
	if got := post(t, broken.address, formOf(t, broken.address)); got.status != http.StatusInternalServerError || strings.Contains(got.body, secret) {
		t.Errorf("a page that panics answers %d %s", got.status, got.body)
	}
	if err := broken.wait(t.Context()); !errors.Is(err, errPageFailed) {
		t.Errorf("who waits for a page that panicked is told %v", err)
	}
	mustBeNothing(t, get(t, broken.address))
	if got := post(t, d.address, formOf(t, d.address, "choice", "show")); got.status != http.StatusOK {
		t.Errorf("another page answers %d afterwards", got.status)
	}
	logs := h.log.String()
	if !strings.Contains(logs, "nobody foresaw") || strings.Contains(logs, secret) || strings.Contains(logs, broken.path) {
		t.Errorf("the log tells nothing of the panic, or too much: %s", logs)
	}
}

type panicking struct{ secret string }

func (panicking) view() webui.Page { return secretOf(newToken()).view() }

func (p panicking) act(context.Context, url.Values) reply { panic("with " + p.secret) }

// deadWriter is a connection that breaks at the step of that name.
type deadWriter struct {
	*httptest.ResponseRecorder
	step string
}

var errBroken = errors.New("broken pipe")

func (w deadWriter) fail(step string) error {
	if step == w.step {
		return errBroken
	}
	return nil
}

func (w deadWriter) Write(p []byte) (int, error)      { return len(p), w.fail("write") }
func (w deadWriter) FlushError() error                { return w.fail("flush") }
func (w deadWriter) SetWriteDeadline(time.Time) error { return w.fail("deadline") }
func (w deadWriter) request(t *testing.T, h *house, d secretDelivery, form url.Values) *http.Request {
	t.Helper()
	ctx := peer.ConnContext(context.Background(), acceptOwn(t))
	if w.step == "browser gone" {
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		ctx = cancelled
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, strings.TrimPrefix(d.address, "http://"+h.site.host), strings.NewReader(form.Encode()))
	r.Host = h.site.host
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// acceptOwn returns a connection that this process made to itself.
func acceptOwn(t *testing.T) net.Conn {
	t.Helper()
	listener, err := loopbackListener()
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = accepted.Close() })
	return accepted
}

// TestA33_AValueThatTheBrowserDidNotTakeIsNotDelivered breaks the connection
// while the value is on it.
func TestA33_AValueThatTheBrowserDidNotTakeIsNotDelivered(t *testing.T) {
	for _, step := range []string{"write", "flush", "deadline", "browser gone"} {
		t.Run(step, func(t *testing.T) {
			h := newHouse(t)
			d := h.deliver(t.Context(), t, atLeisure)
			form := formOf(t, d.address, "choice", "show")
			w := deadWriter{httptest.NewRecorder(), step}
			(&gate{pages: h.Server, host: h.site.host}).ServeHTTP(w, w.request(t, h, d, form))
			if got := d.wait(t); !errors.Is(got.err, errNotArrived) || got.receipt != (tokens.Receipt{}) {
				t.Errorf("Deliver returned %+v, %v", got.receipt, got.err)
			}
			mustBeNothing(t, post(t, d.address, form))
		})
	}
	// The same without a fault is a delivery: the test breaks what it means to.
	h := newHouse(t)
	d := h.deliver(t.Context(), t, atLeisure)
	w := deadWriter{httptest.NewRecorder(), ""}
	(&gate{pages: h.Server, host: h.site.host}).ServeHTTP(w, w.request(t, h, d, formOf(t, d.address, "choice", "show")))
	if got := d.wait(t); got.err != nil {
		t.Error(fmt.Errorf("without a fault: %w", got.err))
	}
}

// net/http answers "OPTIONS *" by itself unless it is told not to.
func TestA10_OptionsOfTheWholeServerAreGuarded(t *testing.T) {
	h := newHouse(t)
	d := h.deliver(t.Context(), t, atLeisure)
	address, err := url.Parse(d.address)
	if err != nil {
		t.Fatal(err)
	}
	connection, err := net.Dial("tcp", address.Host)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(connection, "OPTIONS * HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("%d, want 421", response.StatusCode)
	}
	response.Body.Close()
	connection.Close()
}
