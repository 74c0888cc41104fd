package server

import (
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/kenbun/kenbun-mcp/internal/human/claims"
	"github.com/kenbun/kenbun-mcp/server/edge"
	"github.com/kenbun/kenbun-mcp/server/identity"
	"github.com/kenbun/kenbun-mcp/server/internal/rpc"
)

// loggedPath returns the path of an address if it is one of the server's own, and
// "other" if it is not.
func loggedPath(u *url.URL) string {
	path := edge.PlainPath(u)
	switch {
	case path == MCPPath, path == edge.HealthPath, path == edge.ReadyPath, path == identity.HelpPath:
		return path
	case strings.HasPrefix(path, claims.Path):
		return claims.Path
	}
	return rpc.OtherName
}

// route serves paths. It never redirects, because a client would send its token
// along.
func route(endpoint http.Handler, connecting howToConnect) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := edge.PlainPath(r.URL)
		switch {
		case path == MCPPath:
			endpoint.ServeHTTP(w, r)
		case path == identity.HelpPath && edge.IsRead(r):
			connecting.writeHelp(w, r)
		case isSignIn(path):
			connecting.refuseSignIn(w, r)
		default:
			edge.WriteProblem(w, http.StatusNotFound, "not_found", "nothing is here; the MCP endpoint is "+MCPPath)
		}
	})
}

// isSignIn reports whether a client is looking for a way to sign in. After a 401 it
// looks for an authorization server under /.well-known/ and then at the usual paths
// on the same host (MCP 2025-03-26, basic/authorization).
func isSignIn(path string) bool {
	switch path {
	case "/register", "/authorize", "/token":
		return true
	}
	return strings.HasPrefix(path, "/.well-known/oauth-") || strings.HasPrefix(path, "/.well-known/openid-configuration") ||
		strings.HasSuffix(path, "/.well-known/openid-configuration")
}

// howToConnect explains what clients of this server have to send.
type howToConnect struct {
	header identity.TokenHeader
	// ownUser is set if the server acts with its own token, for its own user.
	ownUser bool
}

// refuseSignIn answers a client that looks for an authorization server. There is
// none, because tokens are created in kenbun. The answer is an OAuth error (RFC 6749,
// section 5.2), whose text clients show.
func (c howToConnect) refuseSignIn(w http.ResponseWriter, r *http.Request) {
	edge.SendProblem(w, http.StatusNotFound, edge.Problem{Error: "invalid_request", Description: c.needed(r), Reason: "no_sign_in"}, "")
}

// needed says what a client has to send, short enough for where clients show it.
func (c howToConnect) needed(r *http.Request) string {
	switch {
	case c.ownUser && edge.OverUnixSocket(r):
		return "this server needs no token and no key over its unix socket, see " + identity.HelpPath
	case c.ownUser:
		return "this server needs its own key in the " + c.header.Name() + " header, see " + identity.HelpPath
	}
	return c.header.Needed()
}

// writeHelp explains how to connect, in plain text.
func (c howToConnect) writeHelp(w http.ResponseWriter, r *http.Request) {
	scheme, text := "https://", help
	switch {
	case c.ownUser && edge.OverUnixSocket(r):
		text = socketHelp
	case c.ownUser:
		text = keyHelp
		if r.TLS == nil {
			scheme = "http://"
		}
	}
	value := "Bearer {secret}"
	if c.header.Name() != "Authorization" {
		value = "{secret}"
	}
	secret := "YOUR_TOKEN"
	if c.ownUser {
		secret = "YOUR_KEY"
	}
	value = strings.ReplaceAll(value, "{secret}", secret)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	filled := strings.NewReplacer("{path}", MCPPath, "{header}", c.header.Name(), "{value}", value, "{server}", scheme+"SERVER").Replace(text)
	_, _ = io.WriteString(w, filled+moreHelp) // a client that is gone needs none
}

const help = `This is a kenbun-mcp server. It acts in kenbun as you, with a token that your client sends.

1. Create a personal access token in kenbun, under Settings > Integrations > Personal Tokens.
2. Keep it in a variable or a secret store, not in a file that you share.
` + sendHelp

const keyHelp = `This is a kenbun-mcp server. It acts in kenbun with its own token, and only serves its own user.
Your client proves with the server's key that it belongs to this user. Do not send a kenbun token.

1. Read the key, which begins with kms_. It is in a file of the user who runs the server. The server
   shows the path of this file when it starts.
2. Keep it in a variable or a secret store, not in a file that you share.
` + sendHelp

const sendHelp = `3. Configure your client to send it with every request to {path}, in this header:

     {header}: {value}

   Claude Code:  claude mcp add --transport http kenbun {server}{path} --header '{header}: {value}'
   mcp-remote:   npx mcp-remote {server}{path} --header '{header}: {value}'
   Cursor, VS Code and others: "headers" in the configuration of the server

There is no sign-in page: a client that offers to sign in has not sent the header.
`

const socketHelp = `This is a kenbun-mcp server. It acts in kenbun with its own token, and only serves its own user.

You have reached it over its unix socket, to which only this user can connect. Configure your client
to send its requests to {path} on this socket, without a token or a key.
`

const moreHelp = `An answer with 401 or 403 has a "reason" that says what is wrong, and a "request_id" with which the
operator can find the request in the log.

https://github.com/kenbun/kenbun-mcp/blob/main/docs/clients.md
`
