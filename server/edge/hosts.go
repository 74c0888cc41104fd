package edge

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/kenbun/kenbun-mcp/internal/ascii"
)

// Hosts are the Host headers that are served. A page on the web can make a
// browser connect to a loopback address under a name of its own (DNS
// rebinding), but it cannot make it send another Host.
type Hosts map[Host]bool

// ParseHosts reads names and addresses, with a port or for every port. Loopback
// names are always served.
func ParseHosts(allowed []string) (Hosts, error) {
	list := Hosts{}
	for _, host := range allowed {
		text := strings.TrimSpace(host)
		if addr, err := netip.ParseAddr(text); err == nil && addr.Is6() {
			text = "[" + text + "]"
		}
		normal, ok := ParseHost(text)
		if !ok {
			return nil, fmt.Errorf("%q is not a host: write a name such as mcp.example.com or an address, with or without a port; "+
				"write a name with other than ASCII letters in its xn-- form", host)
		}
		list[normal] = true
	}
	return list, nil
}

// Allows reports whether a Host header is served.
func (l Hosts) Allows(header string) bool {
	host, ok := ParseHost(header)
	return ok && (IsLoopbackName(host.Name) || l[host] || l[Host{Name: host.Name}])
}

// Host is a Host header: a name in lower case, or an address without brackets. The
// port may be empty.
type Host struct{ Name, Port string }

// ParseHost reads a Host header (RFC 9110, section 7.2) and reports whether it is
// one: an IPv6 address in brackets, an IPv4 address or a name in ASCII, with or
// without a port.
func ParseHost(s string) (Host, bool) {
	name, port := s, ""
	if rest, bracketed := strings.CutPrefix(s, "["); bracketed {
		address, after, closed := strings.Cut(rest, "]")
		addr, err := netip.ParseAddr(address)
		if !closed || err != nil || !addr.Is6() || addr.Zone() != "" {
			return Host{}, false
		}
		name, port = addr.String(), after // an IPv6 address can be written in many ways
	} else {
		if i := strings.IndexByte(s, ':'); i >= 0 {
			name, port = s[:i], s[i:]
		}
		if name = ascii.Lower(name); !isHostName(name) {
			return Host{}, false
		}
	}
	if port == "" {
		return Host{Name: name}, true
	}
	digits, hasColon := strings.CutPrefix(port, ":")
	if _, err := strconv.ParseUint(digits, 10, 16); !hasColon || err != nil {
		return Host{}, false
	}
	return Host{Name: name, Port: digits}, true
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

// Guard refuses requests under other names.
func (l Hosts) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !l.Allows(r.Host) {
			WriteProblem(w, http.StatusForbidden, "forbidden_host",
				"this server does not answer under this name; its operator can allow it with --allowed-host")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// IsLoopbackName reports whether a name in lower case, or an address, is that of
// the machine itself.
func IsLoopbackName(name string) bool {
	if name == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.Zone() == "" && addr.Unmap().IsLoopback()
}
