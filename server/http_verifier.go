package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/server/edge"
	"github.com/kenbun/kenbun-mcp/tools"
)

// verifier asks the API whether it knows a token, and remembers a yes for a
// short while, by the token's hash under a key and never by the token itself.
// A no is not remembered.
type verifier struct {
	api        *client.Client
	identifier identifier
	keep       time.Duration
	accepted   *acceptedTokens
	// lately is how long the body of a token is read after the API accepted it, before
	// the API is asked again. It saves no question.
	lately time.Duration
	// asking has calls with one token that come together share a question to the API.
	asking singleflight.Group
	// log is told why the API cannot be asked.
	log *slog.Logger
}

// verifyTimeout bounds how long a client waits to be let in while the API does
// not answer.
const verifyTimeout = 10 * time.Second

// acceptedFor is the usual time of [verifier.lately].
const acceptedFor = 10 * time.Minute

func newVerifier(api *client.Client, keep time.Duration, maxAccepted int) *verifier {
	return &verifier{api: api, identifier: newIdentifier(), keep: keep, accepted: newAcceptedTokens(maxAccepted), lately: acceptedFor, log: slog.New(slog.DiscardHandler)}
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

// verify returns nil if the API accepts the token, errInvalidToken if not, and a
// cannotVerify if it cannot be asked: nobody is let in unchecked.
func (v *verifier) verify(ctx context.Context, credential client.Credential, id string) error {
	if v.remembers(id) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	err := tools.CheckToken(ctx, v.api.As(credential))
	switch {
	case err == nil:
		v.accepted.add(id)
		return nil
	case errors.Is(err, client.ErrUnauthenticated):
		v.accepted.remove(id)
		return errInvalidToken
	default:
		e := cannotVerify(err)
		v.log.Info("a token could not be verified", "request_id", tools.RequestID(ctx), "caller", id, "status", e.status, "reason", causeOf(err), "cause", err)
		return e
	}
}

// cannotVerify says why the API cannot be asked, by name. Only where that may pass
// by itself is the client told to come back.
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
	e.description = fmt.Sprintf("kenbun cannot be asked about the token, and trying again does not help: the operator of this server has to mend it (%s)", api.Cause)
	return &e
}

// causeOf names why the API could not be asked, "" if nothing is known.
func causeOf(err error) client.Cause {
	var api *client.Error
	if errors.As(err, &api) {
		return api.Cause
	}
	return ""
}

// meTimeout bounds how long a large body waits until the API says whose it is.
const meTimeout = time.Second

// meAgain is how long the API is not asked again for a user that it did not name.
// A busy API is not asked once more for each body.
const meAgain = 5 * time.Second

// user names the user of a caller, whichever of their tokens it is. Where the API
// does not say who that is, each token counts as a user. The API is asked once for
// each token that is remembered, and again later where it gave no answer of its own.
func (v *verifier) user(ctx context.Context, caller tools.Caller) string {
	user, ask := v.accepted.userOf(caller.ID)
	if ask {
		answer, _, _ := v.asking.Do(caller.ID, func() (any, error) { return v.askWhose(context.WithoutCancel(ctx), caller), nil })
		user = answer.(string)
	}
	if user == "" {
		return caller.ID
	}
	return user
}

// askWhose returns "" where the API does not answer.
func (v *verifier) askWhose(ctx context.Context, caller tools.Caller) (user string) {
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
	default:
		v.accepted.askUserLater(caller.ID, meAgain)
		return ""
	}
	v.accepted.setUser(caller.ID, user)
	return user
}

func (v *verifier) remembers(id string) bool { return v.accepted.within(id, v.keep) }

// acceptedLately reports whether the API accepted the token of the caller id a
// while ago, and has not refused it since.
func (v *verifier) acceptedLately(id string) bool { return v.accepted.within(id, v.lately) }
