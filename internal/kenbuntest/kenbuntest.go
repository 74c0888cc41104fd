// Package kenbuntest gives tests a real kenbun API on a loopback socket, with
// users whose tokens are made at run time, and the built program.
package kenbuntest

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/atend"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/postgres"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
)

// API is an authority with its own clock, served on a loopback port.
type API struct {
	Authority *authority.Authority
	// URL is its address.
	URL string

	mu     sync.Mutex
	offset time.Duration
}

// Start serves an empty authority in memory until the test ends.
func Start(t testing.TB) *API {
	t.Helper()
	return StartOn(t, "memory")
}

// OnEachStore runs a test on an empty authority over every kind of store.
func OnEachStore(t *testing.T, test func(t *testing.T, api *API)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { test(t, Start(t)) })
	t.Run("sqlite", func(t *testing.T) {
		// In a folder that is made for it, which no umask gives to others.
		test(t, StartOn(t, "sqlite:"+filepath.Join(t.TempDir(), "private", "kenbun.db")))
	})
	t.Run("postgres", func(t *testing.T) { test(t, StartOn(t, StartPostgres(t))) })
}

// StartPostgres returns the address of an empty database in a PostgreSQL server
// that all tests of the process share. The package's TestMain must call Run.
func StartPostgres(t testing.TB) string {
	t.Helper()
	return postgres.Database(t)
}

// StartOn serves an authority over store until the test ends.
func StartOn(t testing.TB, store string) *API {
	t.Helper()
	api := &API{}
	config := authority.Config{Store: store, TokenLimit: 100_000, Now: api.Now}
	if strings.HasPrefix(store, "postgres:") {
		config.PepperFile = filepath.Join(t.TempDir(), "pepper")
	}
	a, err := authority.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- a.Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("the authority ended with %v", err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	api.Authority, api.URL = a, "http://"+listener.Addr().String()
	return api
}

// Now is the API's clock.
func (a *API) Now() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Now().Add(a.offset)
}

// Shift sets the API's clock off from the real one.
func (a *API) Shift(offset time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.offset = offset
}

// User adds a user and returns the value of a first token, named "first",
// without an end.
func (a *API) User(t testing.TB, email string, role authority.Role) string {
	t.Helper()
	if _, err := a.Authority.AddUser(t.Context(), authority.NewUser{
		Email: email, FirstName: "Test", LastName: email, Role: role,
	}); err != nil {
		t.Fatal(err)
	}
	return a.Token(t, email, "first", nil).Value
}

// Token issues a token for a user.
func (a *API) Token(t testing.TB, email, name string, expires *time.Time) authority.Issued {
	t.Helper()
	issued, err := a.Authority.IssueToken(t.Context(), email, name, expires)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// Client returns a client of the API.
func (a *API) Client(t testing.TB) *client.Client {
	t.Helper()
	c, err := client.New(client.WithBaseURL(a.URL))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// As returns the API as seen by the user of a token.
func (a *API) As(t testing.TB, pat string) *client.Caller {
	t.Helper()
	return a.Client(t).As(client.Credential{PAT: client.NewSecret(pat)})
}

// Run runs a package's tests and ends what they shared: what Binary built, the
// server of StartPostgres, the browser. It returns the exit code for TestMain.
func Run(m *testing.M) int { return atend.Run(m) }

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "kenbun-mcp-test-")
	if err != nil {
		return "", err
	}
	atend.Do(func() error { return os.RemoveAll(dir) })
	binary := filepath.Join(dir, "kenbun-mcp")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	command := exec.Command("go", "build", "-o", binary, "github.com/kenbun/kenbun-mcp/cmd/kenbun-mcp")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := command.CombinedOutput()
	if err != nil {
		return string(output), err
	}
	return binary, nil
})

// Binary builds the program once per test process and returns its path. The
// package's TestMain must call Run. With -short the test is left out.
func Binary(t testing.TB) string {
	t.Helper()
	require.Long(t, "it runs the built program")
	return BinaryWithShort(t)
}

// BinaryWithShort is Binary for a test that stays in a run with -short.
func BinaryWithShort(t testing.TB) string {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatalf("build the program: %v\n%s", err, binary)
	}
	return binary
}

// IsSetting reports whether an environment variable changes what the program
// does or shows.
func IsSetting(name string) bool {
	return strings.HasPrefix(name, "KENBUN_") || strings.HasPrefix(name, "OTEL_") || name == "NO_COLOR"
}

// Environment is the environment for a run of the program: the test's own
// without any setting, data and configuration folders that end with the test, no
// keychain, no browser, leave to run under an AI agent, and then what is given as "NAME=value".
func Environment(t testing.TB, variables ...string) []string {
	t.Helper()
	var environment []string
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); !IsSetting(name) {
			environment = append(environment, variable)
		}
	}
	home := t.TempDir()
	// No test may look into the keychain of whoever runs it, or open pages before
	// them.
	environment = append(environment, "KENBUN_NO_BROWSER=true", "HOME="+home, "XDG_DATA_HOME="+filepath.Join(home, "data"), "DBUS_SESSION_BUS_ADDRESS=disabled:",
		"XDG_CONFIG_HOME="+filepath.Join(home, "config"), "KENBUN_ALLOW_AGENT=1")
	return append(environment, variables...)
}
