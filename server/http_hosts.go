package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"unicode"
)

// hostList is the Host headers that are served. A page on the web can make a
// browser connect to a loopback address under a name of its own (DNS
// rebinding), but it cannot make it send another Host.
type hostList map[hostPort]bool

func newHostList(allowed []string) (hostList, error) {
	list := hostList{}
	for _, host := range allowed {
		text := strings.TrimSpace(host)
		if addr, err := netip.ParseAddr(text); err == nil && addr.Is6() {
			text = "[" + text + "]"
		}
		normal, ok := parseHost(text)
		if !ok {
			return nil, fmt.Errorf("%q is not a host: write a name such as mcp.example.com or an address, with or without a port; "+
				"a name with other than ASCII letters in the form that begins with xn--", host)
		}
		list[normal] = true
	}
	return list, nil
}

func (l hostList) allows(header string) bool {
	host, ok := parseHost(header)
	return ok && (isLoopbackName(host.name) || l[host] || l[hostPort{name: host.name}])
}

// hostPort is a Host header: a name in lower case, or an address without
// brackets. The port may be empty.
type hostPort struct{ name, port string }

// parseHost reads a Host header (RFC 9110, section 7.2) and reports whether it
// is one. An IPv6 address without brackets is not: two readers may take its last
// group for a port or for a part of the address.
func parseHost(s string) (hostPort, bool) {
	u, err := url.Parse("//" + s)
	if err != nil || u.Host != s || strings.HasSuffix(s, ":") || !isASCII(s) {
		return hostPort{}, false
	}
	host := hostPort{name: strings.ToLower(u.Hostname()), port: u.Port()}
	if addr, err := netip.ParseAddr(host.name); err == nil {
		host.name = addr.String() // an IPv6 address can be written in many ways
		return host, addr.Zone() == "" && addr.Is6() == strings.HasPrefix(s, "[")
	}
	for _, r := range host.name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_' {
			return hostPort{}, false
		}
	}
	return host, host.name != ""
}

func (l hostList) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !l.allows(r.Host) {
			writeProblem(w, http.StatusForbidden, "forbidden_host",
				"this server does not answer under that name; its operator can allow it with --allowed-host")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isASCII reports whether s can be compared regardless of case: beyond ASCII,
// letters exist whose lower case is an ASCII letter, such as U+212A.
func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

func isLoopbackName(name string) bool {
	if name == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.Zone() == "" && addr.Unmap().IsLoopback()
}

// originList is the origins from which browsers may call. Clients that are no
// browsers send no Origin and are not concerned.
type originList map[string]bool

func newOriginList(allowed []string) (originList, error) {
	list := originList{}
	for _, origin := range allowed {
		normal, ok := parseOrigin(strings.TrimSpace(origin))
		if !ok {
			return nil, fmt.Errorf("%q is not an origin: write scheme and host, such as https://tools.example.com; "+
				"a name with other than ASCII letters in the form that begins with xn--", origin)
		}
		list[normal] = true
	}
	return list, nil
}

// parseOrigin brings an origin into the form in which browsers send it (RFC
// 6454, section 6.2), and reports whether it is one.
func parseOrigin(s string) (string, bool) {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil ||
		(u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", false
	}
	host, ok := parseHost(u.Host)
	if !ok {
		return "", false
	}
	if host.port == map[string]string{"https": "443", "http": "80"}[u.Scheme] {
		host.port = ""
	}
	name := host.name
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	if host.port != "" {
		name += ":" + host.port
	}
	return u.Scheme + "://" + name, true
}

func (l originList) allows(header string) bool {
	return isASCII(header) && l[strings.ToLower(header)]
}

func (l originList) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origins := r.Header.Values("Origin")
		if len(origins) > 1 || (len(origins) == 1 && !l.allows(origins[0])) {
			writeProblem(w, http.StatusForbidden, "forbidden_origin",
				"this server does not answer browsers from that origin; its operator can allow it with --allowed-origin")
			return
		}
		next.ServeHTTP(w, r)
	})
}
