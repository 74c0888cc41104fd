package server

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// hostList is the Host headers that are served. A page on the web can make a
// browser connect to a loopback address under a name of its own (DNS
// rebinding), but it cannot make it send another Host.
type hostList map[string]bool

func newHostList(allowed []string) (hostList, error) {
	list := hostList{}
	for _, host := range allowed {
		normal := strings.ToLower(strings.TrimSpace(host))
		if normal == "" || strings.ContainsAny(normal, "/@* ") {
			return nil, fmt.Errorf("%q is not a host: write a name such as mcp.example.com, with or without a port", host)
		}
		list[normal] = true
	}
	return list, nil
}

func (l hostList) allows(host string) bool {
	host = strings.ToLower(host)
	name := host
	if n, _, err := net.SplitHostPort(host); err == nil {
		name = n
	}
	name = strings.Trim(name, "[]")
	return isLoopbackName(name) || l[host] || l[name]
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
		u, err := url.Parse(strings.ToLower(strings.TrimSpace(origin)))
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" ||
			u.User != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("%q is not an origin: write scheme and host, such as https://tools.example.com", origin)
		}
		list[u.Scheme+"://"+u.Host] = true
	}
	return list, nil
}

func (l originList) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origins := r.Header.Values("Origin")
		if len(origins) > 1 || (len(origins) == 1 && !l[strings.ToLower(origins[0])]) {
			writeProblem(w, http.StatusForbidden, "forbidden_origin",
				"this server does not answer browsers from that origin; its operator can allow it with --allowed-origin")
			return
		}
		next.ServeHTTP(w, r)
	})
}
