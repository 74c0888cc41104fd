package server

import (
	"io"
	"net/http"
	"strings"

	"github.com/kenbun/kenbun-mcp/server/edge"
)

// howToConnect explains what clients of this server have to send.
type howToConnect struct {
	header tokenHeader
	// ownUser reports whether the server acts with its own token, for its own user.
	ownUser bool
}

// refuseSignIn answers a client that looks for an authorization server. There is
// none, since tokens are made in kenbun. The answer is an error of OAuth (RFC 6749,
// section 5.2), whose text clients show.
func (c howToConnect) refuseSignIn(w http.ResponseWriter, r *http.Request) {
	edge.SendProblem(w, http.StatusNotFound, edge.Problem{Error: "invalid_request", Description: c.needed(r), Reason: "no_sign_in"}, "")
}

// needed names what a client has to send, in a text that fits where clients show
// one.
func (c howToConnect) needed(r *http.Request) string {
	switch {
	case c.ownUser && edge.OverUnixSocket(r):
		return "this server needs no token and no key over its unix socket, see " + helpPath
	case c.ownUser:
		return "this server needs its own key in the " + c.header.name() + " header, see " + helpPath
	}
	return c.header.needed()
}

// writeHelp says how to connect, in plain text.
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
	if c.header.name() != "Authorization" {
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
	filled := strings.NewReplacer("{path}", MCPPath, "{header}", c.header.name(), "{value}", value, "{server}", scheme+"SERVER").Replace(text)
	_, _ = io.WriteString(w, filled+moreHelp) // a client that is gone needs none
}

const help = `This is a kenbun-mcp server. It acts in kenbun as you, with a token that your client sends.

1. Create a personal access token in kenbun, under Settings > Integrations > Personal Tokens.
2. Keep it in a variable or a secret store, not in a file that you share.
` + sendHelp

const keyHelp = `This is a kenbun-mcp server. It acts in kenbun with its own token, and serves its own user alone.
Your client proves that it belongs to this user by the key of the server. Send no kenbun token.

1. Read the key, which begins with kms_. It is in a file of the user who runs the server. The server
   names this file when it starts.
2. Keep it in a variable or a secret store, not in a file that you share.
` + sendHelp

const sendHelp = `3. Have your client send it with every request to {path}, in this header:

     {header}: {value}

   Claude Code:  claude mcp add --transport http kenbun {server}{path} --header '{header}: {value}'
   mcp-remote:   npx mcp-remote {server}{path} --header '{header}: {value}'
   Cursor, VS Code and others: "headers" in the configuration of the server

There is no sign-in page: a client that offers to sign in has not sent the header.
`

const socketHelp = `This is a kenbun-mcp server. It acts in kenbun with its own token, and serves its own user alone.

You have reached it over its unix socket, to which only this user can connect. Have your client send
its requests to {path} on this socket, with no token and no key.
`

const moreHelp = `An answer with 401 or 403 has a "reason" that says what is wrong, and a "request_id" under which the
operator finds the request in the log.

https://github.com/kenbun/kenbun-mcp/blob/main/docs/clients.md
`
