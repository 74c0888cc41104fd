package server

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

// Credentials is where the server's own token comes from. It is asked at each
// call, so that a token that changed counts at once.
type Credentials interface {
	// Credential returns the token and, in words for a person, where it came
	// from. Its error says what is wrong with that place and holds no token;
	// tools.ErrNotConnected is in its chain where there is no token at all and
	// the person could give one.
	Credential(ctx context.Context) (credential client.Credential, source string, err error)
}

// identifier names credentials without giving them away: by a hash under a key
// that lives as long as the process.
type identifier struct{ key []byte }

func newIdentifier() identifier {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: crypto/rand.Read ends the process instead
	return identifier{key}
}

// callerIDLength is that of the ids of an identifier: callerIDBytes in base64
// without padding.
const (
	callerIDBytes  = 16
	callerIDLength = (callerIDBytes*8 + 5) / 6
)

func (i identifier) id(credential client.Credential) string {
	mac := hmac.New(sha256.New, i.key)
	mac.Write([]byte(credential.PAT.Reveal()))
	mac.Write([]byte{0})
	mac.Write([]byte(credential.Session.Reveal()))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:callerIDBytes])
}

// name names something else than a credential, in the form of an id.
func (i identifier) name(kind, what string) string {
	mac := hmac.New(sha256.New, i.key)
	mac.Write([]byte(kind + "\x00" + what + "\x00\x00"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:callerIDBytes])
}

// ownCallers runs every call as the server's own token.
type ownCallers struct {
	api         *client.Client
	credentials Credentials
	identifier  identifier
}

// OwnCallers runs every call with the one token that credentials gives: for
// stdio, where the server is the user's own process, and for HTTP on loopback
// with the server's identity.
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

// withToken shows the API with another personal access token of the same user.
func withToken(api *client.Client, credential client.Credential) func(client.Secret) tools.API {
	return func(pat client.Secret) tools.API {
		return api.As(client.Credential{PAT: pat, Session: credential.Session})
	}
}

type callerKey struct{}

// withCaller says as whom what happens under ctx runs.
func withCaller(ctx context.Context, caller tools.Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

func callerFrom(ctx context.Context) (tools.Caller, bool) {
	caller, ok := ctx.Value(callerKey{}).(tools.Caller)
	return caller, ok
}

// callerID returns the id of the caller of ctx, empty if there is none.
func callerID(ctx context.Context) string {
	caller, _ := callerFrom(ctx)
	return caller.ID
}

// requestCallers runs each call as the user whose token came with the HTTP
// request. It has no token of its own to fall back on.
type requestCallers struct{}

// RequestCallers runs each call as the user whose token came with the request.
func RequestCallers() tools.Callers { return requestCallers{} }

func (requestCallers) Caller(ctx context.Context) (tools.Caller, error) {
	caller, ok := callerFrom(ctx)
	if !ok {
		return tools.Caller{}, errors.New("a call came through without its request's identity")
	}
	return caller, nil
}
