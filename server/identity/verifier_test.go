package identity

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
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
)

// patience bounds how long a test waits for what must come.
const patience = 20 * time.Second

// testVerifier is a verifier of texts.
type testVerifier struct{ *Verifier }

func newTestVerifier(api *client.Client, keep time.Duration, maxAccepted int) testVerifier {
	v := NewVerifier(VerifierConfig{API: api, Logger: slog.New(slog.DiscardHandler)})
	v.keep, v.accepted = keep, newAcceptedTokens(maxAccepted)
	return testVerifier{v}
}

// Verify reports whether pat is accepted, and whether it was the API that refused it.
func (v testVerifier) Verify(ctx context.Context, pat string) (letIn, refused bool) {
	credential := client.Credential{PAT: client.NewSecret(pat)}
	err := v.verify(ctx, credential, v.Caller(credential).ID)
	return err == nil, errors.Is(err, errInvalidToken)
}

// Known returns the keys of what is remembered.
func (v testVerifier) Known() []string {
	v.accepted.mu.Lock()
	defer v.accepted.mu.Unlock()
	var ids []string
	for _, id := range v.accepted.tokens.Keys() {
		if token, _ := v.accepted.tokens.Peek(id); !token.at.IsZero() {
			ids = append(ids, id)
		}
	}
	return ids
}

// randomToken is a well-formed token that no API issued.
func randomToken() string {
	random := make([]byte, 24)
	_, _ = rand.Read(random) // never fails
	return "kbn" + "_pat_" + hex.EncodeToString(random)
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
	long := newTestVerifier(api, time.Hour, 10)
	pat := randomToken()
	for range 5 {
		if letIn, _ := long.Verify(t.Context(), pat); !letIn {
			t.Fatal("a token that the API accepts is not let in")
		}
	}
	if asked.Load() != 1 {
		t.Errorf("the API was asked %d times within the time, want once", asked.Load())
	}
	v := newTestVerifier(api, 50*time.Millisecond, 10)
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
	v := newTestVerifier(answering(t, &status, &asked), time.Hour, 8)
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
	other := newTestVerifier(answering(t, &status, &asked), time.Hour, 8)
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
		v := newTestVerifier(answering(t, &answer, &asked), time.Hour, 8)
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
	v := newTestVerifier(api.Client(t), time.Millisecond, 10)
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
	v := newTestVerifier(api.Client(t), time.Hour, 4)
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
