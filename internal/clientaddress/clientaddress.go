// Package clientaddress finds out from which address a request comes, also
// behind proxies.
package clientaddress

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Of returns the address of the client of a request from peer: peer itself or, if
// that is a proxy, the last address in X-Forwarded-For that is not. Proxies append
// the address that they were called from, so anything that a client wrote itself
// comes before that. An unreadable address ends the search.
func Of(peer netip.Addr, header http.Header, isProxy func(netip.Addr) bool) netip.Addr {
	for _, line := range slices.Backward(header.Values("X-Forwarded-For")) {
		for more := true; more; {
			if !isProxy(peer) {
				return peer
			}
			var hop string
			if i := strings.LastIndexByte(line, ','); i >= 0 {
				line, hop = line[:i], line[i+1:]
			} else {
				hop, more = line, false
			}
			before, ok := parseHop(strings.Trim(hop, " \t"))
			if !ok {
				return peer
			}
			peer = before
		}
	}
	return peer
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

// Network returns the part of an address that one customer of a provider cannot
// change: an IPv4 address, or the first half of an IPv6 address.
func Network(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(addr, bits).Masked()
}
