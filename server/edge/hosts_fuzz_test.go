package edge

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// writtenHost is a Host header as RFC 9110 writes it, in ASCII: a name, an IPv4
// address or an IPv6 address in brackets, and a port.
var writtenHost = regexp.MustCompile(`^(?:([0-9A-Za-z._-]+)|\[([0-9A-Fa-f:.]+)\])(?::([0-9]+))?$`)

// hostMayPass reads a Host header without the code under test. Only the hosts of
// the test below are allowed.
func hostMayPass(header string) bool {
	parts := writtenHost.FindStringSubmatch(header)
	if parts == nil {
		return false
	}
	if _, err := strconv.ParseUint(parts[3], 10, 16); parts[3] != "" && err != nil {
		return false
	}
	if parts[2] != "" {
		addr, err := netip.ParseAddr(parts[2])
		return err == nil && addr.Is6() && (addr.Unmap().IsLoopback() || addr == netip.MustParseAddr("2001:db8::1"))
	}
	switch name := strings.ToLower(parts[1]); name {
	case "localhost", "mcp.example.com":
		return true
	case "ported.example.com":
		return parts[3] == "8443"
	default:
		addr, err := netip.ParseAddr(name)
		return err == nil && addr.IsLoopback()
	}
}

// Only a Host and an Origin that were allowed come through, whatever else they
// look like.
func FuzzR28_HostAndOrigin(f *testing.F) {
	for _, host := range []string{
		"localhost", "LOCALHOST:8765", "127.0.0.1:1", "[::1]:8765", "::1:8765", "::1", "[::ffff:127.0.0.1]:1", "[::1%25lo]", "mcp.example.com",
		"ported.example.com:8443", "ported.example.com", "[2001:DB8::1]:443", "localhost.", "loc\u0430lhost", "\u212aenbun", "localhost:", "localhost:80:80", "user@localhost", "localhost:65535", "localhost:65536",
	} {
		f.Add(host, "https://tools.example.com")
	}
	for _, origin := range []string{"", "null", "HTTPS://TOOLS.example.com", "https://tools.example.com:443", "http://localhost:3000", "https://tool\u017f.example.com", "https://tools.example.com/", "https://tools.example.com@evil.example", "A://0A", "tauri://localhost"} {
		f.Add("localhost", origin)
	}
	hosts, err := ParseHosts([]string{"mcp.example.com", "Ported.Example.com:8443", "2001:db8::1"})
	if err != nil {
		f.Fatal(err)
	}
	origins, err := ParseOrigins([]string{"https://tools.example.com", "http://localhost:3000"})
	if err != nil {
		f.Fatal(err)
	}
	guard := hosts.Guard(origins.Guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })))
	f.Fuzz(func(t *testing.T, host, origin string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/mcp", nil)
		r.Host = host
		r.Header["Origin"] = []string{origin}
		recorder := httptest.NewRecorder()
		guard.ServeHTTP(recorder, r)

		wantHost := hostMayPass(host)
		wantOrigin := false
		for _, allowed := range []string{"https://tools.example.com", "http://localhost:3000"} {
			wantOrigin = wantOrigin || (isASCII(origin) && strings.EqualFold(origin, allowed))
		}
		if passed := recorder.Code == http.StatusTeapot; passed != (wantHost && wantOrigin) {
			t.Errorf("Host %q, Origin %q: status %d; the host may pass: %t, the origin: %t", host, origin, recorder.Code, wantHost, wantOrigin)
		}
		if body := recorder.Body.String(); len(body) > 1024 {
			t.Errorf("Host %q, Origin %q: %d bytes of answer", host, origin, len(body))
		}
		// The normal form of an origin is one, and stays as it is. The host in an origin
		// of an application's own keeps its case.
		if normal, ok := ParseOrigin(origin); ok {
			lower := normal
			if scheme, _, _ := strings.Cut(normal, "://"); !isWeb(scheme) {
				lower = scheme
			}
			if again, ok := ParseOrigin(normal); !ok || again != normal || !isASCII(normal) || strings.ToLower(lower) != lower {
				t.Errorf("origin %q became %q, and that %q", origin, normal, again)
			}
		}
	})
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
