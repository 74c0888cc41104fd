package authority

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// A token that expires must not make itself last for ever, by a change or by a
// chain of tokens of which each makes the next. The first of a chain, which was
// made in a session, by the operator or with a token that never expires, sets the
// bound: nothing that is made or extended with a token of the chain expires later
// than lineageFactor times the lifetime that the first was made for. Rotation
// works until then. After that, the user makes a new token in a session.
//
// A change of a token can lower its bound and never raises it. Otherwise, a token
// of the chain could shorten one that has no bound, and go on with that.

// lineageFactor is how many times the lifetime of its first token a chain lasts.
const lineageFactor = 10

// maxLineage is the lifetime from which on a chain has no bound.
const maxLineage = 29 * 365 * 24 * time.Hour

// lineageBound is the bound that a token sets which is made at now for a time up
// to expires; nil if none.
func lineageBound(now time.Time, expires *time.Time) *time.Time {
	if expires == nil || expires.Sub(now) >= maxLineage {
		return nil
	}
	bound := now.Add(lineageFactor * expires.Sub(now))
	return &bound
}

// boundFor returns the bound of a token that as makes. It returns an
// [*InvalidError] if the token would outlive the bound of as.
func (as identity) boundFor(now time.Time, expires *time.Time) (*time.Time, error) {
	if as.renewableUntil == nil {
		return lineageBound(now, expires), nil
	}
	if outlives(expires, *as.renewableUntil) {
		return nil, as.beyondBound()
	}
	return as.renewableUntil, nil
}

// boundAfter returns the bound of a token that was t and that as has changed to
// updated at now: the earliest of the bound of t, the one that its new expiry
// sets, and the one of as. A change that gives t no more time and no permissions
// leaves the bound as it is.
func (as identity) boundAfter(now time.Time, t token, change tokenChange, updated token) *time.Time {
	bound := t.renewableUntil
	if change.expires.given {
		bound = earliest(bound, lineageBound(now, updated.expiresAt))
	}
	if change.expires.given || change.addsPermissions(t) {
		bound = earliest(bound, as.renewableUntil)
	}
	return bound
}

// earliest returns the earlier of two bounds, of which nil is none.
func earliest(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}

// mayAddPermissions refuses a change that adds permissions to a token that
// outlives the bound of as: as would hold them for longer than it may.
func (as identity) mayAddPermissions(t token, change tokenChange, updated token) error {
	if as.renewableUntil == nil || !change.addsPermissions(t) || !outlives(updated.expiresAt, *as.renewableUntil) {
		return nil
	}
	return cannotAddForLonger(*as.renewableUntil)
}

// mayExtend refuses a new expiry of t by which as would outlive its bound, or
// itself.
func (as identity) mayExtend(t token, expires *time.Time) error {
	switch {
	case as.renewableUntil == nil, t.expiresAt != nil && !outlives(expires, *t.expiresAt):
		return nil
	case t.id == as.credentialID && t.expiresAt != nil:
		return &InvalidError{Field: "expires_at", Problem: "cannot be later than it is: a token that expires does not extend itself. Make a new one with it, or extend it in a session"}
	case outlives(expires, *as.renewableUntil):
		return as.beyondBound()
	}
	return nil
}

func (as identity) beyondBound() error {
	return &InvalidError{Field: "expires_at", Problem: fmt.Sprintf(
		"must be %s at the latest: the token in use expires, and so must what is made with it. For longer, make the token in a session",
		as.renewableUntil.UTC().Format(time.RFC3339))}
}

// outlives tells whether a token with this expiry lives longer than bound.
func outlives(expires *time.Time, bound time.Time) bool {
	return expires == nil || expires.After(bound)
}

// withinLifetime refuses an expiry that is later than the operator allows for a
// token that was made at created. Those that are there already stay as they are.
func (a *Authority) withinLifetime(created time.Time, expires *time.Time) error {
	if a.maxTokenLifetime == 0 || !outlives(expires, created.Add(a.maxTokenLifetime)) {
		return nil
	}
	return &InvalidError{Field: "expires_at", Problem: fmt.Sprintf(
		"must be %s at the latest: the operator allows tokens for %s from their creation, and none that never expire",
		created.Add(a.maxTokenLifetime).Truncate(time.Second).Format(time.RFC3339), lifetimeInWords(a.maxTokenLifetime))}
}

// mayLive is withinLifetime for a new expiry of a token. What makes its life
// shorter is allowed, however long that is still.
func (a *Authority) mayLive(t token, expires *time.Time) error {
	if expires != nil && (t.expiresAt == nil || !expires.After(*t.expiresAt)) {
		return nil
	}
	return a.withinLifetime(t.createdAt, expires)
}

func lifetimeInWords(d time.Duration) string {
	if days := d / (24 * time.Hour); days > 0 && d == days*24*time.Hour {
		return fmt.Sprintf("%d days", days)
	}
	return d.String()
}

// line is a token of a user's, $1 and $2, and all that were made with it, directly
// or not.
const line = `
	WITH RECURSIVE line (id) AS (
		SELECT id FROM tokens WHERE id = $1 AND user_id = $2
		UNION
		SELECT t.id FROM tokens t JOIN line ON t.parent_id = line.id)`

// revokeLine revokes a token of the user's and all live ones that were made with
// it. It returns errTokenNotFound if there was nothing to revoke.
func (a *Authority) revokeLine(ctx context.Context, userID, id string) error {
	if !couldBeID(id) {
		return errTokenNotFound
	}
	return a.db.change(ctx, func(tx *sql.Tx) error {
		// Nothing is made with one of them meanwhile.
		if err := lockUser(ctx, tx, userID); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, line+`
			UPDATE tokens SET revoked_at = $3 WHERE revoked_at IS NULL AND id IN (SELECT id FROM line)`,
			id, userID, toMicros(a.now()))
		if err != nil {
			return fmt.Errorf("revoke the token and those made with it: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil {
			return fmt.Errorf("revoke the token and those made with it: %w", err)
		} else if n == 0 {
			return errTokenNotFound
		}
		return a.bumpEpoch(ctx, tx)
	})
}

// madeWith returns the tokens among all of a user's that were made with id,
// directly or not, and that work or will work.
func madeWith(tokens []token, id string, now time.Time) []token {
	children := map[string][]token{}
	for _, t := range tokens {
		if t.parentID != "" {
			children[t.parentID] = append(children[t.parentID], t)
		}
	}
	var live []token
	for queue := children[id]; len(queue) > 0; queue = queue[1:] {
		t := queue[0]
		queue = append(queue, children[t.id]...)
		if state := t.state(now); state == stateActive || state == stateNotYetValid {
			live = append(live, t)
		}
	}
	return live
}

// tokenLines tells of each token what it was made with, and what with it.
type tokenLines struct {
	byID map[string]token
	live map[string]int
}

func newTokenLines(tokens []token, now time.Time) tokenLines {
	lines := tokenLines{byID: map[string]token{}, live: map[string]int{}}
	for _, t := range tokens {
		lines.byID[t.id] = t
	}
	for _, t := range tokens {
		if state := t.state(now); state != stateActive && state != stateNotYetValid {
			continue
		}
		for parent := t.parentID; parent != ""; parent = lines.byID[parent].parentID {
			lines.live[parent]++
		}
	}
	return lines
}

func (l tokenLines) describe(row *tokenRow, t token) {
	if parent, known := l.byID[t.parentID]; known {
		row.Parent, row.ParentRevoked = parent.name, parent.revokedAt != nil
	}
	row.LiveMade = l.live[t.id]
}
