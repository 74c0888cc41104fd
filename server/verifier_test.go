package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/server"
)

// unreachable is the address of an API that is not there: its port is one that
// the system gives to nobody by itself.
const unreachable = "http://127.0.0.1:1"

// serveFrom has handler answer initialize as if it came from address.
func serveFrom(t testing.TB, handler http.Handler, address string, header headers) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "POST", "http://localhost/mcp", strings.NewReader(initialize(t, 1, noCapabilities)))
	r.RemoteAddr = address
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, r)
	return recorder
}

// answering is an API that answers every request with status, and counts.
func answering(t testing.TB, status *atomic.Int32, count *atomic.Int32) *client.Client {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		count.Add(1)
		w.Header().Set("Content-Type", "application/json")
		code := int(status.Load())
		w.WriteHeader(code)
		body := "[]"
		if code >= 400 {
			body = `{"error":"refused"}`
		}
		_, _ = w.Write([]byte(body)) // the test fails by what is missing
	}))
	t.Cleanup(api.Close)
	c, err := client.New(client.WithBaseURL(api.URL), client.WithRetry(0, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestVerifier_RemembersAYesForAShortWhileAndNeverANo(t *testing.T) {
	var status, asked atomic.Int32
	status.Store(200)
	api := answering(t, &status, &asked)
	long := server.NewVerifier(api, time.Hour, 10)
	pat := randomToken()
	for range 5 {
		if letIn, _ := long.Verify(t.Context(), pat); !letIn {
			t.Fatal("a token that the API accepts is not let in")
		}
	}
	if asked.Load() != 1 {
		t.Errorf("the API was asked %d times within the time, want once", asked.Load())
	}
	v := server.NewVerifier(api, 50*time.Millisecond, 10)
	if letIn, _ := v.Verify(t.Context(), pat); !letIn {
		t.Fatal("a token that the API accepts is not let in")
	}
	status.Store(401)
	deadline := time.Now().Add(patience)
	for {
		letIn, refused := v.Verify(t.Context(), pat)
		if !letIn && refused {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the yes is remembered for ever")
		}
	}
	before := asked.Load()
	for range 3 {
		if letIn, _ := v.Verify(t.Context(), pat); letIn {
			t.Fatal("a token that the API refuses is let in")
		}
	}
	if asked.Load() < before+3 {
		t.Error("a no is remembered")
	}
	status.Store(200)
	if letIn, _ := v.Verify(t.Context(), pat); !letIn {
		t.Error("a token that works again is not let in")
	}
}

func TestR23_VerifierRemembersNoMoreThanSoManyAndNoStrangers(t *testing.T) {
	var status, asked atomic.Int32
	status.Store(200)
	v := server.NewVerifier(answering(t, &status, &asked), time.Hour, 8)
	var tokens []string
	for range 50 {
		pat := randomToken()
		tokens = append(tokens, pat)
		if letIn, _ := v.Verify(t.Context(), pat); !letIn {
			t.Fatal("not let in")
		}
		if known := len(v.Known()); known > 8 {
			t.Fatalf("%d tokens are remembered, want at most 8", known)
		}
	}
	before := asked.Load()
	for _, pat := range tokens[42:] {
		if letIn, _ := v.Verify(t.Context(), pat); !letIn {
			t.Fatal("not let in")
		}
	}
	if asked.Load() != before {
		t.Errorf("the API was asked %d times about the eight that it accepted last", asked.Load()-before)
	}
	status.Store(401)
	full := len(v.Known())
	for range 50 {
		if letIn, _ := v.Verify(t.Context(), randomToken()); letIn {
			t.Fatal("a stranger is let in")
		}
	}
	if known := len(v.Known()); known != full {
		t.Errorf("strangers changed what is remembered from %d to %d", full, known)
	}
	for _, key := range v.Known() {
		for _, token := range tokens {
			if strings.Contains(token, key) || strings.Contains(key, token[8:16]) {
				t.Error("a key gives its token away")
			}
		}
	}
	// Another process has another key.
	other := server.NewVerifier(answering(t, &status, &asked), time.Hour, 8)
	status.Store(200)
	if letIn, _ := other.Verify(t.Context(), tokens[49]); !letIn {
		t.Fatal("not let in")
	}
	for _, key := range v.Known() {
		if key == other.Known()[0] {
			t.Error("two processes name a token alike")
		}
	}
}

func TestN4_OnlyAnAnswerOfTheAPILetsIn(t *testing.T) {
	for status, want := range map[int]struct{ letIn, refused bool }{
		200: {true, false},
		403: {true, false}, // it knew the token, and refused the thing asked for
		401: {false, true},
		404: {false, false},
		400: {false, false},
		429: {false, false},
		500: {false, false},
		502: {false, false},
		503: {false, false},
		302: {false, false},
		204: {false, false},
	} {
		var answer, asked atomic.Int32
		answer.Store(int32(status))
		v := server.NewVerifier(answering(t, &answer, &asked), time.Hour, 8)
		letIn, refused := v.Verify(t.Context(), randomToken())
		if letIn != want.letIn || refused != want.refused {
			t.Errorf("status %d: let in %t, refused %t", status, letIn, refused)
		}
		if !want.letIn && len(v.Known()) > 0 {
			t.Errorf("status %d is remembered as a yes", status)
		}
	}
}

func TestH1_RemovedUserIsShutOutWithinTheTimeOfMemory(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleViewer)
	v := server.NewVerifier(api.Client(t), time.Millisecond, 10)
	if letIn, _ := v.Verify(t.Context(), pat); !letIn {
		t.Fatal("a viewer is not let in")
	}
	if err := api.Authority.Suspend(t.Context(), "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond) // what the memory is given
	if letIn, refused := v.Verify(t.Context(), pat); letIn || !refused {
		t.Errorf("a suspended user: let in %t, refused %t", letIn, refused)
	}
}

func TestVerifier_ManyAtOnce(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	v := server.NewVerifier(api.Client(t), time.Hour, 4)
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			token, want := pat, true
			if i%2 == 1 {
				token, want = randomToken(), false
			}
			if letIn, _ := v.Verify(t.Context(), token); letIn != want {
				t.Errorf("let in %t, want %t", letIn, want)
			}
		})
	}
	all.Wait()
}
