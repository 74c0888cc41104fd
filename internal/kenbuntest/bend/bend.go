// Package bend gives tests a kenbun API on loopback whose answers can be bent:
// other statuses, bodies of proxies and sign-in pages, silence, connections that
// break off, with and without doing what was asked.
//
//	api := bend.Start(t, bend.HTML(http.MethodDelete, "/settings/tokens", 200, "Sign in"))
//	id := api.Add(bend.Row{"name": "old"})
//	... run the program with KENBUN_API_URL=api.URL and KENBUN_PAT=api.PAT ...
//	if api.Revoked(id) { ... }
//	api.Bend() // from now on every answer is straight
//
// What it knows is the documented API and PATCH, for one user, in memory.
package bend

import (
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// API is a kenbun of one user.
type API struct {
	// URL is its address.
	URL string
	// PAT is a token of its user, that of the first row ("pat_1", "laptop"). It is
	// made in each run. Other tokens are accepted as well, unless they were revoked.
	PAT string

	server *httptest.Server
	ended  chan struct{}

	mu     sync.Mutex
	rules  []*rule
	rows   []Row
	values map[string]string // the value of each token made here, to its id
	serial int
	seen   []Request
}

// rule is a Rule in use.
type rule struct {
	Rule
	met, used int
}

// Request is a request that arrived. Its header has the token in it.
type Request struct {
	Method, Path string
	Header       http.Header
	Body         string
	At           time.Time
}

// Start serves an API over HTTP until the test ends.
func Start(t testing.TB, rules ...Rule) *API {
	t.Helper()
	return start(t, (*httptest.Server).Start, rules)
}

// StartTLS is Start over HTTPS, with a certificate that no system trusts.
func StartTLS(t testing.TB, rules ...Rule) *API {
	t.Helper()
	return start(t, (*httptest.Server).StartTLS, rules)
}

// Unserved returns an API without a network: it is the transport of a client. With it,
// a test can wait in no time (package testing/synctest).
func Unserved(rules ...Rule) *API { return newAPI(rules) }

// RoundTrip implements http.RoundTripper.
func (a *API) RoundTrip(r *http.Request) (_ *http.Response, err error) {
	defer func() {
		switch aborted := recover(); {
		case aborted == nil:
		case aborted != http.ErrAbortHandler: //nolint:errorlint // net/http compares it like this, too
			panic(aborted)
		case r.Context().Err() != nil:
			err = r.Context().Err()
		default:
			err = io.ErrUnexpectedEOF
		}
	}()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	defer func() { err = errors.Join(err, r.Body.Close()) }()
	answer := httptest.NewRecorder()
	a.serve(answer, r)
	got := answer.Result()
	got.Request = r
	return got, nil
}

func newAPI(rules []Rule) *API {
	api := &API{PAT: newValue(), ended: make(chan struct{}), values: map[string]string{}}
	api.insert(Row{"name": "laptop"}, api.PAT)
	api.Bend(rules...)
	return api
}

func start(t testing.TB, serve func(*httptest.Server), rules []Rule) *API {
	t.Helper()
	api := newAPI(rules)
	api.server = httptest.NewUnstartedServer(http.HandlerFunc(api.serve))
	serve(api.server)
	api.URL = api.server.URL
	t.Cleanup(func() {
		close(api.ended)
		api.server.CloseClientConnections()
		api.server.Close()
	})
	return api
}

// CAFile writes the certificate of StartTLS to a file and returns its name.
func (a *API) CAFile(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	content := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.server.Certificate().Raw})
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Bend replaces all rules. For each request the first that fits counts.
func (a *API) Bend(rules ...Rule) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rules = nil
	for _, r := range rules {
		a.rules = append(a.rules, &rule{Rule: r})
	}
}

// Seen returns the requests that arrived, oldest first.
func (a *API) Seen() []Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]Request{}, a.seen...)
}

// Count returns how many requests arrived with this method ("" for all) whose
// path begins with path.
func (a *API) Count(method, path string) int {
	n := 0
	for _, r := range a.Seen() {
		if (method == "" || r.Method == method) && strings.HasPrefix(r.Path, path) {
			n++
		}
	}
	return n
}

func newValue() string {
	return "kbn_pat_" + strings.ToLower(rand.Text() + rand.Text())[:40]
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	a.mu.Lock()
	a.seen = append(a.seen, Request{r.Method, r.URL.Path, r.Header.Clone(), string(body), time.Now()})
	bent := a.ruleFor(r)
	a.mu.Unlock()
	if bent == nil {
		a.answer(r, body).send(w)
		return
	}
	own := answer{status: http.StatusOK}
	if bent.Act || bent.Shape != nil {
		own = a.answer(r, body)
	}
	if bent.Silent || bent.Delay > 0 {
		a.wait(r, bent)
	}
	bent.send(w, own)
}

// ruleFor returns the rule for r, nil if there is none. a.mu is held.
func (a *API) ruleFor(r *http.Request) *Rule {
	for _, rule := range a.rules {
		if !rule.fits(r) || rule.Times > 0 && rule.used == rule.Times {
			continue
		}
		if rule.met++; rule.met <= rule.Skip {
			continue
		}
		rule.used++
		return &rule.Rule
	}
	return nil
}

// wait ends the request without an answer if it should have none, or if nobody
// is left to get it.
func (a *API) wait(r *http.Request, bent *Rule) {
	var over <-chan time.Time
	if !bent.Silent {
		over = time.After(bent.Delay)
	}
	select {
	case <-over:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	case <-a.ended:
		panic(http.ErrAbortHandler)
	}
}

// send writes the bent answer. own is the API's, where it acted.
func (r *Rule) send(w http.ResponseWriter, own answer) {
	if r.Shape != nil {
		own.shape(r.Shape)
		if r.Status != 0 {
			own.status = r.Status
		}
		own.send(w)
		return
	}
	if r.Cut && r.Status == 0 {
		panic(http.ErrAbortHandler)
	}
	for name, values := range r.Header {
		w.Header()[name] = values
	}
	w.Header()["Content-Type"] = nil // none, rather than one that is guessed
	if r.Type != "" {
		w.Header().Set("Content-Type", r.Type)
	}
	status := r.Status
	if status == 0 {
		status = http.StatusOK
	}
	body := r.Body
	if r.Cut {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)+1))
		body = body[:len(body)/2]
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // a client that has gone is no fault of the API's
	if r.Cut {
		_ = http.NewResponseController(w).Flush() // as above
		panic(http.ErrAbortHandler)
	}
}
