package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

const (
	// Reads have connections of their own, so that changes waiting for one another do
	// not block verification.
	postgresReaders = 8
	postgresWriters = 8

	postgresConnectTimeout = 5 * time.Second

	// postgresLife moves connections to another server behind the name in time, such
	// as after a failover.
	postgresLife = 30 * time.Minute

	// migrationLock is the key of the advisory lock for migrations: "kenbun" in ASCII.
	migrationLock = 0x6b656e62756e
)

// postgresParameters hold for a session unless the address sets them.
var postgresParameters = map[string]string{
	"application_name": "kenbun-mcp authority",
	"lock_timeout":     "5s",
	// A node that stalls in a change must not keep its locks.
	"statement_timeout":                   "15s",
	"idle_in_transaction_session_timeout": "30s",
}

// parsePostgres reads an address. Its errors do not repeat it, since it may hold a
// password.
func parsePostgres(address string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, &domain.InvalidError{Field: "store", Problem: "is not a valid address of a PostgreSQL database: write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE, with % codes for special characters, and check that the files exist that it or the PG variables name"}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = postgresConnectTimeout
	}
	for name, value := range postgresParameters {
		if _, set := config.RuntimeParams[name]; !set {
			config.RuntimeParams[name] = value
		}
	}
	return config, nil
}

func openPostgres(ctx context.Context, config *pgx.ConnConfig) (*Store, error) {
	cache, err := newCache()
	if err != nil {
		return nil, err
	}
	open := func(connections int) *sql.DB {
		pool := stdlib.OpenDB(*config)
		pool.SetMaxOpenConns(connections)
		pool.SetMaxIdleConns(connections)
		pool.SetConnMaxLifetime(postgresLife)
		return pool
	}
	db := &Store{
		read: open(postgresReaders), write: open(postgresWriters),
		dialect: goose.DialectPostgres, faultOf: postgresFault, nodes: config, cache: cache,
		announce: `SELECT pg_notify('` + verificationChannel + `', '')`,
	}
	if err := db.write.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("reach the PostgreSQL database: %w", err), db.Close())
	}
	return db, nil
}

// lockPostgres keeps other nodes from opening the database. The lock ends with the
// connection, even if the process is killed.
func lockPostgres(ctx context.Context, config *pgx.ConnConfig) (unlock func() error, err error) {
	patient := config.Copy()
	patient.RuntimeParams["lock_timeout"] = "60s"
	patient.RuntimeParams["statement_timeout"] = "60s"
	conn, err := pgx.ConnectConfig(ctx, patient)
	if err != nil {
		return nil, fmt.Errorf("reach the PostgreSQL database: %w", err)
	}
	// The lock outlives ctx.
	unlock = func() error { return conn.Close(context.WithoutCancel(ctx)) }
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationLock)); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for other nodes to open the database: %w", err), unlock())
	}
	return unlock, nil
}

// postgresFault classifies an error by PostgreSQL's error codes (Appendix A).
func postgresFault(err error) fault {
	var answered *pgconn.PgError
	if errors.As(err, &answered) {
		switch code := answered.Code; {
		case code == "40001", code == "40P01": // serialization failure, deadlock
			return faultConflict
		case code == "55P03", code == "57014": // a lock or a statement took too long
			return faultBusy
		case code == "25006", code == "53100": // read only, as a standby is; the disk is full
			return faultFull
		case strings.HasPrefix(code, "08"), strings.HasPrefix(code, "53"), // connection, resources
			strings.HasPrefix(code, "57P"),   // shut down, starting up
			strings.HasPrefix(code, "25P03"): // waited too long within a transaction
			return faultGone
		}
		return faultOther
	}
	var network net.Error // a deadline that has passed is one too
	var connecting *pgconn.ConnectError
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return faultOther
	case pgconn.SafeToRetry(err), errors.As(err, &network), errors.As(err, &connecting),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone):
		return faultGone
	}
	return faultOther
}

// postgresProblems are refusals by PostgreSQL's error codes (Appendix A).
var postgresProblems = map[string]string{
	"28P01": refusedPostgresUser,
	"28000": refusedPostgresUser,
	"3D000": "it has no database of that name; make it with createdb, or name another",
	"42501": "its user lacks a right there; make the user the owner of the database and of all that is in it",
	"25006": "it is read-only, as a standby is; name the primary",
	"53100": "its disk is full",
	"53300": "it accepts no more connections; each node needs 18, so raise max_connections or the limit of the user",
	"57P03": "it is starting up or shutting down",
}

const refusedPostgresUser = "it refuses the user name or password of the store"

// postgresProblem explains err, if its meaning is known.
func postgresProblem(err error) error {
	var answered *pgconn.PgError
	var connecting *pgconn.ConnectError
	var network net.Error
	var name *net.DNSError
	var dial *net.OpError
	var why string
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &answered):
		why = postgresProblems[answered.Code]
	case !errors.As(err, &connecting):
		return err
	case strings.Contains(err.Error(), "refused TLS"): // the library has no type for it
		why = "it does not offer TLS, which sslmode in the address requires"
	case errors.As(err, &name):
		why = "its host name cannot be resolved here"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		why = "it does not answer in time; check that it is PostgreSQL, and that this machine can reach it"
	case errors.As(err, &dial) && dial.Op == "dial":
		why = "no connection could be made; check that it runs at the store's address, and that this machine can reach it"
	}
	if why == "" {
		return err
	}
	return &storeProblem{"the PostgreSQL database cannot be used: " + why, err}
}
