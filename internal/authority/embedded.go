package authority

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

	"github.com/kenbun/kenbun-mcp/internal/authority/faults"
	"github.com/kenbun/kenbun-mcp/internal/authority/limits"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/internal/settings"
)

const (
	// EmbeddedTokenName is the name of the token that the first start makes.
	EmbeddedTokenName = "kenbun-mcp (embedded)"

	embeddedTokenLifetime = 365 * 24 * time.Hour

	// The user of the first start. The address leads nowhere (RFC 6761,
	// section 6.3), because nobody was asked for one.
	embeddedEmail     = "you@localhost"
	embeddedFirstName = "Embedded"
	embeddedLastName  = "User"
)

// EmbeddedConfig says how [StartEmbedded] runs. Its zero value keeps everything
// in memory.
type EmbeddedConfig struct {
	// Dir is the folder with the database, the pepper and the first token,
	// each readable by its owner alone. It is made when it is missing. Empty
	// means that everything is in memory and ends with the process.
	Dir string

	TokenLimit int              // as in [Config]
	RateLimits []limits.Rate    // as in [Config]
	Faults     faults.Plan      // as in [Config]
	Logger     *slog.Logger     // as in [Config]
	Now        func() time.Time // as in [Config]
}

// Embedded is an authority that this process serves on a loopback port.
// Several processes may run one over the same folder at a time.
type Embedded struct {
	authority *Authority
	baseURL   string
	patFile   string
	close     func() error
	pat       string
}

// StartEmbedded opens an authority over cfg.Dir and serves it on a loopback
// port that the system chooses. The first start makes a user with the role of
// owner and, for 365 days, a personal access token, which it keeps in the
// folder. ctx limits the start alone; end it with [Embedded.Close].
//
// The kept token is a token like any other, and its owner may revoke it. It is
// not replaced then: [Embedded.CheckPAT] tells so, and to delete the folder is
// to start afresh.
func StartEmbedded(ctx context.Context, cfg EmbeddedConfig) (_ *Embedded, err error) {
	authorityConfig := Config{
		TokenLimit: cfg.TokenLimit, KeepDead: DefaultKeepDead, RateLimits: cfg.RateLimits, Faults: cfg.Faults, Logger: cfg.Logger, Now: cfg.Now,
	}
	e := &Embedded{}
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
	if e.authority, err = Open(ctx, authorityConfig); err != nil {
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

// DefaultDir returns the folder in which the embedded API keeps its files unless
// another is named: authority in [settings.DataFolder]. It does not make it.
func DefaultDir() (string, error) {
	base, err := settings.DataFolder()
	if err != nil {
		return "", err
	}
	return filepath.Join(base, "authority"), nil
}

// DatabaseIn returns the path of the database file in a folder such as
// [DefaultDir] returns.
func DatabaseIn(dir string) string { return filepath.Join(dir, "kenbun.db") }

func listenLoopback(ctx context.Context) (net.Listener, error) {
	var listening net.ListenConfig
	l, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err == nil {
		return l, nil
	}
	l, err6 := listening.Listen(ctx, "tcp", "[::1]:0")
	if err6 != nil {
		return nil, fmt.Errorf("no loopback port can be opened, on which the embedded API would listen: %w", errors.Join(err, err6))
	}
	return l, nil
}

// firstStart returns the kept token, and makes it and its user if this is the
// first start. Whoever else starts at the same time waits and finds it made.
func (e *Embedded) firstStart(ctx context.Context) (_ string, err error) {
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
	if err := writePATFile(e.patFile, minted); err != nil {
		return "", err
	}
	return minted, nil
}

// mintFirst makes the user and the token. A token of the same name that an
// interrupted start left behind is revoked: nobody has its value.
func (e *Embedded) mintFirst(ctx context.Context) (string, error) {
	a := e.authority
	_, err := a.AddUser(ctx, NewUser{Email: embeddedEmail, FirstName: embeddedFirstName, LastName: embeddedLastName, Role: RoleOwner})
	if err != nil && !errors.Is(err, ErrUserExists) {
		return "", fmt.Errorf("make the first user: %w", err)
	}
	user, err := a.soleMembership(ctx, embeddedEmail)
	if err != nil {
		return "", fmt.Errorf("find the first user: %w", err)
	}
	tokens, err := a.tokensOf(ctx, user.ID)
	if err != nil {
		return "", err
	}
	for _, t := range tokens {
		if t.name == EmbeddedTokenName && t.revokedAt == nil {
			if err := a.revokeToken(ctx, user.ID, t.id); err != nil {
				return "", fmt.Errorf("revoke the token of an interrupted start: %w", err)
			}
		}
	}
	expires := a.now().Add(embeddedTokenLifetime)
	issued, err := a.createToken(ctx, user.ID, user.OrgID, tokenRequest{name: EmbeddedTokenName, expires: &expires})
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

func writePATFile(path, pat string) error {
	if err := privatefile.Write(path, []byte(pat+"\n")); err != nil {
		return fmt.Errorf("keep the token in %s: %w", path, err)
	}
	return nil
}

// BaseURL is the address of the API, such as http://127.0.0.1:41234.
func (e *Embedded) BaseURL() string { return e.baseURL }

// PAT returns the kept personal access token.
func (e *Embedded) PAT() string { return e.pat }

// PATFile is the file that holds the kept token and a line break. Whoever
// rotates the token replaces the file. It is empty in memory.
func (e *Embedded) PATFile() string { return e.patFile }

// ErrKeptPATRefused means that the kept token does not work any more.
var ErrKeptPATRefused = errors.New("the embedded API does not accept its kept token any more")

// CheckPAT tells whether the kept token works. It returns [ErrKeptPATRefused],
// with the cause and what to do, if it was revoked or has expired.
func (e *Embedded) CheckPAT(ctx context.Context) error {
	_, err := e.authority.authenticate(ctx, e.PAT())
	var refused *refusal
	if !errors.As(err, &refused) {
		return err
	}
	if e.patFile == "" {
		return fmt.Errorf("%w: it is %s; start again to have another", ErrKeptPATRefused, refused.cause)
	}
	return fmt.Errorf("%w: it is %s; delete the folder %s to start afresh, or only the file %s in it to keep its tokens and have another one made",
		ErrKeptPATRefused, refused.cause, filepath.Dir(e.patFile), filepath.Base(e.patFile))
}

// Close stops serving and closes the authority. The folder stays. Further calls
// return what the first did.
func (e *Embedded) Close() error { return e.close() }
