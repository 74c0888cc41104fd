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

// DefaultTokenLimit is the default of [Config.TokenLimit].
const DefaultTokenLimit = 50

// Config configures an [Authority]. Its zero value is an authority in memory.
type Config struct {
	// Store is "memory" (the default), "sqlite:PATH", or a PostgreSQL address such as
	// "postgres://USER@HOST:PORT/DATABASE". A missing SQLite file and its folder are
	// made, readable by the owner alone; the folder may not be writable by others. A
	// PostgreSQL database must exist. No error or log record holds its password.
	Store string

	// PepperFile holds the keys under which token values are hashed, by default the
	// file "pepper" beside the database file. It is made for a new database. A memory
	// store needs none. PostgreSQL requires PepperFile or Pepper.
	PepperFile string

	// Pepper is the content of a pepper file: a line for each key, its version, a
	// colon and 32 bytes in base64, with ascending versions. The last is for new tokens.
	Pepper string

	// TokenLimit bounds a user's active tokens, without revoked and expired ones.
	// Zero means [DefaultTokenLimit].
	TokenLimit int

	// MaxTokenLifetime bounds a new token's lifetime and makes an expiry mandatory.
	// Existing tokens stay as they are. Zero means any lifetime.
	MaxTokenLifetime time.Duration

	// KeepDead is how long revoked and expired tokens are kept, with their uses. They
	// are removed within an hour after that, but not before the tokens that were made
	// with them. Zero keeps them forever.
	KeepDead time.Duration

	// UsageRetention is how long uses of tokens are kept, up to an hour more. Zero
	// means [usage.DefaultRetention].
	UsageRetention time.Duration

	// UsagePerToken is how many uses of a token are kept, up to a tenth more. Zero
	// means [usage.DefaultPerToken].
	UsagePerToken int

	// RateLimits bound the requests of each personal access token, in periods that
	// begin with a whole minute, or at midnight UTC. Each process counts for itself.
	// Empty means no limit.
	RateLimits []limits.Rate

	// AddressRateLimit bounds the requests from an IPv4 address or IPv6 /64 network
	// to this process, a sixth of them (at least 10) at once, before authentication.
	// Zero means no limit.
	AddressRateLimit limits.Rate

	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix

	// Faults are injected failures.
	Faults faults.Plan

	// Logger receives a record for each request and each refused credential, without
	// token values. Nil discards them.
	Logger *slog.Logger

	// Web has [Authority.Handler] serve the web page below /web, too.
	Web bool

	// WebURL is the address under which browsers reach the web page, such as
	// https://tokens.example.com. Other hosts are then refused, and over https the
	// session's cookie never leaves TLS. Empty means any host.
	WebURL string

	// Now is the only clock, safe for concurrent use. Nil means [time.Now].
	Now func() time.Time
}

// Authority issues, verifies and revokes tokens. It is safe for concurrent use, and
// several processes may share an SQLite file or a PostgreSQL database.
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

// Open opens the store of cfg, migrates its schema and reads the pepper. ctx limits the
// opening alone. Open refuses a database of a newer version, and a wrong pepper.
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

// Close flushes and closes the store. Requests under way fail. Further calls return what
// the first did.
func (a *Authority) Close() error { return a.close() }

// now returns the time at the precision that the store keeps.
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

// Serve answers requests on l until ctx ends, then waits up to five seconds for requests
// under way, and returns nil. It closes l, but not the authority.
func (a *Authority) Serve(ctx context.Context, l net.Listener) error {
	return exchange.Serve(ctx, l, exchange.NewServer(a.Handler(), a.api.Gateway.Log))
}

// IssueSignInLink returns an address below base, the address of the web page. It signs a
// browser in as the user, named by address or id, once, within ten minutes, for
// [domain.DefaultSessionLifetime]. organization may be empty for a user with one. The
// error is [domain.ErrSuspended] for a suspended user.
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

// Seed adds invented users and tokens, for measurements and screenshots. Nobody has the
// tokens' values.
func (a *Authority) Seed(ctx context.Context, cfg store.SeedConfig) (store.Seeded, error) {
	_, version := a.Digest("")
	return a.store.Seed(ctx, cfg, version, a.now())
}
