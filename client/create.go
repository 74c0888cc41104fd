package client

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

const opCreateToken = "create token"

// CreatedToken is a new token. The API returns Value only once. It is left out of JSON, and
// redacted elsewhere.
type CreatedToken struct {
	Token
	Value Secret `json:"-"`
}

// CreateToken creates a personal access token (POST /settings/tokens). It makes
// at most one, and never leaves behind a live one that it does not return,
// unless it says so:
//
// The request is sent again only where it surely did nothing: no connection was
// made, or the API answered 429, or 503 with Retry-After. Where the answer was
// lost or is not to be trusted, the list of tokens is compared with the one taken
// before: a new, unused, unrevoked token of the same name and expiry can only be
// the one of this call; it is revoked, since nobody has its value. The error is
// then a [*CreateError], whose Outcome says what became of it. That holds too
// when ctx ends while the request is under way; clearing up may then take up to
// ten seconds more.
//
// The answer is checked against the request. A token that lives longer, begins
// earlier or may do more than asked for, or has another name, is revoked, and the
// call fails: so an API that does not know of permissions makes none that lacks
// them.
//
// Plain refusals are an [*Error]: [ErrInvalid] for a bad name or expiry (checked
// here as well), [ErrUnauthenticated], [ErrTokenLimit] and so on. Creates of the
// same name by the same credential wait for each other.
func (u *Caller) CreateToken(ctx context.Context, n NewToken) (*CreatedToken, error) {
	req, err := n.checked(time.Now())
	if err != nil {
		return nil, &Error{Op: opCreateToken, Code: CodeInvalid, Cause: CauseNotSent, Reason: err.Error()}
	}
	body, err := json.Marshal(req)
	if err != nil {
		return nil, &Error{Op: opCreateToken, Code: CodeInvalid, Cause: CauseNotSent, Reason: "the request could not be encoded", cause: err}
	}
	cl := &call{op: opCreateToken, method: http.MethodPost, path: tokensPath, secret: u.tokenManager(), body: body}
	// A create in doubt must not take the token of another for its own.
	unlock, err := u.client.creates.Lock(ctx, createKey(cl.secret, req.Name))
	if err != nil {
		return nil, contextError(cl, err)
	}
	defer unlock()

	before, err := u.tokenIDs(ctx)
	if err != nil {
		return nil, err
	}
	search := &lostToken{caller: u, wanted: req, before: before}
	a, err := u.client.send(ctx, cl)
	switch {
	case err != nil && cl.inDoubt:
		return nil, search.settle(ctx, err, "")
	case err != nil:
		return nil, err
	case a.status >= 200 && a.status <= 299:
		created, err := u.accept(ctx, cl, a, search)
		if err != nil {
			return nil, err
		}
		u.client.created.add(created.ID)
		return created, nil
	case isDoubtful(a):
		return nil, search.settle(ctx, statusError(cl, a), "")
	}
	return nil, statusError(cl, a)
}

// isDoubtful reports whether an answer without success leaves open whether the API acted.
// Other 4xx say that it did not.
func isDoubtful(a *answer) bool {
	switch {
	case a.status == http.StatusServiceUnavailable:
		_, told := retryAfter(a.status, a.header)
		return !told
	case a.status >= 400 && a.status <= 499:
		return a.status == http.StatusRequestTimeout
	}
	return true
}

// tokenIDs returns the ids of the user's tokens, nil if the user may not list them.
func (u *Caller) tokenIDs(ctx context.Context) (*idSet, error) {
	var ids *idSet
	err := u.readTokens(ctx, opCreateToken, func() func(*Token) error {
		ids = newIDSet()
		return func(token *Token) error {
			ids.add(token.ID)
			return nil
		}
	})
	if errors.Is(err, ErrForbidden) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// createAnswer is the answer to a create. The type of the value keeps it out of any printing
// of the answer.
type createAnswer struct {
	Token
	Value wireSecret `json:"token"`
}

// wireSecret decodes a string into a Secret. Secret itself cannot be decoded into, so that
// no input fills one by accident.
type wireSecret struct{ Secret }

func (s *wireSecret) UnmarshalJSON(data []byte) error {
	var value string
	if err := json.Unmarshal(data, &value); err != nil {
		return errors.New("the token value is no string") // err could quote it
	}
	s.Secret = NewSecret(value)
	return nil
}

// accept turns an answer into a token, or has it revoked.
func (u *Caller) accept(ctx context.Context, cl *call, a *answer, search *lostToken) (*CreatedToken, error) {
	var got createAnswer
	err := decodeAnswer(cl, a, &got)
	got.tidy()
	if err == nil {
		if reason := mismatch(a.status, &got, search.wanted); reason != "" {
			err = different(cl, a, reason)
		}
	}
	if err == nil && !search.isNew(got.ID) {
		err = unexpected(cl, a, "the answer is that of an earlier create, as if something in between had kept it", nil)
	}
	if err != nil {
		id := answeredID(a.body)
		if !validID(id) || !search.isNew(id) {
			id = ""
		}
		return nil, search.settle(ctx, err, id)
	}
	if got.Prefix == "" {
		got.Prefix = got.Value.Prefix()
	}
	return &CreatedToken{Token: got.Token, Value: got.Value.Secret}, nil
}

// mismatch says how an answer differs from the request, "" if it does not.
func mismatch(status int, got *createAnswer, wanted createRequest) string {
	if status != http.StatusCreated && status != http.StatusOK {
		return fmt.Sprintf("the API answered the create with status %d in place of 201 Created", status)
	}
	if reason := incomplete(&got.Token); reason != "" {
		return "the new token " + reason
	}
	switch {
	case !validID(got.ID):
		return "the new token has an id of another form than the API's"
	case checkPAT(got.Value.Reveal()) != "":
		return "the new token's value is not of the form of a kenbun token"
	case got.Prefix != "" && (len(got.Prefix) < len(patPrefix) || !strings.HasPrefix(got.Value.Reveal(), got.Prefix)):
		return "the new token's prefix is not that of its value"
	case !plaintext.SameName(got.Name, wanted.Name):
		return "the new token has another name than asked for (name)"
	case got.RevokedAt != nil:
		return "the new token is revoked already"
	case wanted.ExpiresAt != nil && got.ExpiresAt == nil:
		return "the new token never expires, although an expiry was asked for (expires_at)"
	case got.ExpiresAt != nil && !got.ExpiresAt.After(got.CreatedAt):
		return "the new token is expired already (expires_at)"
	case wanted.ExpiresAt != nil && got.ExpiresAt.Truncate(time.Second).After(*wanted.ExpiresAt):
		return fmt.Sprintf("the new token expires later than asked for: expires_at is %s in place of %s. An API that rounds it up takes the rounded time as it is", timeText(got.ExpiresAt), timeText(wanted.ExpiresAt))
	}
	return wider(&got.Token, wanted.ValidFrom, wanted.Permissions)
}

// isNoLater reports whether a token expires at wanted or, to the second, earlier, and not at
// once.
func isNoLater(got, wanted *time.Time) bool {
	return got != nil && !got.Truncate(time.Second).After(*wanted) && got.After(time.Now())
}

func timeText(at *time.Time) string {
	if at == nil {
		return "never"
	}
	return at.UTC().Format(time.RFC3339)
}

// wider says how got may do more than was asked for, "" if it may not. Nil was not asked
// for. An API without the extensions omits what it does not know.
func wider(got *Token, validFrom *time.Time, permissions []string) string {
	switch {
	case validFrom != nil && startsBefore(got, *validFrom):
		return "the token is valid earlier than asked for; the API may not know a start"
	case permissions != nil && got.Permissions == nil:
		return "the token is not narrowed to the permissions asked for; the API may not know permissions"
	case permissions != nil && slices.ContainsFunc(got.Permissions, func(name string) bool { return !slices.Contains(permissions, name) }):
		return "the token has permissions that were not asked for"
	}
	return ""
}

// startsBefore reports whether t is valid before at, if at is in the future.
func startsBefore(t *Token, at time.Time) bool {
	if t.ValidFrom == nil {
		return at.After(time.Now())
	}
	return t.ValidFrom.Before(at)
}

// answeredID returns the id in an otherwise unusable answer, "" if there is none.
func answeredID(body []byte) string {
	var got struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(body, &got) != nil {
		return ""
	}
	return got.ID
}

// createKey hashes the credential and the name, so that no secret stays in memory.
func createKey(secret Secret, name string) string {
	sum := sha256.Sum256([]byte(secret.Reveal() + "\x00" + name))
	return string(sum[:])
}

// recentIDs holds the ids of the latest tokens that were returned.
type recentIDs struct {
	mu   sync.Mutex
	ids  []string
	next int
}

const maxRecentIDs = 1024

func (r *recentIDs) add(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ids) < maxRecentIDs {
		r.ids = append(r.ids, id)
		return
	}
	r.ids[r.next] = id
	r.next = (r.next + 1) % maxRecentIDs
}

func (r *recentIDs) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.ids, id)
}

// settleTime bounds the clearing up after a create in doubt.
const settleTime = 10 * time.Second

// maxCandidates bounds the tokens that a lost one can be. Two are ambiguous already; the
// others are named for the user.
const maxCandidates = 20

// lostToken is a token that a create may have made without returning its value.
type lostToken struct {
	caller *Caller
	wanted createRequest
	// before holds the ids that the user had before the create; nil if unknown.
	before *idSet
}

// isNew reports whether id was not there before, and no other create of this client made it.
func (l *lostToken) isNew(id string) bool {
	return !l.before.has(id) && !l.caller.client.created.has(id)
}

// settle revokes the token with the given id, or, if that is "", the one that it finds. It
// takes settleTime at most, whatever becomes of ctx. It returns a *CreateError that wraps
// reason.
func (l *lostToken) settle(ctx context.Context, reason error, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	if id != "" {
		return l.revoke(ctx, reason, id)
	}
	found, err := l.lookRepeatedly(ctx)
	switch {
	case err != nil:
		return l.result(OutcomeUnknown, reason, err, nil)
	case len(found) == 0 && l.before != nil:
		return l.result(OutcomeNotCreated, reason, nil, nil)
	case len(found) == 1 && l.before != nil && l.isExact(&found[0]) && validID(found[0].ID):
		return l.revoke(ctx, reason, found[0].ID)
	}
	ids := make([]string, 0, len(found))
	for i := range found {
		if validID(found[i].ID) {
			ids = append(ids, found[i].ID)
		}
	}
	return l.result(OutcomeUnknown, reason, nil, ids)
}

// lookRepeatedly looks until something is found: the API may still be working after the
// connection is lost.
func (l *lostToken) lookRepeatedly(ctx context.Context) ([]Token, error) {
	found, err := l.look(ctx)
	for _, pause := range l.caller.client.lookPauses {
		if err != nil || len(found) > 0 {
			break
		}
		if !sleep(ctx, pause) {
			return nil, contextError(&call{op: opCreateToken}, ctx.Err())
		}
		found, err = l.look(ctx)
	}
	return found, err
}

// look lists the tokens that the create can have made: new, of that name, not revoked, never
// used.
func (l *lostToken) look(ctx context.Context) ([]Token, error) {
	var found []Token
	err := l.caller.readTokens(ctx, opCreateToken, func() func(*Token) error {
		found = nil
		return func(t *Token) error {
			if len(found) < maxCandidates && plaintext.SameName(t.Name, l.wanted.Name) && t.RevokedAt == nil && t.LastUsedAt == nil && l.isNew(t.ID) {
				found = append(found, *t)
			}
			return nil
		}
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// isExact reports whether t has the requested expiry, to the second, and the permissions and
// start if these were requested. A token that differs may be somebody else's; the user
// decides.
func (l *lostToken) isExact(t *Token) bool {
	if l.wanted.Permissions != nil && wider(t, nil, l.wanted.Permissions) != "" {
		return false
	}
	return isSecond(t.ExpiresAt, l.wanted.ExpiresAt) && (l.wanted.ValidFrom == nil || isSecond(t.ValidFrom, l.wanted.ValidFrom))
}

// isSecond reports whether at is wanted, to the second.
func isSecond(at, wanted *time.Time) bool {
	if at == nil || wanted == nil {
		return at == nil && wanted == nil
	}
	return at.Truncate(time.Second).Equal(*wanted)
}

// revoke revokes id. ErrNotFound is success: the list has shown by then that the token is
// not live.
func (l *lostToken) revoke(ctx context.Context, reason error, id string) error {
	err := l.caller.RevokeToken(ctx, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return l.result(OutcomeUnknown, reason, err, []string{id})
	}
	return l.result(OutcomeRevoked, reason, nil, []string{id})
}

func (l *lostToken) result(outcome Outcome, reason, cleanup error, ids []string) error {
	return &CreateError{Outcome: outcome, Name: l.wanted.Name, TokenIDs: ids, reason: reason, cleanup: cleanup}
}
