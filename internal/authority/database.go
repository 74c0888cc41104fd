package authority

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// database is the store as the rest of the package sees it: two pools of
// connections and the one question about errors that SQL does not answer.
// Statements keep to what SQLite and PostgreSQL both understand.
type database struct {
	read  *sql.DB
	write *sql.DB

	// busy tells whether an operation failed because others kept the store
	// locked, which passes by itself.
	busy func(error) bool

	// announce is a statement that tells other nodes of a new epoch when its
	// transaction is committed, where the database can.
	announce string

	verifyToken   *sql.Stmt
	verifySession *sql.Stmt
}

// storeLocation is what [Config.Store] says; an empty path means memory.
type storeLocation struct{ path string }

func parseStore(store string) (storeLocation, error) {
	if store == "" || store == "memory" {
		return storeLocation{}, nil
	}
	kind, path, found := strings.Cut(store, ":")
	switch {
	case found && kind == "sqlite" && path != "":
		return storeLocation{path: path}, nil
	case found && kind == "sqlite":
		return storeLocation{}, &InvalidError{Field: "store", Problem: "names no file: write it as sqlite:PATH"}
	default:
		return storeLocation{}, &InvalidError{Field: "store", Problem: "must be memory or sqlite:PATH"}
	}
}

// Close closes both pools.
func (db *database) Close() error {
	var errs []error
	for _, stmt := range []*sql.Stmt{db.verifyToken, db.verifySession} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	errs = append(errs, db.read.Close())
	// The writer goes last: it is the one that may move the write-ahead log
	// into the database file and remove it.
	if db.write != db.read {
		errs = append(errs, db.write.Close())
	}
	return errors.Join(errs...)
}

// change runs do in a transaction and commits it if do succeeds.
func (db *database) change(ctx context.Context, do func(tx *sql.Tx) error) error {
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		if db.busy(err) {
			return errors.Join(errStoreBusy, err)
		}
		return fmt.Errorf("begin a transaction: %w", err)
	}
	if err := do(tx); err != nil {
		if rollback := tx.Rollback(); rollback != nil && !errors.Is(rollback, sql.ErrTxDone) {
			return errors.Join(err, fmt.Errorf("roll back: %w", rollback))
		}
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// errStoreBusy means that a change was not begun, because the store was locked
// for longer than we wait.
var errStoreBusy = errors.New("the store is busy: try again in a moment")

// Times are stored as microseconds since 1970 in UTC: both databases order
// them alike and neither applies a time zone.
func toMicros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

func optionalMicros(t *time.Time) sql.NullInt64 {
	if t == nil {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: toMicros(*t), Valid: true}
}

func optionalTime(us sql.NullInt64) *time.Time {
	if !us.Valid {
		return nil
	}
	t := fromMicros(us.Int64)
	return &t
}
