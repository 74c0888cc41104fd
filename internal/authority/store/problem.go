package store

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// storeProblem says to the operator why a database cannot be opened.
type storeProblem struct {
	text  string
	cause error
}

func (e *storeProblem) Error() string { return e.text }
func (e *storeProblem) Unwrap() error { return e.cause }

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
