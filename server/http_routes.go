package server

import (
	"net/http"
	"net/url"
	"strings"
)

// Paths beside [MCPPath].
const (
	// healthPath answers whether the server runs, to whoever asks.
	healthPath = "/healthz"
	// helpPath says how to connect, to whoever asks.
	helpPath = "/help"
)

// plainPath is the path of an address without doubled slashes at its beginning and
// without slashes at its end: people and programs put addresses together in every
// way. A path with an encoded slash in it is left as it is.
func plainPath(u *url.URL) string {
	if u.RawPath != "" {
		return u.Path
	}
	return "/" + strings.Trim(u.Path, "/")
}

func isRead(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// answerHealth answers probes. They hold no data, and so no Host and no Origin is
// asked for.
func answerHealth(ready http.Handler) guard {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			path := plainPath(r.URL)
			switch {
			case path == readyPath && isRead(r):
				ready.ServeHTTP(w, r)
			case path == healthPath && isRead(r):
				writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
}

// route finds paths, and redirects nobody: a client would be sent elsewhere with
// its token.
func route(endpoint http.Handler, connecting howToConnect) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := plainPath(r.URL)
		switch {
		case path == MCPPath:
			endpoint.ServeHTTP(w, r)
		case path == helpPath && isRead(r):
			connecting.writeHelp(w, r)
		case isSignIn(path):
			connecting.refuseSignIn(w, r)
		default:
			writeProblem(w, http.StatusNotFound, "not_found", "there is nothing here; the MCP endpoint is "+MCPPath)
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
