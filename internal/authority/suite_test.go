package authority

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/atend"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/postgres"
)

func TestMain(m *testing.M) {
	runChild()
	// Histories wait for their stores most of the time.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(endsShared{m})
}

// endsShared ends what the tests share before leaks are looked for.
type endsShared struct{ *testing.M }

func (m endsShared) Run() int { return atend.Run(m.M) }

// overStores runs a test over every kind of store.
func overStores(t *testing.T, test func(t *testing.T, store string)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { test(t, "memory") })
	overLastingStores(t, test)
}

// overLastingStores runs test over each store that outlives its process.
func overLastingStores(t *testing.T, test func(t *testing.T, store string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, sqliteStore(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, newPostgres(t)) })
}

// sqliteStore is a file that is not there yet, in a folder that is made for it,
// which no umask gives to others.
func sqliteStore(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "private", "kenbun.db")
}

// pepperFiles has the pepper that goes with each PostgreSQL database of a test.
var pepperFiles sync.Map

func newPostgres(t testing.TB) (store string) {
	t.Helper()
	store = postgres.Database(t)
	pepperFiles.Store(store, filepath.Join(t.TempDir(), "pepper"))
	return store
}

// withPepper names the pepper of a PostgreSQL database, which has no place of
// its own.
func withPepper(cfg Config) Config {
	if file, known := pepperFiles.Load(cfg.Store); known && cfg.PepperFile == "" && cfg.Pepper == "" {
		cfg.PepperFile = file.(string)
	}
	return cfg
}

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 3, 28, 10, 0, 0, 123456789, time.UTC)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// logBuffer collects log records from several goroutines.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// fixture is an authority behind a real socket.
type fixture struct {
	*Authority
	t      *testing.T
	clock  *clock
	log    *logBuffer
	url    string
	client *http.Client
}

func newFixture(t *testing.T, cfg Config) *fixture {
	t.Helper()
	f := &fixture{t: t, clock: newClock(), log: &logBuffer{}}
	if cfg.Now == nil {
		cfg.Now = f.clock.Now
	}
	cfg.Logger = slog.New(slog.NewJSONHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	a, err := Open(t.Context(), withPepper(cfg))
	if err != nil {
		t.Fatal(err)
	}
	f.Authority = a
	// What a request or a look waits for is not given up on a slow disk: the test
	// is about what is stored.
	a.lastUse.Patience, a.uses.Patience = patience, patience
	server := httptest.NewServer(a.Handler())
	f.url, f.client = server.URL, server.Client()
	f.client.Transport = &describedTransport{t: t, table: exchange.NewTable(a.api.Routes()), next: f.client.Transport}
	t.Cleanup(func() {
		server.Close()
		if err := a.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return f
}

// user adds a user and returns a token of his.
func (f *fixture) user(email string, role Role) Issued {
	f.t.Helper()
	if _, err := f.AddUser(f.t.Context(), NewUser{Email: email, FirstName: "Ada", LastName: "Lovelace", Role: role}); err != nil {
		f.t.Fatal(err)
	}
	return f.token(email, "first")
}

func (f *fixture) token(email, name string) Issued {
	f.t.Helper()
	issued, err := f.IssueToken(f.t.Context(), email, name, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return issued
}

type answer struct {
	status int
	header http.Header
	body   string
}

// send makes a request with the given header lines, "Name: value" each.
func (f *fixture) send(method, path, body string, headers ...string) answer {
	f.t.Helper()
	got, err := f.trySend(f.t.Context(), method, path, body, headers...)
	if err != nil {
		f.t.Fatal(err)
	}
	return got
}

func (f *fixture) trySend(ctx context.Context, method, path, body string, headers ...string) (_ answer, err error) {
	r, err := http.NewRequestWithContext(ctx, method, f.url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	// Set apart from the URL's parsing, so that odd paths arrive as they are.
	r.URL.Opaque = path
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Content-Type" || name == "Content-Encoding" {
			r.Header.Set(name, value)
		} else {
			r.Header.Add(name, value)
		}
	}
	response, err := f.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	content, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, header: response.Header, body: string(content)}, err
}

var shownValue = regexp.MustCompile(`(kbn_[a-z]+_[0-9a-f]{8})[0-9A-Za-z]+`)

// shown is the body as a failed test may print it.
func (a answer) shown() string { return shownValue.ReplaceAllString(a.body, "$1…") }

func bearer(value string) string { return "Authorization: Bearer " + value }

// works tells whether a credential is accepted.
func (f *fixture) works(value string) bool {
	f.t.Helper()
	got := f.send("GET", "/me", "", bearer(value))
	if got.status != http.StatusOK && got.status != http.StatusUnauthorized {
		f.t.Fatalf("GET /me: %d %s", got.status, got.shown())
	}
	return got.status == http.StatusOK
}

func wantStatus(t *testing.T, got answer, status int) {
	t.Helper()
	if got.status != status {
		t.Fatalf("status %d, want %d; body %s", got.status, status, got.shown())
	}
}

// wantProblem checks the form of an error as well as its status and code.
func wantProblem(t *testing.T, got answer, status int, code string) {
	t.Helper()
	wantStatus(t, got, status)
	if ct := got.header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("Content-Type %q", ct)
	}
	var body map[string]map[string]string
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Fatalf("body %s: %v", got.shown(), err)
	}
	detail := body["error"]
	if len(body) != 1 || len(detail) != 3 || detail["code"] != code || detail["message"] == "" {
		t.Errorf("body %s, want code %s", got.shown(), code)
	}
	if id := got.header.Get("X-Request-Id"); id == "" || detail["request_id"] != id {
		t.Errorf("request id %q in the body, %q in the header", detail["request_id"], id)
	}
}

func decode[T any](t *testing.T, got answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(got.body), &v); err != nil {
		t.Fatalf("body %s: %v", got.shown(), err)
	}
	return v
}

// row is what tests look at of a token on the wire.
type row struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Token       string   `json:"token"`
	LastUsedAt  *string  `json:"last_used_at"`
	ExpiresAt   *string  `json:"expires_at"`
	RevokedAt   *string  `json:"revoked_at"`
	ValidFrom   *string  `json:"valid_from"`
	Permissions []string `json:"permissions"`
	ParentID    string   `json:"parent_id"`
}

func (f *fixture) list(credential string) map[string]row {
	f.t.Helper()
	got := f.send("GET", "/settings/tokens", "", bearer(credential))
	wantStatus(f.t, got, http.StatusOK)
	rows := map[string]row{}
	for _, r := range decode[[]row](f.t, got) {
		rows[r.ID] = r
	}
	return rows
}

// reads and writes are the connections of the store, for looking at the rows and for
// damaging them.
func (f *fixture) reads() *sql.DB {
	read, _ := f.store.Pools()
	return read
}

func (f *fixture) writes() *sql.DB { return writesOf(f.Authority) }

func writesOf(a *Authority) *sql.DB {
	_, write := a.store.Pools()
	return write
}

// digest is the newest digest of a credential.
func (f *fixture) digest(value string) string {
	digest, _ := f.Digest(value)
	return digest
}

// usesOf are the uses of a token, with those that were recorded a moment ago.
func (f *fixture) usesOf(ctx context.Context, userID, id string, page, limit int) ([]domain.Use, int, error) {
	f.Authority.uses.Flush(ctx)
	return f.UsesOf(ctx, userID, id, page, limit)
}

// interrupted is a store of tokens that does something else around each change.
type interrupted struct {
	domain.TokenStore
	before func()
	within func() // before the change is committed
}

func (s interrupted) Change(ctx context.Context, do func(tx domain.Tx) error) error {
	if s.before != nil {
		s.before()
	}
	return s.TokenStore.Change(ctx, func(tx domain.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		if s.within != nil {
			s.within()
		}
		return nil
	})
}

// interrupt has changes of tokens go through a store that does something else.
func (f *fixture) interrupt(store interrupted) {
	store.TokenStore = f.Tokens.Store
	f.Tokens.Store = store
}

// meAnswer, unitAnswer and problemAnswer are what tests look at on the wire.
type meAnswer struct {
	OrgMemberID string   `json:"org_member_id"`
	FirstName   string   `json:"first_name"`
	LastName    string   `json:"last_name"`
	Email       string   `json:"email"`
	Verified    bool     `json:"verified"`
	Role        Role     `json:"role"`
	OrgID       string   `json:"org_id"`
	Permissions []string `json:"permissions"`
	ActiveUnit  *string  `json:"active_ou"`
}

type unitAnswer struct {
	UnitID    string `json:"unit_id"`
	OrgID     string `json:"org_id"`
	Name      string `json:"name"`
	Slug      string `json:"slug"`
	IsDefault bool   `json:"is_default"`
}

type problemAnswer struct {
	Error struct {
		Code      string `json:"code"`
		Message   string `json:"message"`
		RequestID string `json:"request_id"`
	} `json:"error"`
}

// localTime is how a field of a page holds a time.
func localTime(t *time.Time) string { return t.UTC().Format("2006-01-02T15:04:05") }
