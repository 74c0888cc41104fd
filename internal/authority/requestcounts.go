package authority

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// countBatch is how many counts one statement stores, with four parameters each.
// SQLite looks for each of them among all before it.
const countBatch = 50

// requestCounts are the stored counts of the requests of tokens.
type requestCounts struct{ db *database }

// storedCount is how many requests of a token fell into one period.
type storedCount struct {
	tokenID  string
	period   time.Duration
	start    time.Time
	requests int
}

// read returns the counts of a token, the last of each period.
func (c *requestCounts) read(ctx context.Context, tokenID string) (_ []storedCount, err error) {
	rows, err := c.db.read.QueryContext(ctx, `
		SELECT token_id, period, starts_at, requests FROM request_counts WHERE token_id = $1`, tokenID)
	if err != nil {
		return nil, fmt.Errorf("read the request counts: %w", err)
	}
	return scanCounts(rows)
}

// add adds to the counts and returns what they are then, batch by batch in the order of added,
// which it sorts. After an error those are returned that were stored before it.
func (c *requestCounts) add(ctx context.Context, added []storedCount) (totals []storedCount, err error) {
	// Two processes that lock rows in the same order do not wait for each other
	// in a circle.
	slices.SortFunc(added, func(a, b storedCount) int {
		if order := strings.Compare(a.tokenID, b.tokenID); order != 0 {
			return order
		}
		return int(a.period - b.period)
	})
	for batch := range slices.Chunk(added, countBatch) {
		var stored []storedCount
		err := c.db.change(ctx, func(tx *sql.Tx) error {
			statement, args := addCounts(batch)
			rows, err := tx.QueryContext(ctx, statement, args...)
			if err != nil {
				return fmt.Errorf("store the request counts: %w", err)
			}
			stored, err = scanCounts(rows)
			return err
		})
		if err != nil {
			return totals, err
		}
		totals = append(totals, stored...)
	}
	return totals, nil
}

// addCounts is one statement for a batch. A period that is over makes room for
// the next; what comes late for it is of no use any more.
func addCounts(batch []storedCount) (statement string, args []any) {
	var values strings.Builder
	for i, s := range batch {
		if i > 0 {
			values.WriteString(", ")
		}
		values.WriteString("(")
		for j, arg := range []any{s.tokenID, s.period.Microseconds(), toMicros(s.start), s.requests} {
			if j > 0 {
				values.WriteString(", ")
			}
			args = append(args, arg)
			values.WriteString("$" + strconv.Itoa(len(args)))
		}
		values.WriteString(")")
	}
	return `
		INSERT INTO request_counts (token_id, period, starts_at, requests) VALUES ` + values.String() + `
		ON CONFLICT (token_id, period) DO UPDATE SET
			requests = CASE
				WHEN excluded.starts_at > request_counts.starts_at THEN excluded.requests
				WHEN excluded.starts_at = request_counts.starts_at THEN request_counts.requests + excluded.requests
				ELSE request_counts.requests END,
			starts_at = CASE
				WHEN excluded.starts_at > request_counts.starts_at THEN excluded.starts_at
				ELSE request_counts.starts_at END
		RETURNING token_id, period, starts_at, requests`, args
}

func scanCounts(rows *sql.Rows) (counts []storedCount, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s storedCount
		var period, start int64
		if err := rows.Scan(&s.tokenID, &period, &start, &s.requests); err != nil {
			return nil, fmt.Errorf("read the request counts: %w", err)
		}
		s.period, s.start = time.Duration(period)*time.Microsecond, fromMicros(start)
		counts = append(counts, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the request counts: %w", err)
	}
	return counts, nil
}
