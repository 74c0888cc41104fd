package server

import (
	"io"
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
func route(endpoint http.Handler, header tokenHeader) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := plainPath(r.URL)
		switch {
		case path == MCPPath:
			endpoint.ServeHTTP(w, r)
		case path == helpPath && isRead(r):
			writeHelp(w, header)
		case isSignIn(path):
			refuseSignIn(w, header)
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

// refuseSignIn answers a client that looks for an authorization server. There is
// none, since tokens are made in kenbun. The answer is an error of OAuth (RFC 6749,
// section 5.2), whose text clients show.
func refuseSignIn(w http.ResponseWriter, header tokenHeader) {
	noteReason(w, refusedSignIn, "")
	sendProblem(w, http.StatusNotFound, problem{Error: "invalid_request", Description: header.needed(), Reason: refusedSignIn})
}

// writeHelp says how to connect, in plain text.
func writeHelp(w http.ResponseWriter, header tokenHeader) {
	value := "Bearer YOUR_TOKEN"
	if header != "" && header != "Authorization" {
		value = "YOUR_TOKEN"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = io.WriteString(w, strings.NewReplacer("{path}", MCPPath, "{header}", header.name(), "{value}", value).Replace(help)) // a client that is gone needs none
}

const help = `This is a kenbun-mcp server. It acts in kenbun as you, with a token that your client sends.

1. Create a personal access token in kenbun, under Settings > Integrations > Personal Tokens.
   If your operator gave you a key of this server (it begins with kms_), use that in its place.
2. Keep it in a variable or a secret store, not in a file that you share.
3. Have your client send it with every request to {path}, in this header:

     {header}: {value}

   Claude Code:  claude mcp add --transport http kenbun https://SERVER{path} --header '{header}: {value}'
   mcp-remote:   npx mcp-remote https://SERVER{path} --header '{header}: {value}'
   Cursor, VS Code and others: "headers" in the configuration of the server

There is no sign-in page: a client that offers to sign in has not sent the header.
An answer with 401 has a "reason" that says what is wrong with the token or the header, and a
"request_id" under which the operator finds the request in the log.

https://github.com/kenbun/kenbun-mcp/blob/main/docs/clients.md
`
