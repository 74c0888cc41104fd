package server

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/kenbun/kenbun-mcp/internal/human/claims"
	"github.com/kenbun/kenbun-mcp/server/edge"
)

// helpPath shows how to connect. It needs no token.
const helpPath = "/help"

// loggedPath returns the path of an address if it is one of the server's own, and
// "other" if it is not.
func loggedPath(u *url.URL) string {
	path := edge.PlainPath(u)
	switch {
	case path == MCPPath, path == edge.HealthPath, path == edge.ReadyPath, path == helpPath:
		return path
	case strings.HasPrefix(path, claims.Path):
		return claims.Path
	}
	return otherName
}

// route finds paths, and redirects nobody: a client would be sent elsewhere with
// its token.
func route(endpoint http.Handler, connecting howToConnect) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := edge.PlainPath(r.URL)
		switch {
		case path == MCPPath:
			endpoint.ServeHTTP(w, r)
		case path == helpPath && edge.IsRead(r):
			connecting.writeHelp(w, r)
		case isSignIn(path):
			connecting.refuseSignIn(w, r)
		default:
			edge.WriteProblem(w, http.StatusNotFound, "not_found", "there is nothing here; the MCP endpoint is "+MCPPath)
		}
	})
}

// isSignIn reports whether a client asks for the path to sign in. After a 401 it
// looks for an authorization server under /.well-known/, and where there is none, at
// the usual addresses of one on the same host (MCP 2025-03-26, basic/authorization).
func isSignIn(path string) bool {
	switch path {
	case "/register", "/authorize", "/token":
		return true
	}
	return strings.HasPrefix(path, "/.well-known/oauth-") || strings.HasPrefix(path, "/.well-known/openid-configuration") ||
		strings.HasSuffix(path, "/.well-known/openid-configuration")
}
