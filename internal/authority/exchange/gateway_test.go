package exchange

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestN3_AddressOfTheClient(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		shows, peer string
		lines       []string
		want        string
	}{
		{"no proxy", "192.0.2.1:1", nil, "192.0.2.1/32"},
		{"no proxy, a header", "192.0.2.1:1", []string{"198.51.100.1"}, "192.0.2.1/32"},
		{"a proxy without a header", "10.0.0.1:1", nil, "10.0.0.1/32"},
		{"a proxy", "10.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1/32"},
		{"two proxies", "10.0.0.1:1", []string{"203.0.113.9, 198.51.100.1", "10.0.0.2"}, "198.51.100.1/32"},
		{"a proxy that adds ports", "10.0.0.1:1", []string{"198.51.100.1:443"}, "198.51.100.1/32"},
		{"what cannot be read", "10.0.0.1:1", []string{"203.0.113.9, x"}, "10.0.0.1/32"},
		{"half a network", "[2001:db8:1:2:3:4:5:6]:1", nil, "2001:db8:1:2::/64"},
		{"IPv4 in IPv6", "[::ffff:192.0.2.1]:1", nil, "192.0.2.1/32"},
		{"IPv6 behind a proxy", "[fd00::1]:1", []string{"[2001:db8::1]:443"}, "2001:db8::/64"},
	} {
		r := httptest.NewRequest("GET", "/", http.NoBody)
		r.RemoteAddr = c.peer
		r.Header["X-Forwarded-For"] = c.lines
		if got := clientNetwork(r, proxies); got.String() != c.want {
			t.Errorf("%s: %s, want %s", c.shows, got, c.want)
		}
	}
}
