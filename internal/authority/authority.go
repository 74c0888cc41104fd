package authority

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kenbun/kenbun-mcp/internal/authority/faults"
	"github.com/kenbun/kenbun-mcp/internal/authority/limits"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
)

// DefaultTokenLimit is how many active tokens a user may have when
// [Config.TokenLimit] is zero. Revoked and expired tokens do not count.
const DefaultTokenLimit = 50

// Config says how an [Authority] is opened. Its zero value is an authority in
// memory.
type Config struct {
	// Store is where everything is kept: "memory", which is also meant by "",
	// "sqlite:PATH", or "postgres://USER@HOST:PORT/DATABASE" with what else
	// libpq understands in an address. A missing database file is made, readable
	// by its owner alone, and so is its folder. The folder may not be writable
	// by others. A PostgreSQL database has to exist, and several nodes may share
	// it. No error and no log record holds its password.
	Store string

	// PepperFile holds the keys under which token values are hashed. If empty
	// it is the file "pepper" beside the database file. It is made when it is
	// missing and the database is new. In memory there is none unless one is
	// named here, and with PostgreSQL one has to be.
	PepperFile string

	// Pepper is what would stand in PepperFile, where there is to be none: a
	// line for each key, its version, a colon and 32 bytes in base64, with
	// ascending versions. New tokens are hashed under the last.
	Pepper string

	// TokenLimit is how many active tokens a user may have at a time; zero
	// means [DefaultTokenLimit].
	TokenLimit int

	// MaxTokenLifetime is how long a token may live from its creation on. Where it
	// is set, none can be made that never expires; those that are there stay. Zero
	// means any lifetime.
	MaxTokenLifetime time.Duration

	// KeepDead is how long tokens are kept that were revoked or have expired, such
	// as [DefaultKeepDead]. They are removed within an hour after that, with what is
	// recorded of their use, but not before the tokens that were made with them.
	// Zero keeps them for ever.
	KeepDead time.Duration

	// UsageRetention is how long the uses of tokens are kept; zero means
	// [DefaultUsageRetention]. They are removed within an hour after that.
	UsageRetention time.Duration

	// UsagePerToken is how many uses of one token are kept, the newest, and
	// before the others are removed up to a tenth more; zero means
	// [DefaultUsagePerToken].
	UsagePerToken int

	// RateLimits are how many requests of one personal access token are
	// answered, in fixed periods that begin with a whole minute, or at midnight
	// UTC. All of them hold. Each process counts for itself, from its start on.
	// Empty means any number.
	RateLimits []limits.Rate

	// AddressRateLimit is how many requests may come from one IPv4 address or
	// IPv6 network of 64 bits to this process, a sixth of them (at least 10) at
	// once. It counts before authentication and apart from RateLimits. Zero
	// means any number.
	AddressRateLimit limits.Rate

	// TrustedProxies are the networks whose X-Forwarded-For tells the client's
	// address. Nobody else's is believed.
	TrustedProxies []netip.Prefix

	// Faults are what goes wrong on demand.
	Faults faults.Plan

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
// use, and several may be open on one SQLite file or PostgreSQL database at a
// time, in one process or in several.
type Authority struct {
	db         *database
	peppers    *peppers
	tokenLimit int
	// maxTokenLifetime is 0 for any.
	maxTokenLifetime time.Duration
	forgetter        *forgetter // nil: tokens are kept for ever
	log              *slog.Logger
	clock            func() time.Time
	lastUsed         *lastUsedWriter
	usage            *usageWriter
	watch            *nodeWatch // nil where no other node can be heard of
	close            func() error

	web         bool
	webURL      *url.URL // nil if none was given
	crossOrigin *http.CrossOriginProtection

	proxies      []netip.Prefix
	tokenLimits  *limits.Tokens
	addressLimit *limits.Addresses // nil: none
	faults       *faults.Injector
}

// Open opens the store that cfg names, brings its schema up to date and reads
// the pepper. ctx limits the opening alone. A database that was written by a
// newer version of this program is refused, and so is one whose pepper is
// missing or another.
func Open(ctx context.Context, cfg Config) (*Authority, error) {
	if cfg.TokenLimit < 0 {
		return nil, &InvalidError{Field: "token limit", Problem: fmt.Sprintf("must be 1 or more, or 0 for the default of %d", DefaultTokenLimit)}
	}
	if cfg.UsageRetention < 0 || cfg.UsagePerToken < 0 {
		return nil, &InvalidError{Field: "usage limits", Problem: "must be more than nothing, or 0 for the defaults"}
	}
	if cfg.MaxTokenLifetime < 0 || cfg.KeepDead < 0 {
		return nil, &InvalidError{Field: "token lifetimes", Problem: "must be more than nothing, or 0 for no limit"}
	}
	a := &Authority{tokenLimit: cfg.TokenLimit, maxTokenLifetime: cfg.MaxTokenLifetime, log: cfg.Logger, clock: cfg.Now, web: cfg.Web, crossOrigin: http.NewCrossOriginProtection()}
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
	if err := cfg.validateAdmission(); err != nil {
		return nil, err
	}
	location, err := parseStore(cfg.Store)
	if err != nil {
		return nil, err
	}
	if cfg.Pepper != "" && cfg.PepperFile != "" {
		return nil, &InvalidError{Field: "pepper", Problem: "is given twice: name a file, or give its content"}
	}
	peppers := pepperSource{file: cfg.PepperFile, text: cfg.Pepper}
	switch {
	case location.postgres != nil:
		err = postgresProblem(a.openPostgres(ctx, location.postgres, peppers))
	case location.path != "":
		err = sqliteProblem(location.path, a.openFile(ctx, location.path, peppers))
	default:
		err = a.openMemory(ctx, peppers)
	}
	if err != nil {
		return nil, err
	}
	a.usage, err = startUsageWriter(a, cmp.Or(cfg.UsageRetention, DefaultUsageRetention), cmp.Or(cfg.UsagePerToken, DefaultUsagePerToken)) //nolint:contextcheck // it outlives the opening and ends with Close
	if err != nil {
		return nil, errors.Join(err, a.db.Close())
	}
	if a.db.nodes != nil {
		a.watch = watchNodes(a.db.nodes, a.db.cache, a.log) //nolint:contextcheck // it outlives the opening and ends with Close
	}
	a.lastUsed = startLastUsedWriter(a.db, a.log) //nolint:contextcheck // it outlives the opening and ends with Close
	a.openGate(cfg)
	a.forgetter = startForgetter(a, cfg.KeepDead) //nolint:contextcheck // the same
	a.close = sync.OnceValue(func() error {
		a.forgetter.close()
		a.lastUsed.stop()
		a.usage.stop()
		if a.watch != nil {
			a.watch.Close()
		}
		return a.db.Close()
	})
	return a, nil
}

func (a *Authority) openMemory(ctx context.Context, source pepperSource) error {
	db, err := openSQLiteMemory(ctx)
	if err != nil {
		return err
	}
	return a.attach(ctx, db, source)
}

func (a *Authority) openFile(ctx context.Context, path string, source pepperSource) (err error) {
	if err := privatefile.MakeFolderOf(path); err != nil {
		return err
	}
	// Two processes that open a new file together would both migrate it and
	// would each make a pepper, one of which would be lost.
	unlock, err := privatefile.Lock(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	db, err := openSQLiteFile(ctx, path)
	if err != nil {
		return err
	}
	if source == (pepperSource{}) {
		source.file = pepperBeside(path)
	}
	return a.attach(ctx, db, source)
}

func (a *Authority) openPostgres(ctx context.Context, config *pgx.ConnConfig, source pepperSource) (err error) {
	if source == (pepperSource{}) {
		return &InvalidError{Field: "pepper", Problem: "must be named for a store in PostgreSQL, since all nodes need the same: name its file, or give its content"}
	}
	unlock, err := lockPostgres(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	db, err := openPostgres(ctx, config)
	if err != nil {
		return err
	}
	return a.attach(ctx, db, source)
}

// attach migrates db and takes it over; on failure it is closed.
func (a *Authority) attach(ctx context.Context, db *database, source pepperSource) error {
	err := migrate(ctx, db)
	if err == nil {
		a.peppers, err = loadPeppers(ctx, db, source, a.now())
	}
	if err == nil {
		err = db.prepare(ctx)
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
