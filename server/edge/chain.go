// Package edge is what stands between the network and an HTTP handler: which hosts
// and origins are answered, from which address a request comes, how many
// connections, requests and bytes there may be, TLS, and the log. It works on
// net/http alone and knows nothing of MCP, tokens or tools.
package edge

import (
	"net/http"
	"slices"
)

// Guard puts a check, or what later ones need to know, before a handler.
type Guard = func(http.Handler) http.Handler

// InOrder puts guards around a handler, the outermost first.
func InOrder(handler http.Handler, guards ...Guard) http.Handler {
	for _, guard := range slices.Backward(guards) {
		handler = guard(handler)
	}
	return handler
}
