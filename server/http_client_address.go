package server

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ParseProxies reads the networks of proxies that are trusted to say for whom
// they stand: addresses, or networks such as 10.0.0.0/8. It refuses a network of
// all addresses, since everybody could then be anybody.
func ParseProxies(networks []string) ([]netip.Prefix, error) {
	var proxies []netip.Prefix
	for _, text := range networks {
		proxy, err := netip.ParsePrefix(text)
		if addr, isAddr := netip.ParseAddr(text); isAddr == nil && addr.Zone() == "" {
			proxy, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		switch {
		case err != nil || proxy.Addr().Is4In6():
			return nil, fmt.Errorf("%q is not a network: write one such as 10.0.0.0/8 or 2001:db8::/32, or an address", text)
		case proxy.Bits() == 0:
			return nil, fmt.Errorf("%q is every address: whoever connects could pass for anybody; name the network of the proxies", text)
		}
		proxies = append(proxies, proxy.Masked())
	}
	return proxies, nil
}

func isProxy(proxies []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

type clientAddressKey struct{}

// proxies are peers that are trusted to name their clients.
type proxies struct {
	networks []netip.Prefix
	// onSocket trusts whoever can connect to a unix socket.
	onSocket bool
}

// noteClientAddress finds out from which address each request comes.
func noteClientAddress(proxies proxies) guard {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			addr := forwardedFrom(r, proxies)
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), clientAddressKey{}, addr)))
		})
	}
}

// clientAddress is where the request of ctx comes from. It is not valid where
// that is not known.
func clientAddress(ctx context.Context) netip.Addr {
	addr, _ := ctx.Value(clientAddressKey{}).(netip.Addr)
	return addr
}

// forwardedFrom is the address of the client of r: that of its peer, or of the
// last one in X-Forwarded-For that is no trusted proxy, if the peer is one.
// Proxies append whom they heard from, so that what a client wrote there itself
// stands before that. Behind what cannot be read nothing is believed.
func forwardedFrom(r *http.Request, proxies proxies) netip.Addr {
	var addr netip.Addr // that of a unix socket
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		addr = peer.Addr().Unmap().WithZone("")
	} else if !proxies.onSocket || !overUnixSocket(r) {
		return netip.Addr{}
	}
	for _, line := range slices.Backward(r.Header.Values("X-Forwarded-For")) {
		for more := true; more; {
			if addr.IsValid() && !isProxy(proxies.networks, addr) {
				return addr
			}
			var hop string
			if i := strings.LastIndexByte(line, ','); i >= 0 {
				line, hop = line[:i], line[i+1:]
			} else {
				hop, more = line, false
			}
			before, ok := parseHop(strings.Trim(hop, " \t"))
			if !ok {
				return addr
			}
			addr = before
		}
	}
	return addr
}

// parseHop reads an address of X-Forwarded-For, to which some proxies add a port.
func parseHop(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = withPort.Addr()
	}
	return addr.Unmap(), addr.Zone() == ""
}

// network is as much of an address as one customer of a provider cannot change:
// an IPv4 address, or the first half of an IPv6 address.
func network(addr netip.Addr) string {
	addr = addr.Unmap()
	if !addr.Is6() {
		return addr.String()
	}
	prefix, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return addr.String()
	}
	return prefix.String()
}
