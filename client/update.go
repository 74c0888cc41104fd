package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

const opUpdateToken = "update token"

// TokenChange is a change of a token. Its zero value, and fields that contradict each other,
// are refused.
type TokenChange struct {
	// Name is the new label, as in [NewToken]; "" keeps the present one.
	Name string
	// ExpiresAt is the new expiry, as in [NewToken]; nil keeps the present one. It revives
	// an expired token.
	ExpiresAt *time.Time
	// NeverExpires takes the end away.
	NeverExpires bool
	// ValidFrom is the new start, as in [NewToken]; nil keeps the present one.
	ValidFrom *time.Time
	// ValidAtOnce takes the start away.
	ValidAtOnce bool
	// Permissions are the new permissions, as in [NewToken]; nil keeps the present ones.
	Permissions []string
	// AllPermissions takes the narrowing away: all that the user may do counts.
	AllPermissions bool
}

// UpdateToken changes the token with the given id and returns it as it is then
// (PATCH /settings/tokens/{id}). Its value stays. kenbun documents no such call;
// an API without it answers [ErrNotFound] or [ErrUnexpectedAnswer].
//
// What the API refuses is [ErrInvalid] (also for a revoked token), [ErrNotFound]
// for an id that the user does not have, [ErrForbidden] for what goes beyond the
// caller's own permissions, and [ErrTokenLimit] for an expired token that would
// be one too many.
//
// The request is sent again after a failure: it names what shall be, so that
// twice is as once. Any other error leaves open whether the token was changed;
// the list shows it, and the same call can be made again.
//
// What counts is the list, which is read afterwards: the token that is returned is
// as the list shows it, whatever the change was answered. One that differs from what
// was asked for is [ErrUnexpectedAnswer]; the token may then be other than asked for.
func (u *Caller) UpdateToken(ctx context.Context, id string, change TokenChange) (*Token, error) {
	if !validID(id) {
		return nil, &Error{Op: opUpdateToken, Code: CodeInvalid, Cause: CauseNotSent, Reason: invalidIDReason}
	}
	req, err := change.checked(time.Now())
	if err != nil {
		return nil, &Error{Op: opUpdateToken, Code: CodeInvalid, Cause: CauseNotSent, Reason: err.Error()}
	}
	body, err := json.Marshal(req)
	if err != nil {
		return nil, &Error{Op: opUpdateToken, Code: CodeInvalid, Cause: CauseNotSent, Reason: "the request could not be encoded", cause: err}
	}
	cl := &call{op: opUpdateToken, method: http.MethodPatch, path: tokensPath + "/" + id, secret: u.tokenManager(), body: body}
	trying, cancel := context.WithTimeout(ctx, shareOf(ctx, revokeTime))
	a, err := u.client.send(trying, cl)
	cancel()
	if err != nil && !cl.inDoubt {
		return nil, err // nothing was sent
	}
	failed := err
	if err == nil {
		failed = change.failure(cl, a, id, req)
	}
	return u.changed(ctx, cl, change, id, req, failed)
}

// failure is why the answer to a change is none that was asked for, nil if it is.
func (c TokenChange) failure(cl *call, a *answer, id string, req updateRequest) error {
	if a.status < 200 || a.status > 299 {
		return statusError(cl, a)
	}
	var got Token
	if err := decodeAnswer(cl, a, &got); err != nil {
		return err
	}
	got.tidy()
	if reason := c.missed(id, &got, req); reason != "" {
		return different(cl, a, reason)
	}
	return nil
}

// changed returns the token from the list, if it is as was asked for. failed is what was
// wrong with the answer to the change.
func (u *Caller) changed(ctx context.Context, cl *call, change TokenChange, id string, req updateRequest, failed error) (*Token, error) {
	looking, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTime)
	defer cancel()
	seen, err := u.sight(looking, opUpdateToken, id)
	switch {
	case err == nil && seen.token != nil && change.missed(id, seen.token, req) == "" && !isMismatch(failed):
		return seen.token, nil
	case failed != nil:
		return nil, failed
	case err != nil:
		var e *Error
		if errors.As(err, &e) {
			e.Reason = "the API answered that the token is changed, and the list could not confirm it: " + e.Reason
		}
		return nil, err
	case seen.token == nil:
		return nil, different(cl, cl.answer, "the API answered that the token is changed, and the list does not show it")
	}
	return nil, different(cl, cl.answer, "the API answered that the token is changed, and in its list "+change.missed(id, seen.token, req))
}

// isMismatch reports whether the API itself showed something else than was asked for.
func isMismatch(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Cause == CauseMismatch
}

// updateRequest is a checked TokenChange on the wire: absent fields stay, null ones go.
type updateRequest map[string]any

func (c TokenChange) checked(now time.Time) (updateRequest, error) {
	switch {
	case c.NeverExpires && c.ExpiresAt != nil:
		return nil, errors.New("a token either expires or never does: give one of the two")
	case c.ValidAtOnce && c.ValidFrom != nil:
		return nil, errors.New("a token either has a start or is valid at once: give one of the two")
	case c.AllPermissions && c.Permissions != nil:
		return nil, errors.New("a token either has certain permissions or all: give one of the two")
	}
	req := updateRequest{}
	if c.Name != "" {
		if err := checkName(c.Name); err != nil {
			return nil, err
		}
		req["name"] = c.Name
	}
	expires, err := checkedExpiry(c.ExpiresAt, now)
	if err != nil {
		return nil, err
	}
	validFrom, err := checkedStart(c.ValidFrom, expires)
	if err != nil {
		return nil, err
	}
	permissions, err := checkedPermissions(c.Permissions)
	if err != nil {
		return nil, err
	}
	if expires != nil || c.NeverExpires {
		req["expires_at"] = expires
	}
	if validFrom != nil || c.ValidAtOnce {
		req["valid_from"] = validFrom
	}
	if permissions != nil || c.AllPermissions {
		req["permissions"] = permissions
	}
	if len(req) == 0 {
		return nil, errors.New("nothing is to be changed: give a name, an expiry, a start or permissions")
	}
	return req, nil
}

// missed says how got is not what req asked for, "" if it is.
func (c TokenChange) missed(id string, got *Token, req updateRequest) string {
	if reason := incomplete(got); reason != "" {
		return "the changed token " + reason
	}
	expires, _ := req["expires_at"].(*time.Time)
	validFrom, _ := req["valid_from"].(*time.Time)
	permissions, _ := req["permissions"].([]string)
	switch {
	case got.ID != id:
		return "the answer is about another token"
	case c.Name != "" && !plaintext.SameName(got.Name, c.Name):
		return "the token has another name than asked for"
	case expires != nil && !isNoLater(got.ExpiresAt, expires), c.NeverExpires && got.ExpiresAt != nil:
		return fmt.Sprintf("the token expires at another time than asked for (expires_at is %s)", timeText(got.ExpiresAt))
	case validFrom != nil && got.ValidFrom != nil && !isSecond(got.ValidFrom, validFrom), c.ValidAtOnce && got.ValidFrom != nil && got.ValidFrom.After(time.Now()):
		return "the token is valid from another time than asked for"
	case permissions != nil && got.Permissions != nil && !slices.Equal(sortedOnce(got.Permissions), permissions), c.AllPermissions && got.Permissions != nil:
		return "the token has other permissions than asked for"
	}
	return wider(got, validFrom, permissions)
}
