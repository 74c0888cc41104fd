package authority

import (
	"context"
	"database/sql"
	"fmt"
)

// bumpEpoch tells everybody who remembers that a credential was accepted to ask
// again. It belongs into the transaction of every change that may turn such a
// yes into a no, so that neither is seen without the other.
func bumpEpoch(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, `UPDATE verification_epoch SET epoch = epoch + 1 WHERE id = 1`); err != nil {
		return fmt.Errorf("count up the epoch of verification: %w", err)
	}
	return nil
}
