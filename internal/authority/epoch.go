package authority

import (
	"context"
	"database/sql"
	"fmt"
)

// verificationChannel is where PostgreSQL tells of a new epoch.
const verificationChannel = "kenbun_verification"

// bumpEpoch belongs into every change after which a credential that was
// accepted before may have to be refused or to act as less: it has all nodes
// forget whom they remember. It comes last in its transaction, since all such
// changes wait for each other from here on.
func (a *Authority) bumpEpoch(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, `UPDATE verification_epoch SET epoch = epoch + 1 WHERE id = 1`); err != nil {
		return fmt.Errorf("begin a new epoch of verification: %w", err)
	}
	if a.db.announce == "" {
		return nil
	}
	if _, err := tx.ExecContext(ctx, a.db.announce); err != nil {
		return fmt.Errorf("announce a new epoch of verification: %w", err)
	}
	return nil
}
