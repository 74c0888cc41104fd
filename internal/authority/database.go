package authority

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
)

// database is the store as the rest of the package sees it: two pools of
// connections, and what SQL itself does not say. Statements keep to what SQLite
// and PostgreSQL both understand.
type database struct {
	read  *sql.DB
	write *sql.DB

	dialect goose.Dialect
	faultOf func(error) fault

	// announce is a statement that tells other nodes of a new epoch when its
	// transaction is committed, where the database can.
	announce string

	// prepareBulk is a statement that the connection for changes needs before
	// very many rows; empty if none.
	prepareBulk string

	// nodes is how to reach a database that several nodes share; nil where
	// there is none but this one and others on the same file.
	nodes *pgx.ConnConfig

	// cache remembers who was verified; nil where asking again is cheap.
	cache *verifiedCache

	verifyToken   *sql.Stmt
	verifySession *sql.Stmt
}

// fault is what an error of the database means for whoever asked.
type fault int

const (
	faultOther    fault = iota // nothing that passes by itself, or no fault
	faultBusy                  // others kept it locked for longer than we wait
	faultConflict              // undone for the sake of another change: do it again
	faultGone                  // it cannot be reached, or does not accept work
	faultFull                  // it can be read and takes no changes
)

// storeLocation is what [Config.Store] says. Without either it means memory.
type storeLocation struct {
	path     string
	postgres *pgx.ConnConfig
}

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
	case strings.HasPrefix(store, "postgres://"), strings.HasPrefix(store, "postgresql://"):
		config, err := parsePostgres(store)
		return storeLocation{postgres: config}, err
	default:
		return storeLocation{}, &InvalidError{Field: "store", Problem: "must be memory, sqlite:PATH or postgres://USER@HOST:PORT/DATABASE"}
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

const (
	changeTries = 5
	changePause = 10 * time.Millisecond
)

// change runs do in a transaction and commits it if do succeeds. Where the
// database undoes it for the sake of another, do runs again from the beginning.
// It returns errStoreBusy, errStoreGone or errStoreTakesNothing if surely nothing
// was changed, and errOutcomeUnknown if that cannot be said.
func (db *database) change(ctx context.Context, do func(tx *sql.Tx) error) error {
	var err error
	for try := range changeTries {
		err = db.changeOnce(ctx, do)
		if db.faultOf(err) != faultConflict {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(changePause << try):
		}
	}
	if errors.Is(err, errOutcomeUnknown) {
		return err
	}
	switch db.faultOf(err) {
	case faultBusy, faultConflict:
		return errors.Join(errStoreBusy, err)
	case faultGone:
		return errors.Join(errStoreGone, err)
	case faultFull:
		return errors.Join(errStoreTakesNothing, err)
	}
	return err
}

func (db *database) changeOnce(ctx context.Context, do func(tx *sql.Tx) error) error {
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	defer db.cache.release(tx)
	if err := do(tx); err != nil {
		// A transaction whose connection is lost has been undone.
		if rollback := tx.Rollback(); rollback != nil && !errors.Is(rollback, sql.ErrTxDone) && db.faultOf(err) != faultGone {
			return errors.Join(err, fmt.Errorf("roll back: %w", rollback))
		}
		return err
	}
	err = tx.Commit()
	switch {
	case err == nil:
		return nil
	case db.faultOf(err) == faultGone:
		return errors.Join(errOutcomeUnknown, fmt.Errorf("commit: %w", err))
	}
	return fmt.Errorf("commit: %w", err)
}

// unavailable tells whether an operation failed for want of the database, so
// that it may be tried again.
func (db *database) unavailable(err error) bool {
	return !errors.Is(err, errOutcomeUnknown) && db.faultOf(err) != faultOther
}

var (
	// errStoreBusy means that a change was not made, because the store was
	// locked for longer than we wait.
	errStoreBusy = errors.New("the store is busy: try again in a moment")

	// errStoreGone means that a change was not made, because the store cannot
	// be reached.
	errStoreGone = errors.New("the store cannot be reached: try again in a moment")

	// errStoreTakesNothing means that a change was not made, because the store
	// has no room for it or may not be written to.
	errStoreTakesNothing = errors.New("the store takes no changes: see that its disk has room and that it may be written to")

	// errOutcomeUnknown means that the store was lost while a change was being
	// committed.
	errOutcomeUnknown = errors.New("the store was lost while it was written to, so that nobody knows whether the change was made")
)

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
