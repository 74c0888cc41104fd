package authority

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// confirm looks again, as part of a change, at the credential that the change
// was asked for with, and returns what its owner may do now. A sender decides how
// long the body of a request takes: whoever holds a stolen token could otherwise
// wait with it until the token is revoked, and have another made then. It
// returns a *refusal for a credential that is not accepted any more.
//
// A revocation waits until the change has ended, so that what is listed after
// it is all that was made before.
func (a *Authority) confirm(ctx context.Context, tx *sql.Tx, as identity, needs permission) (identity, error) {
	lock, query := `UPDATE tokens SET revoked_at = revoked_at WHERE id = $1`, selectToken
	if as.kind.isSession() {
		lock, query = `UPDATE sessions SET expires_at = expires_at WHERE id = $1`, selectSession
	}
	if _, err := tx.ExecContext(ctx, lock, as.credentialID); err != nil {
		return identity{}, fmt.Errorf("lock the credential: %w", err)
	}
	record, err := scanRecord(tx.QueryRowContext(ctx, query+` WHERE c.id = $1`, as.credentialID), as.kind)
	if errors.Is(err, sql.ErrNoRows) { // a session that was signed out
		return identity{}, &refusal{cause: causeUnknown, prefix: as.prefix}
	}
	if err != nil {
		return identity{}, fmt.Errorf("look at the credential again: %w", err)
	}
	if cause := record.refuses(a.now()); cause != "" {
		return identity{}, &refusal{cause: cause, prefix: as.prefix}
	}
	if !record.identity.permissions.contains(needs) {
		return identity{}, missingPermission(needs, record.identity)
	}
	return record.identity, nil
}
