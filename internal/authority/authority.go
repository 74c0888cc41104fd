package authority

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/api"
	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
	"github.com/kenbun/kenbun-mcp/internal/authority/faults"
	"github.com/kenbun/kenbun-mcp/internal/authority/limits"
	"github.com/kenbun/kenbun-mcp/internal/authority/pepper"
	"github.com/kenbun/kenbun-mcp/internal/authority/store"
	"github.com/kenbun/kenbun-mcp/internal/authority/usage"
	"github.com/kenbun/kenbun-mcp/internal/authority/web"
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

	// Pepper is the content of a pepper file where there is none: a line for each
	// key, its version, a colon and 32 bytes in base64, with ascending versions. New
	// tokens are hashed under the last.
	Pepper string

	// TokenLimit is how many active tokens a user may have at a time; zero
	// means [DefaultTokenLimit].
	TokenLimit int

	// MaxTokenLifetime is how long a token may live from its creation on. If it is
	// set, no new token can be without an expiry. Existing tokens stay as they are.
	// Zero means any lifetime.
	MaxTokenLifetime time.Duration

	// KeepDead is how long tokens are kept that were revoked or have expired, such
	// as [store.DefaultKeepDead]. They are removed within an hour after that, with
	// what is recorded of their use, but not before the tokens that were made with
	// them. Zero keeps them for ever.
	KeepDead time.Duration

	// UsageRetention is how long the uses of tokens are kept; zero means
	// [usage.DefaultRetention]. They are removed within an hour after that.
	UsageRetention time.Duration

	// UsagePerToken is how many uses of one token are kept, the newest, and
	// before the others are removed up to a tenth more; zero means
	// [usage.DefaultPerToken].
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

	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix

	// Faults are injected failures.
	Faults faults.Plan

	// Logger receives one record for each request and each refused credential.
	// No record holds a token's value. Nil discards them.
	Logger *slog.Logger

	// Web has [Authority.Handler] serve the web page below /web, too.
	Web bool

	// WebURL is the address under which browsers reach the web page, such as
	// https://tokens.example.com. The page is then served under that host alone,
	// and over https its session's cookie never leaves TLS. Empty means that any
	// host is answered, and that browsers see the address that is served here.
	WebURL string

	// Now returns the time; nil means [time.Now]. It is the only clock, so that a test
	// can move it. It must be safe for concurrent use.
	Now func() time.Time
}

// Authority issues, verifies and revokes tokens. It is safe for concurrent use, and
// several may be open on one SQLite file or PostgreSQL database at a time, in one
// process or in several.
type Authority struct {
	*domain.Directory
	*domain.Tokens
	*domain.Sessions
	*pepper.Ring
	*domain.Verifier

	store   *store.Store
	lastUse *usage.LastUsed
	uses    *usage.Log
	api     *api.API
	pages   *web.Handler // nil: not served
	clock   func() time.Time
	close   func() error
}

// Open opens the store that cfg names, brings its schema up to date and reads the
// pepper. ctx limits the opening alone. A database that was written by a newer version
// of this program is refused, and so is one whose pepper is missing or another.
func Open(ctx context.Context, cfg Config) (*Authority, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	log := cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	a := &Authority{clock: cfg.Now}
	if a.clock == nil {
		a.clock = time.Now
	}
	var address *url.URL
	if cfg.WebURL != "" {
		var err error
		if address, err = web.ParseURL(cfg.WebURL); err != nil {
			return nil, err
		}
	}
	if err := a.open(ctx, cfg, log); err != nil {
		return nil, err
	}
	var err error
	a.uses, err = usage.NewLog(a.store, cmp.Or(cfg.UsageRetention, usage.DefaultRetention), cmp.Or(cfg.UsagePerToken, usage.DefaultPerToken), a.now, log) //nolint:contextcheck // it outlives the opening and ends with Close
	if err != nil {
		return nil, errors.Join(err, a.store.Close())
	}
	a.lastUse = usage.NewLastUsed(a.store, log)                          //nolint:contextcheck // the same
	retention := store.StartRetention(a.store, cfg.KeepDead, a.now, log) //nolint:contextcheck // the same
	a.Directory = &domain.Directory{Store: a.store, Now: a.now}
	a.Tokens = &domain.Tokens{
		Store: a.store, Hasher: a.Ring, Directory: a.Directory, Now: a.now,
		Limit: cmp.Or(cfg.TokenLimit, DefaultTokenLimit), MaxLifetime: cfg.MaxTokenLifetime,
	}
	a.Sessions = &domain.Sessions{Store: a.store, Hasher: a.Ring, Directory: a.Directory, Now: a.now}
	a.Verifier = &domain.Verifier{Records: a.store, Hasher: a.Ring, LastUse: a.lastUse, Now: a.now}
	gateway := &exchange.Gateway{
		Log: log, Now: a.now, Addresses: limits.NewAddresses(cfg.AddressRateLimit), Proxies: cfg.TrustedProxies, Unavailable: a.store.Unavailable,
	}
	a.api = &api.API{
		Gateway: gateway, Verifier: a.Verifier, Tokens: a.Tokens, Users: a.Directory, Usage: a.uses,
		Limits: limits.NewTokens(cfg.RateLimits), Faults: faults.NewInjector(cfg.Faults, log), Ping: a.store.Ping,
	}
	if cfg.Web {
		a.pages = &web.Handler{
			Gateway: gateway, Verifier: a.Verifier, Tokens: a.Tokens, Sessions: a.Sessions, Hasher: a.Ring, URL: address, Flush: a.uses.Flush,
		}
	}
	a.close = sync.OnceValue(func() error {
		retention.Close()
		a.lastUse.Stop()
		a.uses.Stop()
		return a.store.Close()
	})
	return a, nil
}

func (cfg Config) validate() error {
	switch {
	case cfg.TokenLimit < 0:
		return &domain.InvalidError{Field: "token limit", Problem: fmt.Sprintf("must be 1 or more, or 0 for the default of %d", DefaultTokenLimit)}
	case cfg.UsageRetention < 0 || cfg.UsagePerToken < 0:
		return &domain.InvalidError{Field: "usage limits", Problem: "must be more than nothing, or 0 for the defaults"}
	case cfg.MaxTokenLifetime < 0 || cfg.KeepDead < 0:
		return &domain.InvalidError{Field: "token lifetimes", Problem: "must be more than nothing, or 0 for no limit"}
	case cfg.Pepper != "" && cfg.PepperFile != "":
		return &domain.InvalidError{Field: "pepper", Problem: "is given twice: name a file, or give its content"}
	}
	for _, rate := range cfg.RateLimits {
		if err := rate.Validate(); err != nil {
			return err
		}
	}
	if cfg.AddressRateLimit != (limits.Rate{}) {
		if err := cfg.AddressRateLimit.Validate(); err != nil {
			return err
		}
	}
	return cfg.Faults.Validate()
}

// open opens the store and loads the peppers that belong to it.
func (a *Authority) open(ctx context.Context, cfg Config, log *slog.Logger) error {
	location, err := store.ParseLocation(cfg.Store)
	if err != nil {
		return err
	}
	source := pepper.Source{File: cfg.PepperFile, Text: cfg.Pepper}
	switch {
	case source != (pepper.Source{}):
	case location.IsShared():
		return &domain.InvalidError{Field: "pepper", Problem: "must be given for a store in PostgreSQL, since all nodes need the same one: name its file, or give its content"}
	case location.Path != "":
		source.File = pepper.Beside(location.Path)
	}
	a.store, err = store.Open(ctx, location, log, func(db *store.Store) (err error) {
		a.Ring, err = pepper.Load(ctx, db, source, a.now)
		return err
	})
	return err
}

// Close writes what is still to be written and closes the store. Requests that are
// under way should have ended: they fail once it is closed. Further calls return what
// the first did.
func (a *Authority) Close() error { return a.close() }

// now returns the clock's time at the precision that the store keeps, so that times
// compared now and read later are the same instant.
func (a *Authority) now() time.Time { return a.clock().UTC().Truncate(time.Microsecond) }

// Handler returns the HTTP interface, and the web page with [Config.Web].
func (a *Authority) Handler() http.Handler {
	endpoints := a.api.Handler()
	if a.pages == nil {
		return endpoints
	}
	pages := a.pages.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if web.IsPath(exchange.PlainPath(r.URL)) {
			pages.ServeHTTP(w, r)
			return
		}
		endpoints.ServeHTTP(w, r)
	})
}

// Serve answers requests on l until ctx ends, then waits up to five seconds for those
// that are under way, and returns nil. It closes l in any case, and leaves the
// authority open.
func (a *Authority) Serve(ctx context.Context, l net.Listener) error {
	return exchange.Serve(ctx, l, exchange.NewServer(a.Handler(), a.api.Gateway.Log))
}

// IssueSignInLink returns an address below base, which is that of the web page such as
// http://127.0.0.1:8780. A browser that opens it within ten minutes and confirms is signed in
// to the web page as the user, named by address or id, for
// [domain.DefaultSessionLifetime]. It works once. organization is where the session
// acts; it may be empty for a user who is in one only. The error is
// [domain.ErrSuspended] for a suspended user.
func (a *Authority) IssueSignInLink(ctx context.Context, user, organization, base string) (string, error) {
	address, err := web.ParseURL(base)
	if err != nil {
		return "", err
	}
	value, err := a.IssueLink(ctx, user, organization)
	if err != nil {
		return "", err
	}
	return address.JoinPath(web.SignInPath, value).String(), nil
}

// Seed fills the store with invented users and tokens, for measurements and
// screenshots. Nobody has the tokens' values: to act as one of the users, issue a
// session or a token.
func (a *Authority) Seed(ctx context.Context, cfg store.SeedConfig) (store.Seeded, error) {
	_, version := a.Digest("")
	return a.store.Seed(ctx, cfg, version, a.now())
}
