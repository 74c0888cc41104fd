package edge

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"

	"github.com/kenbun/kenbun-mcp/internal/clientaddress"
)

// ParseProxies reads the networks of trusted proxies: addresses, or networks such
// as 10.0.0.0/8. It refuses a network of all addresses, since everybody could then
// be anybody.
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
			return nil, fmt.Errorf("%q is every address: anyone could then pretend to be any client; name the network of the proxies", text)
		}
		proxies = append(proxies, proxy.Masked())
	}
	return proxies, nil
}

func isProxy(proxies []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

type clientNetworkKey struct{}

// Proxies are the peers whose X-Forwarded-For is believed.
type Proxies struct {
	Networks []netip.Prefix
	// OnSocket trusts everybody who can connect to a unix socket.
	OnSocket bool
}

// Guard finds out from which address each request comes.
func (p Proxies) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), clientNetworkKey{}, network(p.ClientAddress(r)))
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// ClientNetwork returns the network from which the request of ctx comes: an IPv4
// address, or an IPv6 network of 64 bits.
func ClientNetwork(ctx context.Context) string {
	if from, ok := ctx.Value(clientNetworkKey{}).(string); ok {
		return from
	}
	return network(netip.Addr{})
}

// ClientAddress returns the address of the client of r: that of its peer or, if
// the peer is a trusted proxy, the last one in X-Forwarded-For that is not. Proxies
// append the address that they were called from, so anything that a client wrote
// itself comes before that. An unreadable address ends the search.
//
// The address is not valid if it is not known.
func (p Proxies) ClientAddress(r *http.Request) netip.Addr {
	var addr netip.Addr // that of a unix socket
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		addr = peer.Addr().Unmap().WithZone("")
	} else if !p.OnSocket || !OverUnixSocket(r) {
		return netip.Addr{}
	}
	return clientaddress.Of(addr, r.Header, func(hop netip.Addr) bool { return !hop.IsValid() || isProxy(p.Networks, hop) })
}

// network returns the part of an address that one customer of a provider cannot
// change, without "/32" after an IPv4 address.
func network(addr netip.Addr) string {
	if addr = addr.Unmap(); !addr.Is6() {
		return addr.String()
	}
	return clientaddress.Network(addr).String()
}

// OverUnixSocket reports whether r came over a unix socket.
func OverUnixSocket(r *http.Request) bool {
	_, ok := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr)
	return ok
}
