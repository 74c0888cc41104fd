package authority

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// tokenUse is one request that was made with a token.
type tokenUse struct {
	at        time.Time
	requestID string
	method    string
	path      string
	status    int
}

// usesOf returns one page of the uses of a token of the user's, the newest
// first, and how many there are. It returns errTokenNotFound for everything
// that is not his. Pages are counted from 1.
func (a *Authority) usesOf(ctx context.Context, userID, id string, page, limit int) (_ []tokenUse, total int, err error) {
	var tokens int
	err = a.db.read.QueryRowContext(ctx, `
		SELECT (SELECT count(*) FROM tokens WHERE id = $1 AND user_id = $2),
		       (SELECT count(*) FROM token_uses WHERE token_id = $3)`, id, userID, id).Scan(&tokens, &total)
	if err != nil {
		return nil, 0, fmt.Errorf("count the uses of a token: %w", err)
	}
	if tokens == 0 {
		return nil, 0, errTokenNotFound
	}
	rows, err := a.db.read.QueryContext(ctx, `
		SELECT at, request_id, method, path, status FROM token_uses
		WHERE token_id = $1 ORDER BY at DESC, request_id DESC LIMIT $2 OFFSET $3`, id, limit, (page-1)*limit)
	if err != nil {
		return nil, 0, fmt.Errorf("read the uses of a token: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var uses []tokenUse
	for rows.Next() {
		var u tokenUse
		var at int64
		if err := rows.Scan(&at, &u.requestID, &u.method, &u.path, &u.status); err != nil {
			return nil, 0, fmt.Errorf("read the uses of a token: %w", err)
		}
		u.at = fromMicros(at)
		uses = append(uses, u)
	}
	return uses, total, rows.Err()
}
