//go:build unix

package server_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/unixsocket"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/server/edge"
	"github.com/kenbun/kenbun-mcp/server/identity"
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
		return edge.LimitConnections(listener, edge.ConnectionLimits{})
	})
	served.url = "http://localhost"
	served.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	return served
}

func TestIdentityServer_NeedsNoKeyOnItsUnixSocket(t *testing.T) {
	h := listenOnSocket(t, newHouse(t, func(h *house, api *client.Client) tools.Callers {
		return identity.OwnCallers(api, ownToken(h.pat))
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

// A server that acts as its own user serves nobody who sends a kenbun token of their
// own, whichever header counts.
func TestR3_P8_AUsersTokenIsRefusedBesideTheHeaderThatCounts(t *testing.T) {
	own := func(h *house, api *client.Client) tools.Callers { return identity.OwnCallers(api, ownToken(h.pat)) }
	key := serverKey()
	for _, name := range []string{"", "Authorization", "X-API-Key", "X-Kenbun-Token"} {
		socket := listenOnSocket(t, newHouse(t, own), server.HTTPConfig{Identity: server.IdentityServer, TokenHeader: name})
		tcp := identityServer(t, key, func(config *server.HTTPConfig) { config.TokenHeader = name })
		rightKey := map[string]headers{"": bearer(key), "Authorization": bearer(key), "X-API-Key": {"X-API-Key", key}, "X-Kenbun-Token": {"X-Kenbun-Token", key}}[name]
		for served, with := range map[*httpHouse]headers{socket: nil, tcp: rightKey} {
			if answer := served.post(t, with, initialize(t, 1, noCapabilities)); answer.status != http.StatusOK {
				t.Fatalf("%s: without a token of the user's: status %d, %s", name, answer.status, answer.body)
			}
			pat := served.pat
			for what, header := range map[string]headers{
				"Bearer": bearer(pat), "no scheme": {"Authorization", pat}, "API key": {"X-API-Key", pat}, "capitals": {"Authorization", "Bearer " + strings.ToUpper(pat)},
				"Basic": {"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("ada:"+pat))}, "a session": {"Authorization", "Bearer kbn_" + "session_x"},
				"beside another": {"Authorization", "Basic YTpi", "Authorization", "Bearer " + pat},
			} {
				answer := served.post(t, with.with(header...), initialize(t, 1, noCapabilities))
				reason := answer.refusal(t).Reason
				if served == socket && (answer.status != http.StatusBadRequest || reason != "token_not_wanted") ||
					served == tcp && (answer.status != http.StatusUnauthorized || !slices.Contains([]string{"wrong_key", "two_tokens", "missing_scheme", "wrong_scheme"}, reason)) {
					t.Errorf("%q counts, %s (socket: %t): status %d, %s", name, what, served == socket, answer.status, answer.body)
				}
			}
		}
		// What a gateway adds of its own stays ignored.
		if name == "X-Kenbun-Token" {
			if answer := socket.post(t, headers{"Authorization", "Basic YTpi", "X-API-Key", "key of a gateway"}, initialize(t, 1, noCapabilities)); answer.status != http.StatusOK {
				t.Errorf("a gateway's own credentials: status %d, %s", answer.status, answer.body)
			}
		}
	}
}

// Clients of a proxy on the socket count one by one, where its word is believed.
func TestA42_AProxyOnAUnixSocketNamesItsClients(t *testing.T) {
	for _, believed := range []bool{true, false} {
		h := newHouse(t, byRequest)
		served := listenOnSocket(t, h, server.HTTPConfig{API: h.api.Client(t), Limits: edge.Limits{PerAddress: 1}, ProxyOnSocket: believed})
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
