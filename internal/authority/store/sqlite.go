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

// sqliteReaders bounds the connections that verify and list at the same time.
// Readers of a write-ahead log do not wait for each other or for the writer.
const sqliteReaders = 8

// sqliteBusyMilliseconds is how long a statement waits for another process to
// release its lock.
const sqliteBusyMilliseconds = 5000

func openSQLiteFile(ctx context.Context, path string) (*Store, error) {
	// SQLite would make the file readable by everybody. It gives the log and the shared
	// memory beside the file the permissions of the file.
	if err := privatefile.Create(path); err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the folder of the database: %w", err)
	}
	write, err := openSQLite(ctx, sqliteURI(absolute,
		"journal_mode(WAL)",
		// An answer must survive a loss of power, above all the one that says
		// that a token is revoked; NORMAL would not sync the log at commit.
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

// openSQLiteMemory opens a database that lives in one connection and goes with
// it, so that both pools are that connection.
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

// sqliteURI names a file in the form of https://www.sqlite.org/uri.html, in
// which any character of a path can be written.
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

// sqliteFault knows of waiting, for a lock or for the one connection that writes,
// and of a disk without room: a file does not go away by itself.
func sqliteFault(err error) fault {
	if errors.Is(err, context.DeadlineExceeded) {
		return faultBusy
	}
	var e *sqlite.Error
	// The low byte is the primary result code, the rest tells kinds of it apart.
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
