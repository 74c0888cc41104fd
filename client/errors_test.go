package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/redact"
)

func TestErrorBodiesOfAnyForm(t *testing.T) {
	for name, tc := range map[string]struct{ contentType, body, message, code, id string }{
		"nested":              {"application/json", `{"error":{"code":"token_limit_reached","message":"too many tokens","request_id":"req_7"}}`, "too many tokens", "token_limit_reached", "req_7"},
		"error text":          {"application/json", `{"error":"too many tokens"}`, "too many tokens", "", ""},
		"message":             {"application/json", `{"message":"too many tokens"}`, "too many tokens", "", ""},
		"code and message":    {"application/json", `{"code":"limit","message":"too many tokens"}`, "too many tokens", "limit", ""},
		"error is the code":   {"application/json", `{"error":"limit","message":"too many tokens"}`, "too many tokens", "limit", ""},
		"OAuth":               {"application/json", `{"error":"invalid_token","error_description":"expired"}`, "expired", "invalid_token", ""},
		"errors, texts":       {"application/json", `{"errors":["a","b"]}`, "a; b", "", ""},
		"errors, objects":     {"application/json", `{"errors":[{"code":"c1","detail":"a"},{"code":"c2","message":"b"}]}`, "a; b", "c1", ""},
		"list":                {"application/json", `[{"message":"a"}]`, "a", "", ""},
		"text as JSON":        {"application/json", `"a"`, "a", "", ""},
		"problem details":     {"application/problem+json", `{"type":"about:blank","title":"Conflict","detail":"too many tokens","status":409}`, "too many tokens", "", ""},
		"title alone":         {"application/problem+json", `{"title":"Conflict"}`, "Conflict", "", ""},
		"JSON without a type": {"", `{"message":"a"}`, "a", "", ""},
		"plain text":          {"text/plain; charset=utf-8", "  too many\n tokens\t", "too many tokens", "", ""},
		"HTML":                {"text/html", "<html><h1>409</h1>", "409", "", ""},
		"HTML as text":        {"text/plain", "<html><h1>409</h1>", "409", "", ""},
		"title of a page":     {"text/html", "<title>Access\n denied</title><h1>409</h1>", "Access denied", "", ""},
		"script of a page":    {"text/html", "<script>ignore()</script><style>x</style><p>Blocked &amp; logged", "Blocked &amp; logged", "", ""},
		"empty":               {"application/json", "", "", "", ""},
		"null":                {"application/json", "null", "", "", ""},
		"number":              {"application/json", "7", "", "", ""},
		"malformed":           {"application/json", `{"message":`, "", "", ""},
		"numeric code":        {"application/json", `{"code":42,"message":"a"}`, "a", "", ""},
		"code with white":     {"application/json", `{"code":"ignore all rules","message":"a"}`, "a", "", ""},
		"deep":                {"application/json", strings.Repeat(`{"error":`, 2000) + `"a"` + strings.Repeat("}", 2000), "", "", ""},
		"binary":              {"application/octet-stream", "\x00\x01", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newTestCaller(t, answering(t, 400, tc.contentType, tc.body).URL).ListTokens(t.Context())
			e := mustError(t, err)
			sentinel := ErrInvalid
			switch name {
			case "nested":
				sentinel = ErrTokenLimit // the code says so
			case "OAuth":
				sentinel = ErrUnauthenticated
			case "plain text", "HTML", "HTML as text", "title of a page", "script of a page", "number", "malformed", "deep", "binary":
				sentinel = ErrIntermediary // none of these is the API's
			}
			if e.Message != tc.message || e.APICode != tc.code || e.RequestID != tc.id || e.Status != 400 || !errors.Is(err, sentinel) {
				t.Errorf("message %q, code %q, id %q, want %q, %q, %q", e.Message, e.APICode, e.RequestID, tc.message, tc.code, tc.id)
			}
			if strings.Contains(e.Error(), "<") {
				t.Errorf("HTML in %q", e.Error())
			}
		})
	}
}

func TestRequestIDFromTheHeader(t *testing.T) {
	for _, body := range []string{"", "<html>"} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Request-Id", "req-42")
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(body)) // the client may have gone
		}))
		_, err := newTestCaller(t, srv.URL).ListTokens(t.Context())
		if e := mustError(t, err); e.RequestID != "req-42" || !strings.Contains(e.Error(), "request id req-42") {
			t.Errorf("error is %v", err)
		}
		srv.Close()
	}
}

func TestR31_MessagesAreCleaned(t *testing.T) {
	token, jwt := randomPAT(), "eyJhbGciOiJIUzI1NiJ9."+randomPAT()[8:]+"."+randomPAT()[8:]
	for name, tc := range map[string]struct{ in, want string }{
		"controls":           {"a\x00b\x1b[31mc\u009bd", "ab[31mcd"},
		"white space":        {" a \t\r\n\u2028 b\u00a0c ", "a b c"},
		"bidirectional":      {"a\u202eb\u2066c\u200f", "abc"},
		"invisible":          {"a\u200bb\u00adc\ufeffd\u2060e\U000e0041f\ufe0fg\u3164h\u2800i\u034fj", "abcdefghij"},
		"not UTF-8":          {"a\xffb", "a\uFFFDb"},
		"token":              {"no " + token + ".", "no [redacted]."},
		"token split":        {"no " + token[:12] + "\u200b" + token[12:], "no [redacted]"},
		"token upper":        {"no " + strings.ToUpper(token), "no [redacted]"},
		"cut token":          {"no " + token[:20], "no [redacted]"},
		"public prefix":      {"no " + token[:16] + ".", "no " + token[:16] + "."},
		"session":            {"no " + jwt, "no [redacted]"},
		"bearer":             {"sent bearer " + token[8:], "sent [redacted]"},
		"bearer, the word":   {"invalid bearer token", "invalid bearer token"},
		"just short":         {strings.Repeat("ü", 300), strings.Repeat("ü", 300)},
		"long":               {strings.Repeat("ü", 301), strings.Repeat("ü", 299) + "…"},
		"very long":          {strings.Repeat("a", 1<<20), strings.Repeat("a", 299) + "…"},
		"long and invisible": {strings.Repeat("\u200b", 1<<20), ""},
	} {
		if got := cleanMessage(tc.in, Secret{}); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
	for _, literal := range redact.Literals() {
		if got := cleanMessage("no "+literal+token[8:]+".", Secret{}); got != "no [redacted]." {
			t.Errorf("%s: %q", literal, got)
		}
	}
	own := "opaque-session-" + token[8:]
	if got := cleanMessage("you sent "+own, NewSecret(own)); got != "you sent [redacted]" {
		t.Errorf("the caller's own secret: %q", got)
	}
}

// A53: an API that echoes what it was sent.
func TestA53_EchoedTokensComeNowhere(t *testing.T) {
	echo := func(r *http.Request) string { return r.Header.Get("Authorization") }
	for name, answer := range map[string]func(w http.ResponseWriter, said string){
		"message":    func(w http.ResponseWriter, said string) { writeJSON(w, 400, map[string]any{"message": said}) },
		"code":       func(w http.ResponseWriter, said string) { writeJSON(w, 400, map[string]any{"code": said[7:]}) },
		"request id": func(w http.ResponseWriter, said string) { writeJSON(w, 400, map[string]any{"request_id": said[7:]}) },
		"header": func(w http.ResponseWriter, said string) {
			w.Header().Set("X-Request-Id", said[7:])
			writeJSON(w, 400, nil)
		},
		"text": func(w http.ResponseWriter, said string) { http.Error(w, said, 500) },
		"time": func(w http.ResponseWriter, said string) {
			writeJSON(w, 201, map[string]any{"id": "a", "created_at": said})
		},
		"list time": func(w http.ResponseWriter, said string) { writeJSON(w, 200, []map[string]any{{"created_at": said}}) },
		"redirect": func(w http.ResponseWriter, said string) {
			w.Header().Set("Location", "https://other.example/?t="+said[7:])
			w.WriteHeader(302)
		},
		"broken header": func(w http.ResponseWriter, said string) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%s\r\n\r\n", strings.Replace(said, "Bearer ", "", 1)) // the client may have gone
			_ = conn.Close()
		},
		"status line": func(w http.ResponseWriter, said string) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = fmt.Fprintf(conn, "%s\r\n\r\n", said) // the client may have gone
			_ = conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			listToo := true
			api := newFakeAPI(t)
			api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet && !listToo {
					return false
				}
				answer(w, echo(r))
				return true
			}
			value := randomPAT()
			u := newTestClient(t, api.URL).As(Credential{PAT: NewSecret(value)})
			_, listErr := u.ListTokens(t.Context())
			revokeErr := u.RevokeToken(t.Context(), "pat_1")
			listToo = false
			_, createErr := u.CreateToken(t.Context(), NewToken{Name: "ci"})
			for call, err := range map[string]error{"list": listErr, "revoke": revokeErr, "create": createErr} {
				if err == nil {
					if call != "revoke" {
						t.Errorf("%s: no error", call)
					}
					continue
				}
				assertNotInChain(t, err, value[8:])
			}
		})
	}
}

func TestR32_ConnectionErrorsInPlainWords(t *testing.T) {
	raw := func(t *testing.T, greeting string) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				// Only after the client has spoken, or net/http takes it for a leftover.
				_, _ = conn.Read(make([]byte, 4096))
				_, _ = conn.Write([]byte(greeting)) // the client may have gone
				_ = conn.Close()
			}
		}()
		t.Cleanup(func() { _ = listener.Close(); <-done })
		return listener.Addr().String()
	}
	plain := answering(t, 200, "application/json", "[]")
	for name, tc := range map[string]struct {
		base, says string
		sentinel   error
		attempts   int
	}{
		"not TLS":       {strings.Replace(plain.URL, "http://", "https://", 1), "does not speak TLS", ErrUnavailable, 1},
		"not HTTP":      {"http://" + raw(t, "SSH-2.0-x\r\n\r\n"), "does not speak HTTP", ErrUnexpectedAnswer, 1},
		"hangs up":      {"http://" + raw(t, ""), "was lost", ErrUnavailable, 4},
		"hangs up, TLS": {"https://" + raw(t, ""), "was lost", ErrUnavailable, 4},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newTestCaller(t, tc.base).ListTokens(t.Context())
			e := mustError(t, err)
			if !errors.Is(err, tc.sentinel) || !strings.Contains(err.Error(), tc.says) || e.Attempts != tc.attempts {
				t.Errorf("after %d tries: %v, want %q", e.Attempts, err, tc.says)
			}
			if e.Unwrap() == nil || strings.Contains(err.Error(), "dial tcp") || strings.Contains(err.Error(), "Get \"") {
				t.Errorf("the words are Go's, or the cause is lost: %v", err)
			}
		})
	}
}

// Faults of the network that a test cannot cause on one machine.
func TestR32_DialErrorsInPlainWords(t *testing.T) {
	for name, tc := range map[string]struct {
		cause    error
		says     string
		attempts int
	}{
		"no such host": {&net.DNSError{Err: "no such host", Name: "kenbun.invalid", IsNotFound: true}, "could not find the address of kenbun.invalid:443", 1},
		"DNS is away":  {&net.DNSError{Err: "i/o timeout", Name: "kenbun.invalid", IsTimeout: true}, "could not connect to kenbun.invalid:443 (no answer in time)", 4},
		"unreachable":  {os.NewSyscallError("connect", syscall.EHOSTUNREACH), "could not connect to kenbun.invalid:443 (" + syscall.EHOSTUNREACH.Error() + ")", 4},
		"timeout":      {context.DeadlineExceeded, "could not connect to kenbun.invalid:443 (no answer in time)", 4},
		"elsewhere":    {errNotLoopback, "must lead to this machine", 1},
	} {
		t.Run(name, func(t *testing.T) {
			transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: tc.cause}
			}}
			_, err := newTestCaller(t, "https://kenbun.invalid", WithTransport(transport)).ListTokens(t.Context())
			e := mustError(t, err)
			if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), tc.says) || e.Attempts != tc.attempts {
				t.Errorf("after %d tries: %v, want %q", e.Attempts, err, tc.says)
			}
			if errors.Is(err, context.DeadlineExceeded) {
				t.Error("the dialler's time limit is shown as the caller's")
			}
		})
	}
}
