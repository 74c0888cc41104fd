package edge

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestParseProxies(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3/8": "10.0.0.0/8", "192.0.2.1": "192.0.2.1/32", "2001:db8::/32": "2001:db8::/32", "::1": "::1/128",
		"": "", "x": "", "10.0.0.0/33": "", "0.0.0.0/0": "", "::/0": "", "::ffff:10.0.0.0/104": "", "fe80::1%eth0": "", "10.0.0.0/8,": "",
	} {
		got, err := ParseProxies([]string{text})
		if (err != nil) != (want == "") || want != "" && got[0].String() != want {
			t.Errorf("%q: %v, %v; want %q", text, got, err, want)
		}
	}
}

func TestA42_ForwardedForIsBelievedFromTrustedProxiesOnly(t *testing.T) {
	proxies, err := ParseProxies([]string{"10.0.0.0/8", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		shows string
		peer  string
		lines []string
		want  string
	}{
		{"no proxy, no header", "192.0.2.1:1", nil, "192.0.2.1"},
		{"no proxy, a header", "192.0.2.1:1", []string{"198.51.100.1"}, "192.0.2.1"},
		{"no proxy, but its address as one", "192.0.2.1:1", []string{"198.51.100.1, 10.0.0.1"}, "192.0.2.1"},
		{"a proxy without a header", "10.0.0.1:1", nil, "10.0.0.1"},
		{"a proxy", "10.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"a proxy, IPv6", "[fd00::1]:1", []string{"2001:db8::7"}, "2001:db8::7"},
		{"a proxy, written as IPv6", "[::ffff:10.0.0.1]:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"what the client wrote stands before", "10.0.0.1:1", []string{"127.0.0.1, 10.9.9.9, 198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.0.0.1:1", []string{"198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"two proxies, a line each", "10.0.0.1:1", []string{"203.0.113.9", "198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		{"two proxies, a spoof in a line of its own", "10.0.0.1:1", []string{"203.0.113.9", "198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"proxies only", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"spaces and tabs", "10.0.0.1:1", []string{" 198.51.100.1\t,  10.0.0.2 "}, "198.51.100.1"},
		{"with a port", "10.0.0.1:1", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"IPv6 with a port", "10.0.0.1:1", []string{"[2001:db8::7]:4711"}, "2001:db8::7"},
		{"IPv6 in brackets", "10.0.0.1:1", []string{"[2001:db8::7]"}, "2001:db8::7"},
		{"a mapped address", "10.0.0.1:1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"a mapped proxy", "10.0.0.1:1", []string{"198.51.100.1, ::ffff:10.0.0.2"}, "198.51.100.1"},
		{"garbage", "10.0.0.1:1", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		{"garbage behind the last good hop", "10.0.0.1:1", []string{"198.51.100.1, x y, 10.0.0.2"}, "10.0.0.2"},
		{"nothing", "10.0.0.1:1", []string{""}, "10.0.0.1"},
		{"nothing at the end", "10.0.0.1:1", []string{"198.51.100.1,"}, "10.0.0.1"},
		{"a zone", "10.0.0.1:1", []string{"fe80::1%eth0"}, "10.0.0.1"},
		{"a name", "10.0.0.1:1", []string{"localhost"}, "10.0.0.1"},
		{"an octal number", "10.0.0.1:1", []string{"0300.0.2.1"}, "10.0.0.1"},
		{"a network", "10.0.0.1:1", []string{"198.51.100.0/24"}, "10.0.0.1"},
		{"16 KiB of commas", "10.0.0.1:1", []string{strings.Repeat(",", 16<<10)}, "10.0.0.1"},
		{"no peer", "", []string{"198.51.100.1"}, "invalid IP"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/mcp", nil)
		r.RemoteAddr = c.peer
		r.Header["X-Forwarded-For"] = c.lines
		for _, other := range []string{"Forwarded", "X-Real-Ip", "X-Forwarded-Host", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip"} {
			r.Header.Set(other, "for=203.0.113.66")
		}
		if got := forwardedFrom(r, proxies).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.shows, got, c.want)
		}
		r.RemoteAddr = "192.0.2.200:1"
		if got := forwardedFrom(r, proxies).String(); got != "192.0.2.200" {
			t.Errorf("%s, from no proxy: %s", c.shows, got)
		}
	}
}

func FuzzForwardedFor(f *testing.F) {
	f.Add("198.51.100.1, 10.0.0.2")
	f.Add("[::1]:1,,,x")
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, line string) {
		r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {line, "192.0.2.7, 10.0.0.2"}}}
		if got := forwardedFrom(r, proxies).String(); got != "192.0.2.7" {
			t.Errorf("what a client wrote makes it %s", got)
		}
		r.Header["X-Forwarded-For"] = []string{line}
		if addr := forwardedFrom(r, proxies); !addr.IsValid() || addr.Zone() != "" || addr.Is4In6() {
			t.Errorf("the address is %v", addr)
		}
	})
}

func forwardedFrom(r *http.Request, networks []netip.Prefix) netip.Addr {
	return Proxies{Networks: networks}.ClientAddress(r)
}
