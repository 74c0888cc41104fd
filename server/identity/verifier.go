package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/server/edge"
	"github.com/kenbun/kenbun-mcp/tools"
)

const (
	// verifiedFor is how long a token that the API accepted is not checked again.
	verifiedFor = 30 * time.Second
	// acceptedFor is how long the body of a request is read, after the API accepted
	// its token, before the API is asked again. It does not replace a check.
	acceptedFor = 10 * time.Minute
	// maxAcceptedTokens bounds how many tokens are remembered.
	maxAcceptedTokens = 20_000
	// verifyTimeout bounds how long a request waits while the API does not answer.
	verifyTimeout = 10 * time.Second
	// meTimeout bounds how long a large body waits until the API names its user.
	meTimeout = time.Second
	// meAgain is how long the API is not asked again for a user that it did not name,
	// so that a busy API does not get one more request for each body.
	meAgain = 5 * time.Second
)

// Verifier accepts the requests whose token the API accepts, and answers 401 to all
// others. It remembers a token that was accepted by a hash under a key, never by
// the token itself. It does not remember one that was refused.
type Verifier struct {
	api        *client.Client
	header     TokenHeader
	identifier identifier
	accepted   *acceptedTokens
	guesses    *guesses
	log        *slog.Logger
	// keep and lately are verifiedFor and acceptedFor outside of tests.
	keep, lately time.Duration
	// asking lets requests with one token share a question to the API.
	asking singleflight.Group
}

// VerifierConfig is what a [Verifier] is made from.
type VerifierConfig struct {
	// API checks the tokens.
	API *client.Client
	// Header is where a request has its token.
	Header TokenHeader
	// Key is the key under which callers are named. Nil: a random one.
	Key []byte
	// CountGuesses limits the tokens that the API refuses, by the address that they
	// come from.
	CountGuesses bool
	// AcceptedFor is how long a token that was accepted counts as accepted lately.
	// Zero: ten minutes.
	AcceptedFor time.Duration
	Metrics     edge.Metrics
	Logger      *slog.Logger
}

// NewVerifier returns a Verifier that remembers nothing yet.
func NewVerifier(config VerifierConfig) *Verifier {
	v := &Verifier{
		api: config.API, header: config.Header, log: config.Logger, identifier: newIdentifier(),
		accepted: newAcceptedTokens(maxAcceptedTokens), keep: verifiedFor, lately: acceptedFor,
	}
	if config.Key != nil {
		v.identifier = identifier{config.Key}
	}
	if config.AcceptedFor != 0 {
		v.lately = config.AcceptedFor
	}
	if config.CountGuesses {
		v.guesses = newGuesses(config.Metrics)
	}
	return v
}

// Caller returns the caller with a credential, whether it works or not.
func (v *Verifier) Caller(credential client.Credential) tools.Caller {
	return tools.Caller{
		API:         v.api.As(credential),
		With:        withToken(v.api, credential),
		ID:          v.identifier.id(credential),
		TokenPrefix: credential.PAT.Prefix(),
		TokenSource: "the request",
	}
}

// Recognize finds the caller of a request by its token, and has the API check the
// token unless it was accepted lately. It stands before the body is read. A new
// token has to wait while its network guesses too much.
func (v *Verifier) Recognize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		credential, err := v.header.credential(r)
		if err != nil {
			challenge(w, err)
			return
		}
		caller := v.Caller(credential)
		began := time.Now()
		if !v.AcceptedLately(caller.ID) {
			leave := func() {}
			if !v.accepted.has(caller.ID) {
				var wait time.Duration
				if leave, wait = v.guesses.enter(r.Context(), edge.ClientNetwork(r.Context())); wait > 0 {
					v.guesses.holdBack(w, wait)
					return
				}
			}
			err := v.verify(r.Context(), credential, caller.ID)
			leave()
			if err != nil {
				challenge(w, err)
				return
			}
		}
		edge.Trust(r.Context())
		ctx := tools.WithWaited(r.Context(), time.Since(began))
		next.ServeHTTP(w, r.WithContext(WithCaller(ctx, caller)))
	})
}

// Verify has the API check a token again that was accepted lately. It stands behind
// [Verifier.Recognize]. A request for which checksItself returns true is left to
// the call that it makes: the API checks the token for the very thing that it does.
func (v *Verifier) Verify(checksItself func(*http.Request) bool) edge.Guard {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			caller, _ := CallerFrom(r.Context())
			credential, _ := v.header.credential(r) // Recognize has seen it
			if checksItself(r) {
				caller.API = v.observed(r.Context(), credential, caller.ID)
				next.ServeHTTP(w, r.WithContext(WithCaller(r.Context(), caller)))
				return
			}
			if err := v.verify(r.Context(), credential, caller.ID); err != nil {
				challenge(w, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// verify returns nil if the API accepts the token, errInvalidToken if it does not,
// and another *authError if it cannot be asked.
func (v *Verifier) verify(ctx context.Context, credential client.Credential, id string) error {
	if v.accepted.within(id, v.keep) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	err := tools.CheckToken(ctx, v.observed(ctx, credential, id))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, client.ErrUnauthenticated):
		return errInvalidToken
	default:
		e := cannotVerify(err)
		v.log.Info("a token could not be verified", "request_id", tools.RequestID(ctx), "caller", id, "status", e.status, "reason", e.cause, "cause", err)
		return e
	}
}

// observed returns the API for one request of a caller. This is the one place where
// refused tokens are counted, whatever is asked of the API. Each request counts
// once at most.
func (v *Verifier) observed(ctx context.Context, credential client.Credential, id string) *client.Caller {
	from := edge.ClientNetwork(ctx)
	var works atomic.Bool
	accepted := sync.OnceFunc(func() {
		works.Store(true)
		v.accepted.add(id)
	})
	refused := sync.OnceFunc(func() {
		v.accepted.remove(id)
		v.guesses.count(from)
	})
	return v.api.As(credential).Observed(func(seen client.Observation) {
		switch seen.Token {
		case client.TokenAccepted:
			accepted()
		case client.TokenRefused:
			refused()
		case client.TokenDoubted:
			if !works.Load() {
				v.accepted.doubt(id)
			}
		}
	})
}

// cannotVerify returns why the API cannot be asked. The client is invited to come
// back only if that may pass by itself.
func cannotVerify(err error) *authError {
	var api *client.Error
	if !errors.As(err, &api) {
		return errCannotVerify
	}
	e := *errCannotVerify
	e.cause = api.Cause
	if api.MayPass() {
		if api.RetryAfter > 0 {
			e.retryAfter = edge.Seconds(api.RetryAfter)
		}
		return &e
	}
	e.retryAfter = ""
	e.description = fmt.Sprintf("the token cannot be checked with kenbun, and trying again does not help: the operator of this server has to fix it (%s)", api.Cause)
	return &e
}

// User names the user of a request, whichever of their tokens it has. Where the API
// does not name users, each token counts as one. The API is asked once for each
// token that is remembered, and again later if it gave no answer of its own.
func (v *Verifier) User(r *http.Request) string {
	caller, _ := CallerFrom(r.Context())
	return v.user(r.Context(), caller)
}

func (v *Verifier) user(ctx context.Context, caller tools.Caller) string {
	user, ask := v.accepted.userOf(caller.ID)
	if ask {
		answer, _, _ := v.asking.Do(caller.ID, func() (any, error) { return v.askUser(context.WithoutCancel(ctx), caller), nil })
		user = answer.(string)
	}
	if user == "" {
		return caller.ID
	}
	return user
}

// askUser returns "" if the API does not answer.
func (v *Verifier) askUser(ctx context.Context, caller tools.Caller) (user string) {
	ctx, cancel := context.WithTimeout(ctx, meTimeout)
	defer cancel()
	me, err := caller.API.Me(client.Once(ctx))
	switch {
	case err == nil && me.UserID != "":
		user = v.identifier.name("user", me.UserID)
	case err == nil && me.OrgMemberID != "":
		user = v.identifier.name("member", me.OrgMemberID)
	case err == nil, errors.Is(err, client.ErrForbidden), errors.Is(err, client.ErrUnauthenticated), errors.Is(err, client.ErrNotFound):
		user = caller.ID
	}
	v.accepted.setUser(caller.ID, user, time.Now().Add(meAgain))
	return user
}

// AcceptedLately reports whether the API accepted the token of a caller a while
// ago, and has not refused it since.
func (v *Verifier) AcceptedLately(id string) bool { return v.accepted.within(id, v.lately) }
