package authority

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddress is where a request comes from: its peer, or if that is a trusted
// proxy, the last address in X-Forwarded-For that is none. Proxies append whom
// they heard from, so that what the client wrote there itself stands before
// that. It is not valid where it cannot be known.
func clientAddress(r *http.Request, proxies []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			break
		}
		before, ok := parseHop(strings.TrimSpace(hop))
		if !ok {
			break // behind what cannot be read nothing is believed
		}
		addr = before
	}
	return addr
}

// parseHop reads an address, to which some proxies add a port.
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
func network(addr netip.Addr) netip.Prefix {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(addr, bits).Masked()
}
