package authority

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// DefaultTokenLimit is how many active tokens a user may have when
// [Config.TokenLimit] is zero. Revoked and expired tokens do not count.
const DefaultTokenLimit = 50

// Config says how an [Authority] is opened. Its zero value is an authority in
// memory.
type Config struct {
	// Store is where everything is kept: "memory", which is also meant by "",
	// or "sqlite:PATH". A missing database file is made, readable by its owner
	// alone, and so is its folder. The folder may not be writable by others.
	Store string

	// PepperFile holds the key under which token values are hashed. If empty
	// it is the file "pepper" beside the database file. It is made when it is
	// missing and the database is new. In memory there is none unless one is
	// named here.
	PepperFile string

	// TokenLimit is how many active tokens a user may have at a time; zero
	// means [DefaultTokenLimit].
	TokenLimit int

	// Logger receives one record for each request and each refused credential.
	// No record holds a token's value. Nil discards them.
	Logger *slog.Logger

	// Web has [Authority.Handler] serve the web page below /web, too.
	Web bool

	// WebURL is the address under which browsers reach the web page, such as
	// https://tokens.example.com. The page is then served under that host alone,
	// and over https its session's cookie never leaves TLS. Empty means that any
	// host is answered, and that what a browser sees is what is served here.
	WebURL string

	// Now tells the time; nil means [time.Now]. Nothing else does, so that a
	// test can move it. It must be safe for concurrent use.
	Now func() time.Time
}

// Authority issues, verifies and revokes tokens. It is safe for concurrent
// use, and several may be open on one SQLite file at a time, in one process or
// in several.
type Authority struct {
	db         *database
	peppers    keyring
	tokenLimit int
	log        *slog.Logger
	clock      func() time.Time
	lastUsed   *lastUsedWriter

	web         bool
	webURL      *url.URL // nil if none was given
	crossOrigin *http.CrossOriginProtection

	close func() error
}

// Open opens the store that cfg names, brings its schema up to date and reads
// the pepper. ctx limits the opening alone. A database that was written by a
// newer version of this program is refused, and so is one whose pepper is
// missing or another.
func Open(ctx context.Context, cfg Config) (*Authority, error) {
	if cfg.TokenLimit < 0 {
		return nil, &InvalidError{Field: "token limit", Problem: fmt.Sprintf("must be 1 or more, or 0 for the default of %d", DefaultTokenLimit)}
	}
	a := &Authority{tokenLimit: cfg.TokenLimit, log: cfg.Logger, clock: cfg.Now, web: cfg.Web, crossOrigin: http.NewCrossOriginProtection()}
	if cfg.WebURL != "" {
		var err error
		if a.webURL, err = ParseWebURL(cfg.WebURL); err != nil {
			return nil, err
		}
	}
	if a.tokenLimit == 0 {
		a.tokenLimit = DefaultTokenLimit
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.clock == nil {
		a.clock = time.Now
	}
	location, err := parseStore(cfg.Store)
	if err != nil {
		return nil, err
	}
	if location.path == "" {
		err = a.openMemory(ctx, cfg.PepperFile)
	} else {
		err = a.openFile(ctx, location.path, cfg.PepperFile)
	}
	if err != nil {
		return nil, err
	}
	a.lastUsed = startLastUsedWriter(a.db, a.log) //nolint:contextcheck // it outlives the opening and ends with Close
	a.close = sync.OnceValue(func() error {
		a.lastUsed.stop()
		return a.db.Close()
	})
	return a, nil
}

func (a *Authority) openMemory(ctx context.Context, pepperFile string) error {
	db, err := openSQLiteMemory(ctx)
	if err != nil {
		return err
	}
	return a.attach(ctx, db, pepperFile)
}

func (a *Authority) openFile(ctx context.Context, path, pepperFile string) (err error) {
	if err := prepareDatabaseFolder(path); err != nil {
		return err
	}
	// Two processes that open a new file together would both migrate it and
	// would each make a pepper, one of which would be lost.
	lock, err := lockFile(ctx, path+".lock")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	db, err := openSQLiteFile(ctx, path)
	if err != nil {
		return err
	}
	if pepperFile == "" {
		pepperFile = pepperBeside(path)
	}
	return a.attach(ctx, db, pepperFile)
}

// attach migrates db and takes it over; on failure it is closed.
func (a *Authority) attach(ctx context.Context, db *database, pepperFile string) error {
	err := migrate(ctx, db)
	if err == nil {
		a.peppers, err = loadPeppers(ctx, db, pepperFile)
	}
	if err == nil {
		err = db.prepare(ctx, len(a.peppers))
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	a.db = db
	return nil
}

// Close writes what is still to be written and closes the store. Requests that
// are under way should have ended: they fail once it is closed. Further calls
// return what the first did.
func (a *Authority) Close() error { return a.close() }

// now is the clock's time at the precision that the store keeps, so that what
// is compared now and what is read later are the same instant.
func (a *Authority) now() time.Time {
	return a.clock().UTC().Truncate(time.Microsecond)
}
