package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// R26: whatever a redirect points at, nothing arrives there.
func TestR26_RedirectsAreNeverFollowed(t *testing.T) {
	var arrived atomic.Int64
	trap := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived.Add(1)
		writeJSON(w, http.StatusOK, []Token{})
	})
	otherPort := httptest.NewServer(trap)
	t.Cleanup(otherPort.Close)
	otherScheme := httptest.NewTLSServer(trap)
	t.Cleanup(otherScheme.Close)
	otherHost := strings.Replace(otherPort.URL, "127.0.0.1", "localhost", 1)

	calls := map[string]func(context.Context, *Caller) error{
		"list":   func(ctx context.Context, u *Caller) error { _, err := u.ListTokens(ctx); return err },
		"me":     func(ctx context.Context, u *Caller) error { _, err := u.Me(ctx); return err },
		"units":  func(ctx context.Context, u *Caller) error { _, err := u.OrgUnits(ctx); return err },
		"revoke": func(ctx context.Context, u *Caller) error { return u.RevokeToken(ctx, "pat_1") },
		"create": func(ctx context.Context, u *Caller) error {
			_, err := u.CreateToken(ctx, NewToken{Name: "ci"})
			return err
		},
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		for where, target := range map[string]string{
			"other port": otherPort.URL, "other scheme": otherScheme.URL, "other host": otherHost,
			"scheme-relative": strings.TrimPrefix(otherPort.URL, "http:"), "same host": "/elsewhere",
		} {
			for name, do := range calls {
				t.Run(fmt.Sprintf("%d %s %s", status, where, name), func(t *testing.T) {
					var elsewhere atomic.Int64
					api := newFakeAPI(t)
					api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
						if r.URL.Path == "/elsewhere" {
							elsewhere.Add(1)
						}
						if name == "create" && r.Method == http.MethodGet {
							return false // let it come to the POST
						}
						w.Header().Set("Location", target)
						w.WriteHeader(status)
						return true
					}
					err := do(t.Context(), newTestCaller(t, api.URL))
					if !errors.Is(err, ErrUnexpectedAnswer) {
						t.Errorf("error is %v, want ErrUnexpectedAnswer", err)
					}
					if e := mustError(t, err); e.Status != status || !strings.Contains(e.Error(), "redirect") {
						t.Errorf("the error does not tell: %v", e)
					}
					if arrived.Load() != 0 || elsewhere.Load() != 0 {
						t.Errorf("the redirect was followed")
					}
				})
			}
		}
	}
}

// A13: even a request that something else made for another address gets no
// token, and is not sent.
func TestA13_TokenGoesToTheConfiguredOriginOnly(t *testing.T) {
	var arrived atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Add(1) }))
	t.Cleanup(srv.Close)
	own, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := newTestClient(t, srv.URL)
	guard := &authorizer{base: c.transport, scheme: own.Scheme, host: own.Host, timeout: time.Minute}
	ctx := context.WithValue(t.Context(), callKey{}, &call{secret: NewSecret(randomPAT())})
	for _, target := range []string{
		"https://" + own.Host, "http://localhost:" + own.Port(), "http://127.0.0.1:1", "http://sub." + own.Host, "http://127.0.0.1",
	} {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, io.NopCloser(strings.NewReader("x")))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := guard.RoundTrip(req); !errors.Is(err, errForeignOrigin) {
			t.Errorf("%s: error is %v", target, err)
		}
	}
	foreignHost, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
	foreignHost.Host = "other.example"
	if _, err := guard.RoundTrip(foreignHost); !errors.Is(err, errForeignOrigin) {
		t.Errorf("foreign Host field: error is %v", err)
	}
	foreignAddress, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:1", nil)
	foreignAddress.Host = own.Host
	if _, err := guard.RoundTrip(foreignAddress); !errors.Is(err, errForeignOrigin) {
		t.Errorf("foreign address under our own Host field: error is %v", err)
	}
	unmarked, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
	if _, err := guard.RoundTrip(unmarked); !errors.Is(err, errForeignOrigin) {
		t.Errorf("request without a caller: error is %v", err)
	}
	if arrived.Load() != 0 {
		t.Error("a request arrived")
	}

	mine, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
	resp, err := guard.RoundTrip(mine)
	if err != nil || arrived.Load() != 1 {
		t.Fatalf("a request for the origin itself: %v", err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if mine.Header.Get("Authorization") != "" {
		t.Error("the token was written into the caller's request")
	}
}

func TestR27_PlainHTTPLeavesTheMachineByNoName(t *testing.T) {
	if err := loopbackOnly(t.Context(), "tcp4", "93.184.216.34:80", nil); !errors.Is(err, errNotLoopback) {
		t.Errorf("a public address: %v", err)
	}
	if err := loopbackOnly(t.Context(), "tcp4", "127.0.0.1:80", nil); err != nil {
		t.Errorf("loopback: %v", err)
	}
	if err := loopbackOnly(t.Context(), "tcp6", "[::1]:80", nil); err != nil {
		t.Errorf("loopback: %v", err)
	}
	c := newTestClient(t, "http://localhost:80")
	transport, ok := c.transport.(*http.Transport)
	if !ok {
		t.Fatalf("transport is %T", c.transport)
	}
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for _, address := range nonLoopbackAddresses(t) {
		conn, err := transport.DialContext(t.Context(), "tcp", net.JoinHostPort(address, port))
		if err == nil {
			_ = conn.Close()
		}
		if !errors.Is(err, errNotLoopback) {
			t.Errorf("dialling this machine's outer address: %v", err)
		}
	}
}

func nonLoopbackAddresses(t *testing.T) []string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var outer []string
	for _, a := range all {
		if ipNet, ok := a.(*net.IPNet); ok && ipNet.IP.To4() != nil && !ipNet.IP.IsLoopback() {
			outer = append(outer, ipNet.IP.String())
		}
	}
	return outer
}

func TestSessionIsUsedForTokensOnly(t *testing.T) {
	api := newFakeAPI(t)
	pat, session := randomPAT(), "session-"+randomPAT()[8:]
	u := newTestClient(t, api.URL).As(Credential{PAT: NewSecret(pat), Session: NewSecret(session)})
	if _, err := u.Me(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := u.OrgUnits(t.Context()); err != nil {
		t.Fatal(err)
	}
	created, err := u.CreateToken(t.Context(), NewToken{Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.RevokeToken(t.Context(), created.ID); err != nil {
		t.Fatal(err)
	}
	for _, r := range api.requests {
		want := "Bearer " + pat
		if strings.HasPrefix(r.path, tokensPath) {
			want = "Bearer " + session
		}
		if r.authorization != want {
			t.Errorf("%s %s came with the wrong credential", r.method, r.path)
		}
		if values := r.header.Values("Authorization"); len(values) != 1 {
			t.Errorf("%s %s came with %d Authorization fields", r.method, r.path, len(values))
		}
	}
}

func TestRequestFields(t *testing.T) {
	api := newFakeAPI(t)
	api.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Add("Set-Cookie", "session=1; Path=/")
		return false
	}
	u := newTestCaller(t, api.URL)
	for range 2 {
		if _, err := u.CreateToken(t.Context(), NewToken{Name: "ci"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range api.requests {
		if got := r.header.Get("User-Agent"); got != "kenbun-go/"+Version {
			t.Errorf("User-Agent is %q", got)
		}
		if got := r.header.Get("Accept"); got != "application/json" {
			t.Errorf("Accept is %q", got)
		}
		if got := r.header.Get("Cookie"); got != "" {
			t.Errorf("a cookie came back: %q", got)
		}
		if got := r.header.Get("Content-Type"); (got == "application/json") != (r.method == http.MethodPost) {
			t.Errorf("Content-Type of %s is %q", r.method, got)
		}
	}
}

func TestBasePathPrefixIsKept(t *testing.T) {
	api := newFakeAPI(t)
	api.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		writeJSON(w, http.StatusOK, []Token{})
		return true
	}
	if _, err := newTestCaller(t, api.URL+"/kenbun/v2/").ListTokens(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := api.requests[0].path; got != "/kenbun/v2/settings/tokens" {
		t.Errorf("path is %s", got)
	}
}

func TestA27_CallersDoNotMix(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"org_member_id": strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")})
	}))
	t.Cleanup(srv.Close)
	c := newTestClient(t, srv.URL)
	const users, calls = 50, 20
	errs := make(chan error, users)
	for range users {
		go func() {
			pat := randomPAT()
			u := c.As(Credential{PAT: NewSecret(pat)})
			for range calls {
				me, err := u.Me(t.Context())
				if err != nil {
					errs <- err
					return
				}
				if me.OrgMemberID != pat {
					errs <- errors.New("a caller got the answer to another's call")
					return
				}
			}
			errs <- nil
		}()
	}
	for range users {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestNoTokenIsToldBeforeAnythingIsSent(t *testing.T) {
	api := newFakeAPI(t)
	c := newTestClient(t, api.URL)
	for name, cred := range map[string]Credential{
		"none": {}, "line break": {PAT: NewSecret("a\r\nX-Evil: 1")}, "not ASCII": {PAT: NewSecret("tokän")},
	} {
		_, err := c.As(cred).ListTokens(t.Context())
		if !errors.Is(err, ErrUnauthenticated) || strings.Contains(fmt.Sprint(err), "Evil") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(api.requests) != 0 {
		t.Error("a request was sent")
	}
}
