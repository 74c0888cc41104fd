package authority

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
)

// serving runs Serve and returns its address, and a function that ends it.
func serving(t *testing.T, a *Authority) (address string, stop func() error) {
	t.Helper()
	l, err := listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Serve(ctx, l) }()
	return l.Addr().String(), func() error {
		cancel()
		return <-ended
	}
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the server may have closed it first
	return c
}

func TestServe_LetsRequestsEnd(t *testing.T) {
	f := newFixture(t, Config{})
	issued := f.user("ada@example.com", RoleMember)
	address, stop := serving(t, f.Authority)
	c := dial(t, address)
	const body = `{"name": "slow"}`
	// The body comes only after the stop: the server has let the request in
	// (100 Continue) and must not cut it off.
	_, err := fmt.Fprintf(c, "POST /settings/tokens HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", issued.Value, len(body))
	if err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(c)
	if line, err := reader.ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("%q: %v", line, err)
	}
	if _, err := reader.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for { // the listener closes first
		var d net.Dialer
		probe, err := d.DialContext(t.Context(), "tcp", address)
		if err != nil {
			break
		}
		_ = probe.Close()
	}
	if _, err := io.WriteString(c, body); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusCreated {
		t.Errorf("status %d", response.StatusCode)
	}
	if err := errors.Join(response.Body.Close(), <-stopped); err != nil {
		t.Error(err)
	}
}

func TestR24_HeadersAreLimited(t *testing.T) {
	f := newFixture(t, Config{})
	address, stop := serving(t, f.Authority)
	c := dial(t, address)
	if _, err := fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", 32<<10)); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", response.StatusCode)
	}
	if err := errors.Join(response.Body.Close(), stop()); err != nil {
		t.Error(err)
	}
}

func TestServe_FailingListenerIsReported(t *testing.T) {
	f := newFixture(t, Config{})
	l, err := listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := f.Serve(ctx, l); err == nil {
		t.Error("a closed listener was served")
	}
}

func TestA21_AmbiguousFramingIsRefused(t *testing.T) {
	f := newFixture(t, Config{})
	address, stop := serving(t, f.Authority)
	for _, request := range []string{
		"POST /settings/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
		"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"GET /healthz HTTP/1.1\r\n\r\n",
		"GET /healthz HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n",
	} {
		c := dial(t, address)
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: status %d", request, response.StatusCode)
		}
		if err := errors.Join(response.Body.Close(), c.Close()); err != nil {
			t.Error(err)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// serveHasty serves like Serve, up to the end of the test, but for the time that
// it gives to a request's sender.
func (f *fixture) serveHasty(readTimeout time.Duration) (address string) {
	f.t.Helper()
	l, err := listen(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	server := exchange.NewServer(f.Handler(), f.api.Gateway.Log)
	server.ReadTimeout = readTimeout
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	f.t.Cleanup(func() {
		if err := server.Close(); err != nil {
			f.t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			f.t.Error(err)
		}
	})
	return l.Addr().String()
}

// Whoever sends slowly must not be told that the store is out of reach.
func TestR25_ALateBodyIsTheSendersAffair(t *testing.T) {
	f := newFixture(t, Config{})
	issued := f.user("ada@example.com", RoleMember)
	if took := exchange.NewServer(f.Handler(), f.api.Gateway.Log).ReadTimeout; took >= exchange.RequestTimeout {
		t.Errorf("a body may take %s, and all of a request %s", took, exchange.RequestTimeout)
	}
	c := dial(t, f.serveHasty(200*time.Millisecond))
	if _, err := fmt.Fprintf(c, "POST /settings/tokens HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", issued.Value); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusBadRequest || !strings.Contains(string(answer), "could not be read to its end") {
		t.Errorf("a late body is answered with %d %s, %v", response.StatusCode, answer, err)
	}
}

func listen(ctx context.Context) (net.Listener, error) {
	var listening net.ListenConfig
	return listening.Listen(ctx, "tcp", "127.0.0.1:0")
}
