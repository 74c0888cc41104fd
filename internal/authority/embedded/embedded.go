// Package embedded runs the embedded API in this process, on a loopback port, with a
// first user and a first token.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/faults"
	"github.com/kenbun/kenbun-mcp/internal/authority/limits"
	"github.com/kenbun/kenbun-mcp/internal/authority/store"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/internal/settings"
)

const (
	// TokenName is the name of the token that the first start makes.
	TokenName = "kenbun-mcp (embedded)"

	tokenLifetime = 365 * 24 * time.Hour

	// The user of the first start, with an address that leads nowhere (RFC 6761,
	// section 6.3).
	userEmail     = "you@localhost"
	userFirstName = "Embedded"
	userLastName  = "User"
)

// Config configures [Start]. Its zero value keeps everything in memory.
type Config struct {
	// Dir is the folder with the database, the pepper and the first token, each
	// readable by its owner alone. It is made if missing. Empty means memory.
	Dir string

	TokenLimit int              // as in [authority.Config]
	RateLimits []limits.Rate    // as in [authority.Config]
	Faults     faults.Plan      // as in [authority.Config]
	Logger     *slog.Logger     // as in [authority.Config]
	Now        func() time.Time // as in [authority.Config]
}

// API is an authority that this process serves on a loopback port. Several processes may
// share its folder.
type API struct {
	authority *authority.Authority
	baseURL   string
	patFile   string
	close     func() error
	pat       string
	now       func() time.Time
}

// Start opens an authority over cfg.Dir and serves it on a free loopback port. The first
// start makes an owner and, for 365 days, a personal access token, which it keeps in the
// folder. ctx limits the start alone. A kept token that was revoked is not replaced;
// [API.CheckPAT] reports that. Deleting the folder starts afresh.
func Start(ctx context.Context, cfg Config) (_ *API, err error) {
	authorityConfig := authority.Config{
		TokenLimit: cfg.TokenLimit, KeepDead: store.DefaultKeepDead, RateLimits: cfg.RateLimits, Faults: cfg.Faults, Logger: cfg.Logger, Now: cfg.Now,
	}
	e := &API{now: cfg.Now}
	if e.now == nil {
		e.now = time.Now
	}
	if cfg.Dir != "" {
		dir, err := filepath.Abs(cfg.Dir)
		if err != nil {
			return nil, fmt.Errorf("find the folder %s: %w", cfg.Dir, err)
		}
		if err := privatefile.MakeFolder(dir); err != nil {
			return nil, err
		}
		authorityConfig.Store = "sqlite:" + DatabaseIn(dir)
		e.patFile = filepath.Join(dir, "pat")
	}
	if e.authority, err = authority.Open(ctx, authorityConfig); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.authority.Close())
		}
	}()
	if e.pat, err = e.firstStart(ctx); err != nil {
		return nil, err
	}
	listener, err := listenLoopback(ctx)
	if err != nil {
		return nil, err
	}
	e.baseURL = "http://" + listener.Addr().String()
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- e.authority.Serve(serving, listener) }()
	e.close = sync.OnceValue(func() error {
		stop()
		return errors.Join(<-served, e.authority.Close())
	})
	return e, nil
}

// DefaultDir returns the default folder, authority in [settings.DataFolder].
func DefaultDir() (string, error) {
	base, err := settings.DataFolder()
	if err != nil {
		return "", err
	}
	return filepath.Join(base, "authority"), nil
}

// DatabaseIn returns the path of the database file in a folder.
func DatabaseIn(dir string) string { return filepath.Join(dir, "kenbun.db") }

func listenLoopback(ctx context.Context) (net.Listener, error) {
	var listening net.ListenConfig
	l, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err == nil {
		return l, nil
	}
	l, err6 := listening.Listen(ctx, "tcp", "[::1]:0")
	if err6 != nil {
		return nil, fmt.Errorf("the embedded API cannot open a loopback port: %w", errors.Join(err, err6))
	}
	return l, nil
}

// firstStart returns the kept token. At the first start it makes the token and its user;
// another process that starts at the same time waits.
func (e *API) firstStart(ctx context.Context) (_ string, err error) {
	if e.patFile == "" {
		return e.mintFirst(ctx)
	}
	unlock, err := privatefile.Lock(ctx, e.patFile)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	kept, err := readPATFile(e.patFile)
	if !errors.Is(err, fs.ErrNotExist) {
		return kept, err
	}
	minted, err := e.mintFirst(ctx)
	if err != nil {
		return "", err
	}
	if err := privatefile.Write(e.patFile, []byte(minted+"\n")); err != nil {
		return "", fmt.Errorf("keep the token in %s: %w", e.patFile, err)
	}
	return minted, nil
}

// mintFirst makes the user and the token. It revokes the token of an interrupted start,
// whose value nobody has.
func (e *API) mintFirst(ctx context.Context) (string, error) {
	a := e.authority
	_, err := a.AddUser(ctx, domain.NewUser{Email: userEmail, FirstName: userFirstName, LastName: userLastName, Role: domain.RoleOwner})
	if err != nil && !errors.Is(err, domain.ErrUserExists) {
		return "", fmt.Errorf("make the first user: %w", err)
	}
	user, err := a.Member(ctx, userEmail, "")
	if err != nil {
		return "", fmt.Errorf("find the first user: %w", err)
	}
	tokens, err := a.TokensOf(ctx, user.ID)
	if err != nil {
		return "", err
	}
	for _, t := range tokens {
		if t.Name == TokenName && t.RevokedAt == nil {
			if err := a.Revoke(ctx, user.ID, t.ID); err != nil {
				return "", fmt.Errorf("revoke the token of an interrupted start: %w", err)
			}
		}
	}
	expires := e.now().Add(tokenLifetime)
	issued, err := a.IssueToken(ctx, user.ID, TokenName, &expires)
	if err != nil {
		return "", fmt.Errorf("make the first token: %w", err)
	}
	return issued.Value, nil
}

// maxPATFile bounds the file of the kept token, in bytes.
const maxPATFile = 4 << 10

func readPATFile(path string) (string, error) {
	content, err := privatefile.ReadSecret(path, maxPATFile)
	if err != nil {
		return "", fmt.Errorf("read the kept token: %w", err)
	}
	pat, err := settings.Value(content)
	if err != nil {
		return "", fmt.Errorf("read the kept token in %s: %w", path, err)
	}
	if pat == "" {
		return "", fmt.Errorf("the file %s should hold a token and is empty: delete it to have another made", path)
	}
	return pat, nil
}

// BaseURL is the address of the API, such as http://127.0.0.1:41234.
func (e *API) BaseURL() string { return e.baseURL }

// PAT returns the kept personal access token.
func (e *API) PAT() string { return e.pat }

// PATFile is the file that holds the kept token and a line break. It is empty in memory.
func (e *API) PATFile() string { return e.patFile }

// ErrKeptPATRefused indicates that the kept token does not work any more.
var ErrKeptPATRefused = errors.New("the embedded API does not accept its kept token any more")

// CheckPAT reports whether the kept token works. The error is [ErrKeptPATRefused], with
// the cause and the remedy, if it was revoked or has expired.
func (e *API) CheckPAT(ctx context.Context) error {
	_, err := e.authority.Authenticate(ctx, e.PAT())
	var refused *domain.Refusal
	if !errors.As(err, &refused) {
		return err
	}
	if e.patFile == "" {
		return fmt.Errorf("%w: it is %s; start again to have another", ErrKeptPATRefused, refused.Cause)
	}
	return fmt.Errorf("%w: it is %s; delete the folder %s to start afresh, or only the file %s in it to keep its tokens and have another one made",
		ErrKeptPATRefused, refused.Cause, filepath.Dir(e.patFile), filepath.Base(e.patFile))
}

// Close stops serving and closes the authority. Further calls return what the first did.
func (e *API) Close() error { return e.close() }
