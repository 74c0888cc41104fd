package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"github.com/kenbun/kenbun-mcp/internal/privatefile"
)

// sqliteReaders bounds concurrent readers, which in WAL mode wait for nobody.
const sqliteReaders = 8

// sqliteBusyMilliseconds is how long a statement waits for another process's lock.
const sqliteBusyMilliseconds = 5000

func openSQLiteFile(ctx context.Context, path string) (*Store, error) {
	// SQLite would make the file readable by everybody. Its log and shared memory get
	// the permissions of the file.
	if err := privatefile.Create(path); err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the folder of the database: %w", err)
	}
	write, err := openSQLite(ctx, sqliteURI(absolute,
		"journal_mode(WAL)",
		// Answers must survive a power loss; NORMAL would not sync the log at commit.
		"synchronous(FULL)",
		"secure_delete(1)",
	), 1)
	if err != nil {
		return nil, fmt.Errorf("open the database %s: %w", path, err)
	}
	read, err := openSQLite(ctx, sqliteURI(absolute, "query_only(1)"), sqliteReaders)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the database %s: %w", path, err), write.Close())
	}
	return &Store{
		read: read, write: write, dialect: goose.DialectSQLite3, faultOf: sqliteFault,
		// 256 MiB: rows with random keys change all pages of an index in turn.
		prepareBulk: "PRAGMA cache_size = -262144",
	}, nil
}

// openSQLiteMemory opens a database that lives in one connection, which serves both pools.
func openSQLiteMemory(ctx context.Context) (*Store, error) {
	only, err := openSQLite(ctx, "file::memory:?_pragma=foreign_keys(1)", 1)
	if err != nil {
		return nil, fmt.Errorf("open a database in memory: %w", err)
	}
	return &Store{read: only, write: only, dialect: goose.DialectSQLite3, faultOf: sqliteFault}, nil
}

func openSQLite(ctx context.Context, uri string, connections int) (*sql.DB, error) {
	db, err := sql.Open("sqlite", uri)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxLifetime(0)
	db.SetConnMaxIdleTime(0)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// sqliteURI returns a file name as https://www.sqlite.org/uri.html defines it.
func sqliteURI(absolute string, pragmas ...string) string {
	path := filepath.ToSlash(absolute)
	if !strings.HasPrefix(path, "/") { // C:/folder/file
		path = "/" + path
	}
	query := url.Values{
		"_txlock": {"immediate"},
		"_pragma": append([]string{
			fmt.Sprintf("busy_timeout(%d)", sqliteBusyMilliseconds),
			"foreign_keys(1)",
		}, pragmas...),
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode()
}

// sqliteFault recognizes waits for a lock or a connection, and a full disk.
func sqliteFault(err error) fault {
	if errors.Is(err, context.DeadlineExceeded) {
		return faultBusy
	}
	var e *sqlite.Error
	// The low byte is the primary result code.
	if !errors.As(err, &e) {
		return faultOther
	}
	switch e.Code() & 0xff {
	case sqlitelib.SQLITE_BUSY:
		return faultBusy
	case sqlitelib.SQLITE_FULL, sqlitelib.SQLITE_READONLY:
		return faultFull // the transaction was undone
	}
	return faultOther
}

// sqliteProblem explains err, if its meaning is known.
func sqliteProblem(path string, err error) error {
	var e *sqlite.Error
	switch {
	case sqliteFault(err) == faultFull:
		return &storeProblem{"the database " + path + " cannot be used: check that its disk has room and that the file is writable", err}
	case errors.As(err, &e) && (e.Code()&0xff == sqlitelib.SQLITE_NOTADB || e.Code()&0xff == sqlitelib.SQLITE_CORRUPT):
		return &storeProblem{"the file " + path + " is not a database, or it is damaged: name another, or restore its backup", err}
	}
	return err
}
