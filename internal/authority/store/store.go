// Package store keeps users, tokens and sessions in SQLite or PostgreSQL.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
)

// Store is a database with two pools of connections. Statements are in the SQL that SQLite
// and PostgreSQL share.
type Store struct {
	read  *sql.DB
	write *sql.DB

	dialect goose.Dialect
	faultOf func(error) fault

	// announce is the statement, if any, that notifies other nodes at the commit.
	announce string

	// prepareBulk is the statement, if any, to run before inserting very many rows.
	prepareBulk string

	// nodes is how to reach a database that nodes share; nil for a file or memory.
	nodes *pgx.ConnConfig
	watch *nodeWatch // nil unless there are nodes

	// cache remembers verified credentials; nil where asking again is cheap.
	cache *cache

	verifyToken   *sql.Stmt
	verifySession *sql.Stmt
}

// fault is what an error of the database means for the caller.
type fault int

const (
	faultOther    fault = iota // nothing that passes by itself, or no fault
	faultBusy                  // others kept it locked for longer than we wait
	faultConflict              // undone for the sake of another change: do it again
	faultGone                  // it cannot be reached, or does not accept work
	faultFull                  // it can be read and takes no changes
)

// Location is where a store is. The zero value is memory.
type Location struct {
	Path     string // of a SQLite file
	postgres *pgx.ConnConfig
}

// IsShared reports whether several nodes may use the store, as with PostgreSQL.
func (l Location) IsShared() bool { return l.postgres != nil }

// ParseLocation reads "memory" (the default), "sqlite:PATH", or
// "postgres://USER@HOST:PORT/DATABASE". The error is a [*domain.InvalidError], which
// repeats no password.
func ParseLocation(text string) (Location, error) {
	if text == "" || text == "memory" {
		return Location{}, nil
	}
	kind, path, found := strings.Cut(text, ":")
	switch {
	case found && kind == "sqlite" && path != "":
		return Location{Path: path}, nil
	case found && kind == "sqlite":
		return Location{}, &domain.InvalidError{Field: "store", Problem: "names no file: write it as sqlite:PATH"}
	case strings.HasPrefix(text, "postgres://"), strings.HasPrefix(text, "postgresql://"):
		config, err := parsePostgres(text)
		return Location{postgres: config}, err
	default:
		return Location{}, &domain.InvalidError{Field: "store", Problem: "must be memory, sqlite:PATH or postgres://USER@HOST:PORT/DATABASE"}
	}
}

// Open opens a store, migrates its schema and calls prepare, while other processes that open
// it wait. ctx limits the opening alone.
func Open(ctx context.Context, at Location, log *slog.Logger, prepare func(*Store) error) (*Store, error) {
	switch {
	case at.postgres != nil:
		s, err := openLocked(ctx, prepare, log,
			func() (func() error, error) { return lockPostgres(ctx, at.postgres) },
			func() (*Store, error) { return openPostgres(ctx, at.postgres) })
		return s, postgresProblem(err)
	case at.Path != "":
		if err := privatefile.MakeFolderOf(at.Path); err != nil {
			return nil, err
		}
		// Two processes that open a new file would both migrate it and each make a pepper.
		s, err := openLocked(ctx, prepare, log,
			func() (func() error, error) { return privatefile.Lock(ctx, at.Path) },
			func() (*Store, error) { return openSQLiteFile(ctx, at.Path) })
		return s, sqliteProblem(at.Path, err)
	}
	return openLocked(ctx, prepare, log,
		func() (func() error, error) { return func() error { return nil }, nil },
		func() (*Store, error) { return openSQLiteMemory(ctx) })
}

func openLocked(
	ctx context.Context, prepare func(*Store) error, log *slog.Logger, lock func() (func() error, error), open func() (*Store, error),
) (s *Store, err error) {
	unlock, err := lock()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if s, err = open(); err != nil {
		return nil, err
	}
	if err = migrate(ctx, s); err == nil {
		err = prepare(s)
	}
	if err == nil {
		err = s.prepareVerification(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if s.nodes != nil {
		s.watch = watchNodes(s.nodes, s.cache, log) //nolint:contextcheck // it outlives the opening and ends with Close
	}
	return s, nil
}

// Close closes the store.
func (db *Store) Close() error {
	if db.watch != nil {
		db.watch.Close()
	}
	var errs []error
	for _, stmt := range []*sql.Stmt{db.verifyToken, db.verifySession} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	errs = append(errs, db.read.Close())
	// The writer goes last: it may move the write-ahead log into the database file.
	if db.write != db.read {
		errs = append(errs, db.write.Close())
	}
	return errors.Join(errs...)
}

// Ping returns an error if the store does not answer.
func (db *Store) Ping(ctx context.Context) error {
	return db.read.QueryRowContext(ctx, `SELECT 1`).Scan(new(int))
}

const (
	changeTries = 5
	changePause = 10 * time.Millisecond
)

// change runs do in a transaction and commits it if do succeeds. It runs do again where the
// database undid it for the sake of another. The error is errStoreBusy, errStoreGone or
// ErrTakesNothing if surely nothing changed, and domain.ErrOutcomeUnknown if not.
func (db *Store) change(ctx context.Context, do func(tx *sql.Tx) error) error {
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
	if errors.Is(err, domain.ErrOutcomeUnknown) {
		return err
	}
	switch db.faultOf(err) {
	case faultBusy, faultConflict:
		return errors.Join(errStoreBusy, err)
	case faultGone:
		return errors.Join(errStoreGone, err)
	case faultFull:
		return errors.Join(ErrTakesNothing, err)
	}
	return err
}

func (db *Store) changeOnce(ctx context.Context, do func(tx *sql.Tx) error) error {
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
		return errors.Join(domain.ErrOutcomeUnknown, fmt.Errorf("commit: %w", err))
	}
	return fmt.Errorf("commit: %w", err)
}

// Unavailable reports whether an operation changed nothing because the store was away.
func (db *Store) Unavailable(err error) bool {
	return !errors.Is(err, domain.ErrOutcomeUnknown) && db.faultOf(err) != faultOther
}

var (
	// errStoreBusy indicates that a change was not made because of a lock.
	errStoreBusy = errors.New("the store is busy: try again in a moment")

	// errStoreGone indicates that a change was not made because the store is away.
	errStoreGone = errors.New("the store cannot be reached: try again in a moment")

	// ErrTakesNothing indicates that the store has no room, or may not be written to.
	ErrTakesNothing = errors.New("the store accepts no changes: check that its disk has room and that it is writable")
)

// MayTryAgain implements [usage.Store].
func (db *Store) MayTryAgain(err error) bool {
	return db.Unavailable(err) || errors.Is(err, domain.ErrOutcomeUnknown)
}

// Change implements [domain.TokenStore].
func (db *Store) Change(ctx context.Context, do func(tx domain.Tx) error) error {
	return db.change(ctx, func(tx *sql.Tx) error { return do(&transaction{db, tx}) })
}

// changeOne runs, in its own transaction, a statement that changes permissions of a user. It
// returns absent if no row changed.
func (db *Store) changeOne(ctx context.Context, what string, absent error, statement string, args ...any) error {
	return db.change(ctx, func(tx *sql.Tx) error {
		if err := execOne(ctx, tx, what, absent, statement, args...); err != nil {
			return err
		}
		return db.bumpEpoch(ctx, tx)
	})
}

// execOne runs a statement and returns absent if it changed no row.
func execOne(ctx context.Context, tx *sql.Tx, what string, absent error, statement string, args ...any) error {
	result, err := tx.ExecContext(ctx, statement, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if n, err := result.RowsAffected(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	} else if n == 0 {
		return absent
	}
	return nil
}

// collect runs a query and returns what scan reads of each row. The slice is never nil.
func collect[T any](
	ctx context.Context, in interface {
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}, what string, scan func(*sql.Rows) (T, error), query string, args ...any,
) (_ []T, err error) {
	rows, err := in.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	all := []T{}
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// Times are microseconds since 1970 in UTC, which both databases order alike.
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

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrate updates the schema. It refuses one of a newer version, which writing could break.
func migrate(ctx context.Context, db *Store) error {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	provider, err := goose.NewProvider(db.dialect, db.write, files,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	current, newest, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the version of the database: %w", err)
	}
	switch {
	case current > newest:
		return fmt.Errorf("the database has schema version %d and this program knows %d: use a newer kenbun-mcp", current, newest)
	case current == newest:
		return nil
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("bring the database up to schema version %d: %w", newest, err)
	}
	return nil
}

// storeProblem says to the operator why a database cannot be opened.
type storeProblem struct {
	text  string
	cause error
}

func (e *storeProblem) Error() string { return e.text }
func (e *storeProblem) Unwrap() error { return e.cause }
