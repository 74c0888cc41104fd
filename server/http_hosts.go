package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/kenbun/kenbun-mcp/internal/ascii"
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
// is one: an IPv6 address in brackets, an IPv4 address or a name in ASCII, with
// or without a port.
func parseHost(s string) (hostPort, bool) {
	name, port := s, ""
	if rest, bracketed := strings.CutPrefix(s, "["); bracketed {
		address, after, closed := strings.Cut(rest, "]")
		addr, err := netip.ParseAddr(address)
		if !closed || err != nil || !addr.Is6() || addr.Zone() != "" {
			return hostPort{}, false
		}
		name, port = addr.String(), after // an IPv6 address can be written in many ways
	} else {
		if i := strings.IndexByte(s, ':'); i >= 0 {
			name, port = s[:i], s[i:]
		}
		if name = ascii.Lower(name); !isHostName(name) {
			return hostPort{}, false
		}
	}
	if port == "" {
		return hostPort{name: name}, true
	}
	digits, hasColon := strings.CutPrefix(port, ":")
	if _, err := strconv.ParseUint(digits, 10, 16); !hasColon || err != nil {
		return hostPort{}, false
	}
	return hostPort{name: name, port: digits}, true
}

// isHostName reports whether a text in lower case can be a name, or an IPv4
// address.
func isHostName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return s != ""
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
		text := strings.TrimSpace(origin)
		if isOpaqueOrigin(text) {
			return nil, errors.New("the origin of files and of sandboxed pages (null) cannot be allowed: any page on the web can have it")
		}
		normal, ok := parseOrigin(text)
		if !ok {
			return nil, fmt.Errorf("%q is not an origin: write scheme and host, such as https://tools.example.com or tauri://localhost; "+
				"a name with other than ASCII letters in the form that begins with xn--", origin)
		}
		list[normal] = true
	}
	return list, nil
}

// isOpaqueOrigin reports whether an origin is that of files and sandboxed pages.
func isOpaqueOrigin(s string) bool {
	return ascii.EqualFold(s, "null") || strings.HasPrefix(ascii.Lower(s), "file:")
}

// parseOrigin brings an origin into the form in which browsers send it (RFC
// 6454, section 6.2; URL Standard, "origin serialization"), and reports whether it
// is one.
func parseOrigin(s string) (string, bool) {
	scheme, rest, found := strings.Cut(s, "://")
	scheme = ascii.Lower(scheme)
	if !found || !isScheme(scheme) {
		return "", false
	}
	rest = strings.TrimSuffix(rest, "/")
	if !isWeb(scheme) {
		return scheme + "://" + rest, isOpaqueHost(rest)
	}
	host, ok := parseHost(rest)
	if !ok {
		return "", false
	}
	if host.port == map[string]string{"https": "443", "http": "80"}[scheme] {
		host.port = ""
	}
	name := host.name
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	if host.port != "" {
		name += ":" + host.port
	}
	return scheme + "://" + name, true
}

func isWeb(scheme string) bool { return scheme == "https" || scheme == "http" }

// isScheme reports whether a text in lower case can be a scheme (RFC 3986, section
// 3.1).
func isScheme(s string) bool {
	return s != "" && s[0] >= 'a' && s[0] <= 'z' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == ""
}

// isOpaqueHost reports whether a text can be the host and the port in an origin
// whose scheme is an application's own (URL Standard, "opaque-host parser").
// Browsers leave its case as it is.
func isOpaqueHost(s string) bool {
	return s != "" && len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"#/<>?@\^`+"`{|}", r)
	})
}

func (l originList) allows(header string) bool {
	scheme, _, _ := strings.Cut(header, "://")
	if isWeb(ascii.Lower(scheme)) {
		header = ascii.Lower(header)
	}
	return l[header]
}

func (l originList) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origins := r.Header.Values("Origin")
		if len(origins) > 1 || (len(origins) == 1 && !l.allows(origins[0])) {
			description := "this server does not answer browsers from that origin; its operator can allow it with --allowed-origin"
			if slices.ContainsFunc(origins, isOpaqueOrigin) {
				description = "this server does not answer pages without an origin of their own, such as files and sandboxed frames, and they cannot be allowed: open the page from a web address"
			}
			writeProblem(w, http.StatusForbidden, "forbidden_origin", description)
			return
		}
		next.ServeHTTP(w, r)
	})
}
