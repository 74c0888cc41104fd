package client

import (
	"context"
	"errors"
	"net/http"
)

const (
	opRevokeToken = "revoke token"
	maxIDLen      = 64

	invalidIDReason = `the token id must be 1 to 64 characters out of letters, digits, "_" and "-", such as "pat_abc123"; list the tokens to see the ids`
)

// RevokeToken revokes the token with the given id, at once and for good
// (DELETE /settings/tokens/{id}). The id must be 1 to 64 characters out of
// letters, digits, "_" and "-"; anything else is [ErrInvalid], and nothing is
// sent. An id that the user does not have is [ErrNotFound], also when the token
// is somebody else's.
//
// The request is sent again after a failure. If a repetition finds the token
// gone, the first one may have done it, and the list decides: a token that is
// not in it, or revoked in it, is a success.
func (u *Caller) RevokeToken(ctx context.Context, id string) error {
	if !validID(id) {
		return &Error{Op: opRevokeToken, Code: CodeInvalid, Reason: invalidIDReason}
	}
	cl := &call{op: opRevokeToken, method: http.MethodDelete, path: tokensPath + "/" + id, secret: u.tokenManager()}
	a, err := u.client.send(ctx, cl)
	if err != nil {
		return err
	}
	switch {
	case a.status >= 200 && a.status <= 299:
		return nil
	case a.status == http.StatusNotFound && cl.inDoubt:
		return u.confirmRevoked(ctx, cl, a, id)
	}
	return statusError(cl, a)
}

// confirmRevoked decides about a 404 that followed an attempt in doubt.
func (u *Caller) confirmRevoked(ctx context.Context, cl *call, a *answer, id string) error {
	live, err := u.isLive(ctx, id)
	switch {
	case err != nil:
		var e *Error
		if errors.As(err, &e) {
			e.Reason = "the API no longer finds the token, but the list could not confirm that it is revoked: " + e.Reason
		}
		return err
	case live:
		return unexpected(cl, a, "the API says that there is no such token, yet lists it as not revoked; list the tokens and try again", nil)
	}
	return nil
}

// isLive reports whether the list has the token, not revoked.
func (u *Caller) isLive(ctx context.Context, id string) (bool, error) {
	live := false
	err := u.readTokens(ctx, opRevokeToken, func() func(*Token) error {
		live = false
		return func(token *Token) error {
			live = live || token.ID == id && token.RevokedAt == nil
			return nil
		}
	})
	return live, err
}

// validID reports whether id can stand as one segment of a path. The form is
// stricter than the API documents, so that no id can lead elsewhere.
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
