package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

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

	mu sync.Mutex
	// known is when the API accepted the tokens of callers, by their ids. The one
	// that was used least recently makes room.
	known *simplelru.LRU[string, time.Time]
}

// verifyTimeout bounds how long a client waits to be let in while the API does
// not answer.
const verifyTimeout = 10 * time.Second

// acceptedFor is how long it counts in a token's favour that the API accepted
// it. It saves no question.
const acceptedFor = 10 * time.Minute

func newVerifier(api *client.Client, keep time.Duration, maxKnown int) *verifier {
	known, err := simplelru.NewLRU[string, time.Time](maxKnown, nil)
	if err != nil {
		panic(err) // only sizes below one fail
	}
	return &verifier{api: api, identifier: newIdentifier(), keep: keep, known: known}
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
		v.forget(id)
		return errInvalidToken
	default:
		return errCannotVerify
	}
}

// proves reports whether the API knew the token: it let it in, or refused it
// for what its user may do.
func proves(err error) bool { return err == nil || errors.Is(err, client.ErrForbidden) }

func (v *verifier) remembers(id string) bool { return v.acceptedWithin(id, v.keep) }

// acceptedLately reports whether the API accepted the token of the caller id a
// while ago, and has not refused it since.
func (v *verifier) acceptedLately(id string) bool { return v.acceptedWithin(id, acceptedFor) }

func (v *verifier) acceptedWithin(id string, d time.Duration) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	at, ok := v.known.Get(id)
	return ok && time.Since(at) < d
}

func (v *verifier) remember(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known.Add(id, time.Now())
}

func (v *verifier) forget(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known.Remove(id)
}
