package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
)

// verifier asks the API whether it knows a token, and remembers a yes for a
// short while, by the token's hash under a key and never by the token itself.
// A no is not remembered.
type verifier struct {
	api        *client.Client
	identifier identifier
	keep       time.Duration
	max        int

	mu    sync.Mutex
	known map[string]time.Time // caller id to the end of what is remembered
}

// verifyTimeout bounds how long a client waits to be let in while the API does
// not answer.
const verifyTimeout = 10 * time.Second

func newVerifier(api *client.Client, keep time.Duration, maxKnown int) *verifier {
	return &verifier{
		api: api, identifier: newIdentifier(), keep: keep, max: maxKnown,
		known: map[string]time.Time{},
	}
}

func (v *verifier) caller(credential client.Credential) tools.Caller {
	return tools.Caller{
		API:         v.api.As(credential),
		With:        withToken(v.api, credential),
		ID:          v.identifier.id(credential),
		TokenPrefix: credential.PAT.Prefix(),
		TokenSource: "the request",
	}
}

// verify returns nil if the API accepts the token, errInvalidToken if not, and
// errCannotVerify if it cannot be asked: nobody is let in unchecked.
func (v *verifier) verify(ctx context.Context, credential client.Credential, id string) error {
	if v.remembers(id) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	api := v.api.As(credential)
	_, err := api.OrgUnits(ctx)
	if !proves(err) && !errors.Is(err, client.ErrUnavailable) {
		// Not every answer about one endpoint is about the token.
		_, err = api.ListTokens(ctx)
	}
	switch {
	case proves(err):
		v.remember(id)
		return nil
	case errors.Is(err, client.ErrUnauthenticated):
		return errInvalidToken
	default:
		return errCannotVerify
	}
}

// proves reports whether the API knew the token: it let it in, or refused it
// for what its user may do.
func proves(err error) bool { return err == nil || errors.Is(err, client.ErrForbidden) }

func (v *verifier) remembers(id string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return time.Now().Before(v.known[id])
}

func (v *verifier) remember(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	if len(v.known) >= v.max {
		for old, end := range v.known {
			if !now.Before(end) {
				delete(v.known, old)
			}
		}
	}
	// Still full of fresh ones: forget any; it is asked for again.
	for old := range v.known {
		if len(v.known) < v.max {
			break
		}
		delete(v.known, old)
	}
	v.known[id] = now.Add(v.keep)
}
