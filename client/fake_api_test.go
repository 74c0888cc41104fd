package client

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// randomPAT makes a token that exists in this test run only.
func randomPAT() string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails
	return patPrefix + hex.EncodeToString(raw)
}

// request is what an API saw of a request.
type request struct {
	method, path, authorization, body string
	header                            http.Header
}

// fakeAPI is a kenbun of one user on a real socket, with faults on demand.
type fakeAPI struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	tokens   []Token
	requests []request
	serial   int

	// fault, if set, may take over a request: n counts from 1 the requests of that
	// method. It returns true if it has answered.
	fault func(n int, w http.ResponseWriter, r *http.Request) bool
	// extended has it know of permissions, starts and changes.
	extended bool
	// shape, if set, changes the answer to a create or a change.
	shape func(answer map[string]any)
}

func newFakeAPI(t *testing.T) *fakeAPI {
	api := &fakeAPI{t: t}
	api.Server = httptest.NewServer(api)
	t.Cleanup(api.Close)
	return api
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	if r.Method == http.MethodPost || r.Method == http.MethodPatch {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, "bad body", http.StatusBadRequest)
			return
		}
	}
	raw, _ := json.Marshal(body)
	f.mu.Lock()
	f.requests = append(f.requests, request{r.Method, r.URL.EscapedPath(), r.Header.Get("Authorization"), string(raw), r.Header.Clone()})
	n := 0
	for _, seen := range f.requests {
		if seen.method == r.Method {
			n++
		}
	}
	fault := f.fault
	f.mu.Unlock()
	if body != nil {
		r = r.WithContext(context.WithValue(r.Context(), bodyKey{}, body))
	}
	if fault != nil && fault(n, w, r) {
		return
	}
	f.serve(w, r)
}

type bodyKey struct{}

// serve is the API without faults.
func (f *fakeAPI) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodGet && r.URL.Path == tokensPath:
		f.mu.Lock()
		defer f.mu.Unlock()
		writeJSON(w, http.StatusOK, append([]Token{}, f.tokens...))
	case r.Method == http.MethodPost && r.URL.Path == tokensPath:
		answer := f.commit(r)
		if f.shape != nil {
			f.shape(answer)
		}
		writeJSON(w, http.StatusCreated, answer)
	case f.extended && r.Method == http.MethodPatch && strings.HasPrefix(r.URL.Path, tokensPath+"/"):
		status, answer := f.change(r)
		if f.shape != nil && status == http.StatusOK {
			f.shape(answer)
		}
		writeJSON(w, status, answer)
	case r.Method == http.MethodDelete && strings.HasPrefix(r.URL.Path, tokensPath+"/"):
		if !f.revoke(strings.TrimPrefix(r.URL.Path, tokensPath+"/")) {
			writeJSON(w, http.StatusNotFound, map[string]any{"error": map[string]any{"code": "not_found", "message": "no such token"}})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	case r.URL.Path == "/me":
		writeJSON(w, http.StatusOK, map[string]any{"org_member_id": "om_1", "first_name": "Ada", "last_name": "L", "email": "ada@example.com", "role": "admin", "verified": true, "secret": "dropped"})
	case r.URL.Path == "/org-units":
		writeJSON(w, http.StatusOK, []map[string]any{{"unit_id": "unit_emea", "org_id": "org_1", "name": "EMEA", "slug": "emea", "external_ref": nil, "is_default": true}})
	default:
		http.NotFound(w, r)
	}
}

// commit makes the token that r asks for and returns the answer to it.
func (f *fakeAPI) commit(r *http.Request) map[string]any {
	body, _ := r.Context().Value(bodyKey{}).(map[string]any)
	name, _ := body["name"].(string)
	var expires *time.Time
	if text, ok := body["expires_at"].(string); ok {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			f.t.Errorf("expires_at %q is not RFC 3339", text)
		}
		expires = &at
	}
	value := randomPAT()
	token := f.add(name, expires, value)
	answer := map[string]any{
		"id": token.ID, "name": name, "token": value, "token_prefix": token.Prefix,
		"created_at": token.CreatedAt, "expires_at": expires,
	}
	if f.extended {
		f.extend(token.ID, body, answer)
	}
	return answer
}

// extend sets on the token what of the extensions body has, and shows it in
// answer.
func (f *fakeAPI) extend(id string, body, answer map[string]any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	raw, _ := json.Marshal(body)
	for i := range f.tokens {
		if t := &f.tokens[i]; t.ID == id {
			if err := json.Unmarshal(raw, t); err != nil {
				f.t.Errorf("the body %s: %v", raw, err)
			}
			shown, _ := json.Marshal(t)
			_ = json.Unmarshal(shown, &answer) // it was written a line before
		}
	}
}

// change makes the change that r asks for and returns the answer to it.
func (f *fakeAPI) change(r *http.Request) (int, map[string]any) {
	body, _ := r.Context().Value(bodyKey{}).(map[string]any)
	id := strings.TrimPrefix(r.URL.Path, tokensPath+"/")
	if !slices.Contains(f.live(), id) {
		return http.StatusConflict, map[string]any{"error": map[string]any{"code": "token_revoked", "message": "it is revoked"}}
	}
	answer := map[string]any{}
	f.extend(id, body, answer)
	return http.StatusOK, answer
}

func (f *fakeAPI) add(name string, expires *time.Time, value string) Token {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.serial++
	token := Token{ID: fmt.Sprintf("pat_%d", f.serial), Name: name, Prefix: value[:16], CreatedAt: time.Now().UTC().Truncate(time.Second), ExpiresAt: expires}
	f.tokens = append(f.tokens, token)
	return token
}

func (f *fakeAPI) revoke(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.tokens {
		if f.tokens[i].ID == id && f.tokens[i].RevokedAt == nil {
			now := time.Now().UTC()
			f.tokens[i].RevokedAt = &now
			return true
		}
	}
	return false
}

// live returns the ids of the tokens that are not revoked.
func (f *fakeAPI) live() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for _, t := range f.tokens {
		if t.RevokedAt == nil {
			ids = append(ids, t.ID)
		}
	}
	return ids
}

func (f *fakeAPI) count(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.requests {
		if r.method == method {
			n++
		}
	}
	return n
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// refuse answers as the API does.
func refuse(w http.ResponseWriter, status int, code string) {
	writeJSON(w, status, map[string]any{"error": map[string]any{"code": code, "message": "refused"}})
}

// cut drops the connection without an answer.
func cut(http.ResponseWriter) { panic(http.ErrAbortHandler) }

// newTestClient makes a client with short pauses.
func newTestClient(t *testing.T, baseURL string, opts ...Option) *Client {
	t.Helper()
	c, err := New(append([]Option{WithBaseURL(baseURL), WithRetry(3, time.Millisecond, 3*time.Millisecond)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	c.lookPauses = []time.Duration{10 * time.Millisecond, 20 * time.Millisecond}
	c.postPause = 10 * time.Millisecond
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// newTestCaller is a user of api.
func newTestCaller(t *testing.T, baseURL string, opts ...Option) *Caller {
	t.Helper()
	return newTestClient(t, baseURL, opts...).As(Credential{PAT: NewSecret(randomPAT())})
}

// answering is a server that always answers the same.
func answering(t *testing.T, status int, contentType, body string) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // the client may have gone
	}))
	t.Cleanup(srv.Close)
	return srv
}

func caFile(t *testing.T, srv *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// mustError takes the *Error out of err.
func mustError(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %T (%v), want an *Error", err, err)
	}
	return e
}

func mustCreateError(t *testing.T, err error, want Outcome) *CreateError {
	t.Helper()
	var e *CreateError
	if !errors.As(err, &e) {
		t.Fatalf("error is %T (%v), want a *CreateError", err, err)
	}
	if e.Outcome != want {
		t.Fatalf("outcome is %s, want %s (%v)", e.Outcome, want, err)
	}
	if got := errors.Is(err, ErrOutcomeUnknown); got != (want == OutcomeUnknown) {
		t.Fatalf("errors.Is(err, ErrOutcomeUnknown) is %t with outcome %s", got, want)
	}
	return e
}
