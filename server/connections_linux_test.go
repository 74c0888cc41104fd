package server_test

// Only Linux has all of 127.0.0.0/8 without being told to.

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/server/edge"
)

func TestA23_ConnectionsFromOneAddressAreBounded(t *testing.T) {
	var refused refusals
	h := limitedTo(t, edge.ConnectionLimits{PerAddress: 3, Refused: refused.note})
	other := dialFrom(t, h, "127.0.0.3", "")
	var open []net.Conn
	for range 3 {
		connection := dialFrom(t, h, "127.0.0.2", "")
		if !isServed(t, connection) {
			t.Fatal("one of the first connections is not served")
		}
		open = append(open, connection)
	}
	if !isServed(t, dialFrom(t, h, "127.0.0.2", "")) {
		t.Error("a connection beyond the bound is not served")
	}
	if !isClosed(t, open[0]) || isClosed(t, open[1]) || isClosed(t, open[2]) {
		t.Error("the connection that was idle for longest did not make room")
	}
	if !isServed(t, other) {
		t.Error("another address is not served")
	}
	if refused.of(edge.BeyondAddress) != 1 || refused.of(edge.BeyondTotal) != 0 {
		t.Errorf("refused: %v", refused.counts)
	}
}

// The address with the most strangers makes room, not the one that was there
// first.
func TestA23_TheAddressWithTheMostStrangersMakesRoom(t *testing.T) {
	h := limitedTo(t, edge.ConnectionLimits{Total: 8, PerAddress: 8})
	first := dialFrom(t, h, "127.0.0.2", "")
	if !isServed(t, first) {
		t.Fatal("the first connection is not served")
	}
	for range 50 {
		if !isServed(t, dialFrom(t, h, "127.0.0.3", "")) {
			t.Fatal("a connection is not served")
		}
	}
	if isClosed(t, first) {
		t.Error("the only connection of an address made room for the many of another")
	}
}

func TestA23_ProxiesMayOpenMore(t *testing.T) {
	h := limitedTo(t, edge.ConnectionLimits{PerAddress: 2, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.7/32")}})
	for range 10 {
		if !isServed(t, dialFrom(t, h, "127.0.0.7", "")) {
			t.Fatal("a proxy is held to the bound of one client")
		}
	}
}

// slowConnections opens so many connections of each kind that a client can be
// slow on, from many addresses, and keeps them as they are.
func slowConnections(t *testing.T, h *httpHouse, each int) {
	t.Helper()
	head := "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000\r\n"
	kinds := []string{
		"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", // a head that does not end
		head + "\r\n{",        // a body that does not end
		health,                // one request, and then nothing
		wants(t, h, "plenty"), // an answer that is not read
	}
	var slow []net.Conn
	for i := range each {
		for k, beginning := range kinds {
			slow = append(slow, dialFrom(t, h, fmt.Sprintf("127.0.%d.%d", k+1, i%200+1), beginning))
		}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			for i, connection := range slow {
				if i%4 < 2 {
					_, _ = io.WriteString(connection, "x") // the server may have cut it off
				}
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-stopped })
}

// p99 is the time that all but one of a hundred requests stay within, of clients
// at once that are not slow.
func p99(t *testing.T, h *httpHouse) time.Duration {
	t.Helper()
	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 150 {
				began := time.Now()
				if answer := h.modern(t, bearer(h.pat), i, "tools/list", nil); answer.status != http.StatusOK {
					t.Errorf("status %d", answer.status)
				}
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	return took[len(took)*99/100]
}

func TestA23_ThousandSlowConnectionsDoNotSlowOthers(t *testing.T) {
	var refused refusals
	h := limitedTo(t, edge.ConnectionLimits{Refused: refused.note}, func(l net.Listener) net.Listener { return tightListener{l, nil} })
	p99(t, h) // warms up
	// The machine has other things to do, too, at times. What slow connections do,
	// they do all the time.
	var before, during []time.Duration
	for range 5 {
		before = append(before, p99(t, h))
	}
	slowConnections(t, h, 250)
	for range 10 {
		during = append(during, p99(t, h))
		if slices.Min(during) <= 3*slices.Min(before) {
			break
		}
	}
	t.Logf("p99 %s, with a thousand slow connections %s", before, during)
	if slices.Min(during) > 3*slices.Min(before) {
		t.Error("a thousand slow connections slow others")
	}
	if n := refused.of(edge.BeyondTotal) + refused.of(edge.BeyondAddress); n > 0 {
		t.Errorf("%d of the slow connections were refused, and slowed nobody", n)
	}
}
