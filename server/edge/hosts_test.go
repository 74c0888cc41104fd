package edge

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func allowsHost(allowed []string, header string) (bool, error) {
	hosts, err := ParseHosts(allowed)
	return hosts.Allows(header), err
}

func originGuard(allowed []string, next http.Handler) (http.Handler, error) {
	origins, err := ParseOrigins(allowed)
	if err != nil {
		return nil, err
	}
	return origins.Guard(next), nil
}

var allowedHosts = []string{"mcp.example.com", "Ported.Example.COM:8443", "192.0.2.1", "2001:db8::1", "[2001:db8::2]", "[2001:db8::3]:9000", "xn--bcher-kva.example", "kelvin.example"}

var hostCases = map[string]bool{
	"localhost": true, "localhost:1": true, "LOCALHOST:8765": true, "127.0.0.1": true, "127.0.0.1:65535": true,
	"127.1.2.3": true, "[::1]": true, "[::1]:8765": true, "[0:0:0:0:0:0:0:1]": true, "[::ffff:127.0.0.1]:1": true,
	"mcp.example.com": true, "mcp.example.com:443": true, "MCP.Example.Com": true,
	"ported.example.com:8443": true, "192.0.2.1": true, "192.0.2.1:80": true,
	"[2001:db8::1]": true, "[2001:db8::1]:443": true, "[2001:0DB8:0::1]:443": true,
	"[2001:db8::2]": true, "[2001:db8::2]:443": true, "[2001:db8::3]:9000": true,
	"xn--bcher-kva.example": true, "XN--Bcher-KVA.example:443": true,

	"": false, "evil.example": false, "evil.example:8765": false, "localhost.": false, "localhost.evil.example": false,
	"evil-localhost": false, "127.0.0.1.evil.example": false, "127.0.0.1.": false, "127.1": false, "2130706433": false,
	"0x7f.0.0.1": false, "0177.0.0.1": false, "0.0.0.0": false, "[::]": false, "[::1%25lo]": false, "[fe80::1]": false,
	"mcp.example.com.": false, "www.mcp.example.com": false, "mcp.example.com.evil.example": false, "xmcp.example.com": false,
	"ported.example.com": false, "ported.example.com:8444": false, "[2001:db8::3]": false, "[2001:db8::3]:9001": false,
	"localhost]": false, "[localhost]": false, "localhost:": false, "localhost:evil.example": false, "localhost:80:80": false,
	"user@localhost": false, "localhost/x": false, "localhost?x": false, "localhost#x": false, "localhost,evil.example": false,
	"xn--bcher-\u212ava.example": false,
	" localhost":                 false, "localhost ": false, "local host": false, "localhost\x00": false,
	"::1": false, "::1:8765": false, "0:0:0:0:0:0:0:1": false, "::ffff:127.0.0.1": false, "2001:db8::1": false, "2001:db8::1:443": false,
	"[::1": false, "[::1]x": false, "[::1]:": false, "[::1]]": false, "[::1]:x": false, "[[::1]]": false, "[127.0.0.1]": false, "[::1%lo]": false,
	"localhost:+80": false, "localhost:65536": false, "localhost:-1": false, "localhost: 80": false,
	"localho\u017ft": false, "\u212aelvin.example": false, "KELVIN.example": true, "\u212aELVIN.example:443": false,
	"bücher.example": false, "ｌocalhost": false, "localhost\u200b": false, "%6cocalhost": false,
}

func TestR28_Hosts(t *testing.T) {
	for host, want := range hostCases {
		got, err := allowsHost(allowedHosts, host)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("Host %q: %t, want %t", host, got, want)
		}
	}
	for _, entry := range []string{"", " ", "*", "*.example.com", "http://mcp.example.com", "mcp.example.com/", "user@mcp.example.com", "a b", "bücher.example", "mcp.example.com:x", "mcp.example.com:", "2001:db8::1:443:x", "\u212aelvin.example"} {
		if _, err := allowsHost([]string{entry}, "localhost"); err == nil || !strings.Contains(err.Error(), "is not a host: write") {
			t.Errorf("allowed host %q: %v", entry, err)
		}
	}
}

func TestR28_Origins(t *testing.T) {
	passed := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	guard, err := originGuard([]string{"https://tools.example.com", "http://localhost:3000/", "HTTPS://Upper.Example.com:443", "https://[2001:DB8::1]:9", "https://xn--bcher-kva.example", "https://kelvin.example"}, passed)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		origins []string
		want    bool
	}{
		{nil, true},
		{[]string{"https://tools.example.com"}, true},
		{[]string{"HTTPS://TOOLS.example.com"}, true},
		{[]string{"http://localhost:3000"}, true},
		{[]string{"https://upper.example.com"}, true},
		{[]string{"https://[2001:db8::1]:9"}, true},
		{[]string{"https://xn--bcher-kva.example"}, true},
		{[]string{"https://Kelvin.example"}, true},
		{[]string{"https://\u212aelvin.example"}, false},
		{[]string{"http\u017f://kelvin.example"}, false},
		{[]string{""}, false},
		{[]string{"null"}, false},
		{[]string{"*"}, false},
		{[]string{"http://tools.example.com"}, false},
		{[]string{"https://tools.example.com."}, false},
		{[]string{"https://tools.example.com:444"}, false},
		{[]string{"https://tools.example.com:443"}, false},
		{[]string{"https://tools.example.com/"}, false},
		{[]string{"https://tools.example.com.evil.example"}, false},
		{[]string{"https://eviltools.example.com"}, false},
		{[]string{"https://evil.example/https://tools.example.com"}, false},
		{[]string{"https://tools.example.com@evil.example"}, false},
		{[]string{"http://localhost"}, false},
		{[]string{"http://localhost:3001"}, false},
		{[]string{"http://127.0.0.1:3000"}, false},
		{[]string{"https://bücher.example"}, false},
		{[]string{"https://xn--bcher-\u212ava.example"}, false},
		{[]string{"file://"}, false},
		{[]string{"chrome-extension://tools.example.com"}, false},
		{[]string{"https://tools.example.com https://evil.example"}, false},
		{[]string{"https://tools.example.com, https://evil.example"}, false},
		{[]string{"https://tools.example.com", "https://evil.example"}, false},
		{[]string{"https://tools.example.com", "https://tools.example.com"}, false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "http://localhost/mcp", nil)
		for _, origin := range c.origins {
			r.Header.Add("Origin", origin)
		}
		recorder := httptest.NewRecorder()
		guard.ServeHTTP(recorder, r)
		if got := recorder.Code == http.StatusTeapot; got != c.want {
			t.Errorf("Origin %q: status %d, want it to pass: %t", c.origins, recorder.Code, c.want)
		}
	}
	for _, entry := range []string{"", "*", "tools.example.com", "https://", "https://*.example.com", "://x", "1app://x", "app://", "app://a/b", "app://u@x", "app://a b", "app:x", "https://tools.example.com/x", "https://u@tools.example.com", "https://tools.example.com?x", "https://tools.example.com?", "https://bücher.example", "https://::1", "https://\u212aelvin.example", "http\u017f://tools.example.com"} {
		if _, err := originGuard([]string{entry}, passed); err == nil || !strings.Contains(err.Error(), "is not an origin: write") {
			t.Errorf("allowed origin %q: %v", entry, err)
		}
	}
}
