// Package identity finds out which user an HTTP request comes from: it takes the one
// token out of the request and has the API check it. Refused tokens are counted in
// one place, so that nobody can guess tokens through this server.
package identity

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
)

// Credentials is where the server's own token comes from. It is asked at each call,
// so that a changed token counts at once.
type Credentials interface {
	// Credential returns the token and, in words for the user, where it came from.
	// Its error says what is wrong with that place and holds no token. Its chain has
	// tools.ErrNotConnected if there is no token at all and the user could give one.
	Credential(ctx context.Context) (credential client.Credential, source string, err error)
}

// identifier names credentials without giving them away, by a hash under a key.
type identifier struct{ key []byte }

func newIdentifier() identifier {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: crypto/rand.Read ends the process instead
	return identifier{key}
}

// callerIDBytes is the length of an id, before base64.
const callerIDBytes = 16

func (i identifier) id(credential client.Credential) string {
	mac := hmac.New(sha256.New, i.key)
	mac.Write([]byte(credential.PAT.Reveal()))
	mac.Write([]byte{0})
	mac.Write([]byte(credential.Session.Reveal()))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:callerIDBytes])
}

// name returns an id for something other than a credential.
func (i identifier) name(kind, what string) string {
	mac := hmac.New(sha256.New, i.key)
	mac.Write([]byte(kind + "\x00" + what + "\x00\x00"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:callerIDBytes])
}

type ownCallers struct {
	api         *client.Client
	credentials Credentials
	identifier  identifier
}

// OwnCallers runs every call with the one token that credentials returns: for stdio,
// where the server is the user's own process, and for a server over HTTP that acts
// with its own token.
func OwnCallers(api *client.Client, credentials Credentials) tools.Callers {
	return &ownCallers{api: api, credentials: credentials, identifier: newIdentifier()}
}

func (o *ownCallers) Caller(ctx context.Context) (tools.Caller, error) {
	credential, source, err := o.credentials.Credential(ctx)
	if err != nil {
		return tools.Caller{}, tools.Unauthenticated(err)
	}
	return tools.Caller{
		API:         o.api.As(credential),
		With:        withToken(o.api, credential),
		ID:          o.identifier.id(credential),
		TokenPrefix: credential.PAT.Prefix(),
		TokenSource: source,
	}, nil
}

// withToken returns the API with another personal access token of the same user.
func withToken(api *client.Client, credential client.Credential) func(client.Secret) *client.Caller {
	return func(pat client.Secret) *client.Caller {
		return api.As(client.Credential{PAT: pat, Session: credential.Session})
	}
}

type callerKey struct{}

// WithCaller returns a context whose calls run as caller.
func WithCaller(ctx context.Context, caller tools.Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

// CallerFrom returns the caller of ctx, if there is one.
func CallerFrom(ctx context.Context) (tools.Caller, bool) {
	caller, ok := ctx.Value(callerKey{}).(tools.Caller)
	return caller, ok
}

// CallerID returns the id of the caller of ctx, empty if there is none.
func CallerID(ctx context.Context) string {
	caller, _ := CallerFrom(ctx)
	return caller.ID
}

// requestCallers has no token of its own to fall back on.
type requestCallers struct{}

// RequestCallers runs each call as the user whose token came with the HTTP request.
func RequestCallers() tools.Callers { return requestCallers{} }

func (requestCallers) Caller(ctx context.Context) (tools.Caller, error) {
	caller, ok := CallerFrom(ctx)
	if !ok {
		return tools.Caller{}, errors.New("a call arrived without its request's identity")
	}
	return caller, nil
}
