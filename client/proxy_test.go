package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

// net/http reads the proxy environment once per process, so these tests run the
// test binary again.
const proxyChild = "KENBUN_TEST_PROXY_CHILD"

// runProxyChild creates a token at an address that only the proxy can know, and
// prints what came of it.
func runProxyChild() int {
	c, err := New(WithBaseURL("https://api.kenbun.invalid"), WithRetry(0, 0, 0))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	u := c.As(Credential{PAT: NewSecret(randomPAT())})
	_, err = u.CreateToken(context.Background(), NewToken{Name: "ci"})
	var doubt *CreateError
	fmt.Printf("%t %t %v\n", errors.Is(err, ErrUnavailable), errors.As(err, &doubt), err)
	return 0
}

func TestProxyFromTheEnvironment(t *testing.T) {
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		status int
		says   string
	}{
		"wants a login": {http.StatusProxyAuthRequired, "wants a login"},
		"refuses":       {http.StatusForbidden, "refused the connection"},
		"is away":       {0, "could not connect to the proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			var connects, leaks atomic.Int64
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodConnect && r.Host == "api.kenbun.invalid:443" {
					connects.Add(1)
				}
				if r.Header.Get("Authorization") != "" {
					leaks.Add(1)
				}
				w.WriteHeader(tc.status)
			}))
			defer proxy.Close()
			address := strings.Replace(proxy.URL, "http://", "http://ada:hunter2@", 1)
			if tc.status == 0 {
				address = "http://ada:hunter2@" + refusing
			}
			child := exec.CommandContext(t.Context(), executable)
			child.Env = []string{proxyChild + "=1", "HTTPS_PROXY=" + address}
			output, err := child.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, output)
			}
			if text := string(output); !strings.HasPrefix(text, "true false ") || !strings.Contains(text, tc.says) || strings.Contains(text, "hunter2") {
				t.Errorf("got %s", text)
			}
			if tc.status != 0 && connects.Load() == 0 || leaks.Load() != 0 {
				t.Errorf("%d CONNECTs, %d with a token", connects.Load(), leaks.Load())
			}
		})
	}
}
