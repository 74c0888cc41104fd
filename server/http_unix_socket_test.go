//go:build unix

package server_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/unixsocket"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/tools"
)

// listenOnSocket serves on a unix socket.
func listenOnSocket(t *testing.T, h *house, config server.HTTPConfig) *httpHouse {
	t.Helper()
	handler, err := h.HTTPHandler(config)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "made", "socket")
	served := listen(t, h, handler, func(tcp net.Listener) net.Listener {
		if err := tcp.Close(); err != nil {
			t.Fatal(err)
		}
		listener, err := unixsocket.Listen(t.Context(), path, unixsocket.OwnUser)
		if err != nil {
			t.Fatal(err)
		}
		return server.LimitConnections(listener, server.ConnectionLimits{})
	})
	served.url = "http://localhost"
	served.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	return served
}

func TestIdentityServer_NeedsNoKeyOnItsUnixSocket(t *testing.T) {
	h := listenOnSocket(t, newHouse(t, func(h *house, api *client.Client) tools.Callers {
		return server.OwnCallers(api, ownToken(h.pat))
	}), server.HTTPConfig{Identity: server.IdentityServer})
	for want, header := range map[int]headers{200: nil, 400: bearer(h.pat), 403: {"X-Forwarded-For", "127.0.0.1"}} {
		if answer := h.post(t, header, initialize(t, 1, noCapabilities)); answer.status != want {
			t.Errorf("with %d headers: status %d, want %d", len(header), answer.status, want)
		}
	}
	if err := h.stop(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// Clients of a proxy on the socket count one by one, where its word is believed.
func TestA42_AProxyOnAUnixSocketNamesItsClients(t *testing.T) {
	for _, believed := range []bool{true, false} {
		h := newHouse(t, byRequest)
		served := listenOnSocket(t, h, server.HTTPConfig{API: h.api.Client(t), Limits: server.Limits{PerAddress: 1}, ProxyOnSocket: believed})
		heldBack := 0
		for i := range 15 {
			header := bearer(h.pat).with("X-Forwarded-For", fmt.Sprintf("203.0.113.9, 198.51.100.%d", i))
			if answer := served.post(t, header, initialize(t, 1, noCapabilities)); answer.status == http.StatusTooManyRequests {
				heldBack++
			}
		}
		if want := map[bool]int{true: 0, false: 5}[believed]; heldBack != want {
			t.Errorf("believed: %t: %d of 15 are held back, want %d", believed, heldBack, want)
		}
	}
}
