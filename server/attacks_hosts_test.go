package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/server"
)

// onTheWire sends one request as it is written and returns its answer. What Go's
// client would not send gets through like this.
func onTheWire(t testing.TB, url, request string) (status int, header textproto.MIMEHeader, body string) {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }() // the answer is all that counts
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(connection, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	answer, err := http.ReadResponse(bufio.NewReader(connection), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%.200q: %v", request, err)
	}
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("%.200q: %v", request, err)
	}
	return answer.StatusCode, textproto.MIMEHeader(answer.Header), string(data)
}

// The targets that are no path reach the same guard: net/http answers "OPTIONS *"
// by itself unless it is told not to.
func TestA10_TargetsThatAreNoPathAreGuarded(t *testing.T) {
	h := serveHTTP(t, func(_ *house, c *server.HTTPConfig) { c.AllowedOrigins = []string{"https://tools.example.com"} })
	for _, line := range []string{
		"OPTIONS *", "GET *", "POST *", "CONNECT evil.example:443", "CONNECT localhost:443", "OPTIONS /mcp", "TRACE /mcp", "HEAD /mcp",
		"OPTIONS http://evil.example", "GET http://evil.example/mcp", "POST http://evil.example/mcp",
	} {
		for _, c := range []struct{ host, origin string }{
			{"evil.example", ""}, {"evil.example", "https://tools.example.com"}, {"localhost", "https://evil.example"}, {"localhost", "null"},
		} {
			if line == "CONNECT localhost:443" && c.host != "localhost" {
				continue // its target is its host
			}
			request := fmt.Sprintf("%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", line, c.host)
			if c.origin != "" {
				request += "Origin: " + c.origin + "\r\n"
			}
			status, header, body := onTheWire(t, h.url, request+"\r\n")
			if status != http.StatusForbidden {
				t.Errorf("%s, Host %s, Origin %q: status %d, %s", line, c.host, c.origin, status, body)
			}
			if header.Get("Access-Control-Allow-Origin") != "" || header.Get("Allow") != "" {
				t.Errorf("%s, Host %s, Origin %q: %v", line, c.host, c.origin, header)
			}
		}
	}
	if status, _, body := onTheWire(t, h.url, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); status != http.StatusNotFound {
		t.Errorf("OPTIONS * under the server's own name: status %d, %s", status, body)
	}
}

// hostMatrix is every kind of Host, with whether it is the server's.
var hostMatrix = []struct {
	host string
	own  bool
}{
	{"localhost", true}, {"LocalHost:8765", true}, {"127.0.0.1:1", true}, {"[::1]:8765", true}, {"mcp.example.com", true},
	{"MCP.EXAMPLE.COM:443", true}, {"xn--bcher-kva.example", true}, {"[2001:DB8::1]:443", true}, {"ported.example.com:8443", true},
	{"evil.example", false}, {"mcp.example.com.", false}, {"localhost.", false}, {"[::2]", false}, {"[2001:db8::2]:443", false},
	{"ported.example.com:8444", false}, {"ported.example.com", false}, {"b\xc3\xbccher.example", false}, {"null", false},
	{"xn--bcher-kva.example.evil.example", false}, {"169.254.169.254", false}, {"2130706433", false}, {"[::ffff:192.0.2.7]", false},
}

// originMatrix is every kind of Origin, with whether the operator allowed it.
// Empty: none is sent.
var originMatrix = []struct {
	origin  string
	allowed bool
}{
	{"", true}, {"https://tools.example.com", true}, {"HTTPS://Tools.Example.Com", true}, {"https://xn--bcher-kva.example", true}, {"https://[2001:db8::5]:9", true},
	{"null", false}, {"https://evil.example", false}, {"http://tools.example.com", false}, {"https://tools.example.com.", false},
	{"https://tools.example.com:8443", false}, {"https://b\xc3\xbccher.example", false}, {"https://[2001:db8::5]", false},
	{"http://localhost", false}, {"https://mcp.example.com", false},
}

// Whatever is asked for and however, a Host that is not the server's and an
// Origin that nobody allowed come no further. The claim's page has an origin of
// its own: only the server's own pages may send to it.
func TestR28_MatrixOfHostOriginMethodAndPath(t *testing.T) {
	h := serveClaims(t, "https://mcp.example.com", func(c *server.HTTPConfig) {
		c.AllowedHosts = []string{"mcp.example.com", "ported.example.com:8443", "2001:db8::1", "xn--bcher-kva.example"}
		c.AllowedOrigins = []string{"https://tools.example.com", "https://xn--bcher-kva.example", "https://[2001:db8::5]:9"}
	})
	claim := "/claim/claim_" + strings.Repeat("A", 26)
	paths := []string{"/mcp", "/healthz", "/readyz", "/metrics", "/", "/mcp/../mcp", "/%6dcp", "/.well-known/oauth-protected-resource", claim, "/claim/", "/claim/../mcp", "*"}
	connections := newWire(t, h.url)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "FOO"} {
		for _, path := range paths {
			for _, host := range hostMatrix {
				for _, origin := range originMatrix {
					status, header := connections.ask(method, path, host.host, origin.origin)
					what := fmt.Sprintf("%s %s, Host %q, Origin %q: status %d", method, path, host.host, origin.origin, status)
					refused := !host.own || !origin.allowed
					if strings.HasPrefix(path, "/claim/") {
						// Origins of other sites do not count here, and an address that is no
						// claim's is no page.
						refused = !host.own || origin.origin != "" && path == claim && !isOriginOf(origin.origin, host.host)
					}
					if isHealth(method, path) {
						refused = status == http.StatusBadRequest // net/http knows no such Host
					}
					if got := status == http.StatusForbidden || status == http.StatusBadRequest && !host.own; got != refused {
						t.Errorf("%s, want it refused: %t", what, refused)
					}
					if shared := header.Get("Access-Control-Allow-Origin"); shared != "" && (refused || shared != origin.origin || strings.HasPrefix(path, "/claim/")) {
						t.Errorf("%s, shared with %q", what, shared)
					}
					if header.Get("Mcp-Session-Id") != "" {
						t.Errorf("%s opens a session", what)
					}
				}
			}
		}
	}
	t.Logf("%d requests", connections.asked)
}

// isOriginOf reports whether pages of the claims' server are at origin.
func isOriginOf(origin, host string) bool {
	return origin == "https://mcp.example.com" || origin == "http://"+strings.ToLower(host) ||
		strings.EqualFold(origin, "https://"+host)
}

// wire is a connection on which one request follows the other, and which is
// opened anew where the server ends it.
type wire struct {
	t          testing.TB
	address    string
	connection net.Conn
	reader     *bufio.Reader
	asked      int
}

func newWire(t testing.TB, url string) *wire {
	w := &wire{t: t, address: strings.TrimPrefix(url, "http://")}
	t.Cleanup(w.hangUp)
	return w
}

func (w *wire) hangUp() {
	if w.connection != nil {
		_ = w.connection.Close() // the answers are all that counts
		w.connection = nil
	}
}

func (w *wire) ask(method, path, host, origin string) (int, textproto.MIMEHeader) {
	w.t.Helper()
	w.asked++
	if w.connection == nil {
		connection, err := net.Dial("tcp", w.address)
		if err != nil {
			w.t.Fatal(err)
		}
		w.connection, w.reader = connection, bufio.NewReader(connection)
	}
	request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n", method, path, host)
	if origin != "" {
		request += "Origin: " + origin + "\r\n"
	}
	if err := w.connection.SetDeadline(time.Now().Add(patience)); err != nil {
		w.t.Fatal(err)
	}
	if _, err := io.WriteString(w.connection, request+"\r\n"); err != nil {
		w.t.Fatal(err)
	}
	answer, err := http.ReadResponse(w.reader, &http.Request{Method: method})
	if err != nil {
		w.t.Fatalf("%s %s, Host %q, Origin %q: %v", method, path, host, origin, err)
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		w.t.Fatal(err)
	}
	if answer.Close {
		w.hangUp()
	}
	return answer.StatusCode, textproto.MIMEHeader(answer.Header)
}
