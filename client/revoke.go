package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/ascii"
)

const (
	opRevokeToken = "revoke token"
	maxIDLen      = 64

	invalidIDReason = `the token id must be 1 to 64 characters out of letters, digits, "_" and "-", such as "pat_abc123"; list the tokens to see the ids`

	// revokeTime bounds trying a revocation, lookTime then looking for it in the list.
	revokeTime = 35 * time.Second
	lookTime   = 10 * time.Second
)

// RevokeToken revokes the token with the given id, at once and for good
// (DELETE /settings/tokens/{id}), and looks in the list whether that is so. The id
// must be 1 to 64 characters out of letters, digits, "_" and "-"; anything else is
// [ErrInvalid], and nothing is sent.
//
// It returns nil only if the API's own list shows the token as revoked, or no
// longer shows it. A caller that revokes the very token that it uses cannot list
// any more: then it counts that the API accepted the token for the DELETE and
// refuses it now. [ErrNotFound] means that the API found no such token to revoke,
// and that the list has none that is live.
//
// If the API refused plainly, the error is that refusal. Everything else is a
// [*RevokeError], which matches [ErrOutcomeUnknown]: the token may be live.
//
// The request is sent again after a failure. All in all it takes up to 45 seconds,
// or as long as ctx allows and ten seconds more.
func (u *Caller) RevokeToken(ctx context.Context, id string) error {
	if !validID(id) {
		return &Error{Op: opRevokeToken, Code: CodeInvalid, Cause: CauseNotSent, Reason: invalidIDReason}
	}
	cl := &call{op: opRevokeToken, method: http.MethodDelete, path: tokensPath + "/" + id, secret: u.tokenManager()}
	trying, cancel := context.WithTimeout(ctx, shareOf(ctx, revokeTime))
	a, err := u.client.send(trying, cl)
	cancel()
	if err != nil && !cl.inDoubt {
		return err // nothing was sent
	}
	looking, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTime)
	defer cancel()
	r := &revocation{caller: u, id: id, cl: cl, answer: a, err: err}
	return r.decide(looking)
}

// shareOf is how long a first step may take, so that a second has time left.
func shareOf(ctx context.Context, limit time.Duration) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(limit, time.Until(deadline)*2/3)
	}
	return limit
}

// RevokeError is a revocation of which it is not certain what became.
type RevokeError struct {
	TokenID string
	// Live means that the list shows the token, not revoked. Otherwise the list is
	// unreadable or says nothing about it.
	Live bool

	reason error // what the DELETE was answered
	look   error // why the list says nothing
}

// Error says what happened, and that the token may be live.
func (e *RevokeError) Error() string {
	switch {
	case e.Live:
		return fmt.Sprintf("%s; the list still shows the token %s as not revoked", e.reason, e.TokenID)
	case e.look != nil:
		return fmt.Sprintf("%s; it is not certain that the token %s is revoked, since the list could not be read: %s", e.reason, e.TokenID, e.look)
	}
	return fmt.Sprintf("%s; it is not certain that the token %s is revoked, since the list does not show plainly what became of it", e.reason, e.TokenID)
}

// Unwrap returns the reason: an [*Error] in all cases, and never [ErrNotFound].
func (e *RevokeError) Unwrap() error { return e.reason }

// RetryAfter returns how long the API asked to wait before the list can be read, zero if it
// did not.
func (e *RevokeError) RetryAfter() time.Duration {
	var api *Error
	if errors.As(e.look, &api) {
		return api.RetryAfter
	}
	return 0
}

// Is reports whether target is [ErrOutcomeUnknown].
func (e *RevokeError) Is(target error) bool { return target == ErrOutcomeUnknown }

// revocation is a DELETE that may have acted.
type revocation struct {
	caller *Caller
	id     string
	cl     *call
	answer *answer
	err    error
}

// decide holds what the DELETE was answered against the list.
func (r *revocation) decide(ctx context.Context) error {
	seen, lookErr := r.look(ctx)
	switch {
	case lookErr != nil:
		return r.unseen(lookErr)
	case seen.live:
		if e := r.refusal(); e != nil && !errors.Is(e, ErrNotFound) && !r.cl.inDoubt {
			e.Reason += "; the list shows the token as not revoked"
			return e
		}
		return r.unknown(true, nil)
	case r.saysNotFound() && !r.cl.inDoubt:
		return statusError(r.cl, r.answer)
	case seen.revoked:
		return nil
	}
	// The list does not have it any more.
	if seen.complete && (seen.own || r.saysDone() || r.saysNotFound()) {
		return nil
	}
	if e := r.refusal(); e != nil && !r.cl.inDoubt {
		return e
	}
	return r.unknown(false, nil)
}

// look looks again for a while if the API said that the token is revoked: it may answer from
// several nodes.
func (r *revocation) look(ctx context.Context) (sight, error) {
	seen, err := r.caller.sight(ctx, opRevokeToken, r.id)
	for _, pause := range r.caller.client.lookPauses {
		if err != nil || !seen.live || !r.saysDone() || !sleep(ctx, pause) {
			break
		}
		seen, err = r.caller.sight(ctx, opRevokeToken, r.id)
	}
	return seen, err
}

// unseen decides without the list.
func (r *revocation) unseen(lookErr error) error {
	refused := r.refusal()
	switch {
	case errors.Is(lookErr, ErrUnauthenticated) && r.saysDone():
		return nil // the token was the caller's own, which is refused now
	case refused != nil && (errors.Is(refused, ErrUnauthenticated) || errors.Is(refused, ErrForbidden) || errors.Is(refused, ErrRateLimited)):
		return refused
	}
	return r.unknown(false, lookErr)
}

// saysDone reports whether the API itself said that the token is revoked.
func (r *revocation) saysDone() bool { return r.err == nil && isOwnSuccess(r.answer) }

// saysNotFound reports whether the API itself said that there is no such token.
func (r *revocation) saysNotFound() bool {
	e := r.refusal()
	return e != nil && errors.Is(e, ErrNotFound)
}

// refusal is the API's own no, nil if there is none.
func (r *revocation) refusal() *Error {
	if r.err != nil || r.answer.status >= 200 && r.answer.status <= 299 {
		return nil //nolint:nilerr // there is no answer, or none that refuses
	}
	if e := statusError(r.cl, r.answer); e.Cause == CauseAPI && e.Status < 500 {
		return e
	}
	return nil
}

func (r *revocation) unknown(live bool, look error) error {
	reason := r.err
	switch {
	case reason != nil:
	case r.saysDone():
		reason = different(r.cl, r.answer, "the API answered that the token is revoked")
	case r.answer.status >= 200 && r.answer.status <= 299:
		reason = notTheAPI(r.cl, r.answer)
	case r.saysNotFound():
		reason = different(r.cl, r.answer, "the API answered that there is no such token")
	default:
		reason = statusError(r.cl, r.answer)
	}
	return &RevokeError{TokenID: r.id, Live: live, reason: reason, look: look}
}

// validID reports whether id can stand as one segment of a path. It is stricter than the API
// documents, so that no id can lead elsewhere.
func validID(id string) bool {
	if id == "" || len(id) > maxIDLen {
		return false
	}
	for i := range len(id) {
		if !isTokenByte(id[i]) {
			return false
		}
	}
	return true
}

// sight is what the list shows of one token.
type sight struct {
	// token is the entry, nil if there is none.
	token *Token
	// live means that an entry of that id is not revoked, revoked that there is one and all
	// are.
	live, revoked bool
	// own means that the list has the token that the caller uses.
	own bool
	// complete means that nothing says that there are further pages.
	complete bool
	entries  int
}

// sight looks for a token in the list.
func (u *Caller) sight(ctx context.Context, op, id string) (sight, error) {
	var seen sight
	own := u.cred.PAT.Prefix()
	cl := &call{op: op, path: tokensPath, secret: u.tokenManager()}
	cl.stream = func(body io.Reader) error {
		seen = sight{}
		return readList(body, func(token *Token) error {
			seen.entries++
			seen.own = seen.own || own != "" && strings.HasPrefix(token.Prefix, own)
			if token.ID == id {
				seen.token = token
				seen.live = seen.live || token.RevokedAt == nil
			}
			return nil
		})
	}
	if err := u.client.getStream(ctx, cl); err != nil {
		return sight{}, err
	}
	seen.revoked = seen.token != nil && !seen.live
	seen.complete = isWholeList(cl.answer, seen.entries)
	return seen, nil
}

// isWholeList reports whether a list of so many entries is complete, according to its
// header. kenbun documents no pages.
func isWholeList(a *answer, entries int) bool {
	if a.status != http.StatusOK || strings.Contains(ascii.Lower(strings.Join(a.header.Values("Link"), ",")), `rel="next"`) {
		return false
	}
	total, err := strconv.Atoi(strings.TrimSpace(a.header.Get("X-Total-Count")))
	return err != nil || total <= entries
}

// sleep pauses, and reports whether ctx lasted that long.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
