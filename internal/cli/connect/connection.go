// Package connect opens the kenbun API that the flags name, with the user's token.
package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority/embedded"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/credential"
	"github.com/kenbun/kenbun-mcp/internal/keychain"
	"github.com/kenbun/kenbun-mcp/internal/logging"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/internal/settings"
	"github.com/kenbun/kenbun-mcp/internal/trust"
	"github.com/kenbun/kenbun-mcp/server/identity"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// embeddedInMemory is the --embedded-store that leaves nothing behind.
const embeddedInMemory = "memory"

// Flags say which API is meant and with which token.
type Flags struct {
	apiURL           string
	CAFile           string
	patFile          string
	patCommand       string
	sessionTokenFile string
	Embedded         bool
	embeddedStore    string
	embeddedLimit    string
	embeddedFaults   faultFlags
	// names are the variables that this program reads.
	names func() settings.Names
	// Options are for the client, beside what the flags say.
	Options []client.Option
}

// AddAddress adds the flags that say which API is meant, and no token.
func (f *Flags) AddAddress(cmd *cobra.Command) {
	defer command.Settings(cmd.Flags(), command.Connection)()
	flags := cmd.Flags()
	flags.StringVar(&f.apiURL, "api-url", client.DefaultBaseURL, "address of the kenbun API: https, or http on loopback")
	flags.StringVar(&f.CAFile, "ca-file", "", "file with additional certificate authorities (PEM)")
}

// Add adds all flags of a connection to cmd.
func (f *Flags) Add(cmd *cobra.Command) {
	defer command.Settings(cmd.Flags(), command.Connection)()
	f.AddAddress(cmd)
	f.names = func() settings.Names { return command.SettingNames(cmd.Root()) }
	flags := cmd.Flags()
	flags.StringVar(&f.patFile, "pat-file", "", "file with the token, re-read at each use")
	flags.StringVar(&f.patCommand, "pat-command", "", "command that prints the token, such as a password manager's")
	flags.StringVar(&f.sessionTokenFile, "session-token-file", "", "file with a session token, for /settings/tokens where a PAT may not manage tokens")
	flags.BoolVar(&f.Embedded, "embedded", false, "use an embedded kenbun API with its own user and token")
	flags.StringVar(&f.embeddedStore, "embedded-store", "", `folder for the embedded API's data, or "memory" (default in your data folder)`)
	flags.StringVar(&f.embeddedLimit, "embedded-rate-limit", "", "request limits for each token of the embedded API, such as 60/m,1000/d (default none)")
	f.embeddedFaults.add(flags, "embedded-")
}

// Connection is the API and the token that a command works with.
type Connection struct {
	API         *client.Client
	Credentials identity.Credentials
	// Keeper keeps the token, where another can be put in its place.
	Keeper tokens.Keeper
	// Login is what the command Login keeps; nil for an API that needs none.
	Login *credential.Login
	// JournalName names the API where tokens on their way are remembered; empty
	// for one that ends with the process.
	JournalName string
	// TerminalFlags lead another call of this program to the same API.
	TerminalFlags string
	// Extended tells that the API can do what kenbun does not document.
	Extended bool
	Close    func() error
}

// AlsoClose has something that was opened for the connection closed before it.
func (c *Connection) AlsoClose(another func() error) {
	before := c.Close
	c.Close = func() error { return errors.Join(another(), before()) }
}

// Client returns a Client of the API that the flags name.
func (f *Flags) Client() (*client.Client, error) {
	api, err := client.New(append([]client.Option{
		client.WithBaseURL(f.apiURL), client.WithCAFile(f.CAFile), client.WithUserAgent("kenbun-mcp/" + command.Version()),
	}, f.Options...)...)
	if err != nil {
		return nil, command.Usagef("%w", err)
	}
	return api, nil
}

// Open makes ready what the flags name. Nothing is asked of the API.
func (f *Flags) Open(ctx context.Context, logger *slog.Logger) (*Connection, error) {
	if f.Embedded {
		return f.openEmbedded(ctx, logger)
	}
	for flag, given := range map[string]bool{
		"store": f.embeddedStore != "", "rate-limit": f.embeddedLimit != "",
		"fault": len(f.embeddedFaults.specs) > 0, "fault-seed": f.embeddedFaults.seed != 0,
	} {
		if given {
			return nil, command.Usagef("--embedded-%s needs --embedded", flag)
		}
	}
	api, err := f.Client()
	if err != nil {
		return nil, err
	}
	login := LoginAt(api.BaseURL())
	source, err := credential.New(credential.Config{
		PAT:         os.Getenv("KENBUN_PAT"),
		PATFile:     f.patFile,
		PATCommand:  f.patCommand,
		Login:       login,
		Session:     os.Getenv("KENBUN_SESSION_TOKEN"),
		SessionFile: f.sessionTokenFile,
	})
	if err != nil {
		return nil, command.Usagef("%w", err)
	}
	flags := ""
	if f.apiURL != client.DefaultBaseURL {
		flags = " --api-url " + plaintext.ShellWord(api.BaseURL())
	}
	return &Connection{
		API: api, Credentials: connectable{source, f.names}, Keeper: source, Login: login, TerminalFlags: flags, JournalName: api.BaseURL(),
		Close: func() error { api.CloseIdleConnections(); return nil },
	}, nil
}

func (f *Flags) openEmbedded(ctx context.Context, logger *slog.Logger) (_ *Connection, err error) {
	if f.apiURL != client.DefaultBaseURL {
		return nil, command.Usagef("--embedded and --api-url name two different APIs. Give one of them")
	}
	if _, err := trust.TLSConfig(f.CAFile); err != nil {
		return nil, command.Usagef("--ca-file: %w", err) // also where nothing needs it yet
	}
	config := embedded.Config{Logger: logger, Dir: f.embeddedStore}
	if config.RateLimits, err = embeddedRateLimits(f.embeddedLimit); err != nil {
		return nil, err
	}
	if config.Faults, err = f.embeddedFaults.open("embedded-"); err != nil {
		return nil, err
	}
	flags := " --embedded"
	journalName := ""
	switch f.embeddedStore {
	case embeddedInMemory:
		config.Dir = ""
	case "":
		dir, err := embedded.DefaultDir()
		if err != nil {
			return nil, fmt.Errorf("the embedded API has no folder: %w, or name one with --embedded-store, or \"memory\"", err)
		}
		config.Dir = dir
	default:
		flags += " --embedded-store " + plaintext.ShellWord(f.embeddedStore)
	}
	if config.Dir != "" {
		// The port is another one at each start.
		if journalName, err = filepath.Abs(config.Dir); err != nil {
			return nil, fmt.Errorf("find the folder of the embedded API: %w", err)
		}
	}
	embedded, err := embedded.Start(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("start the embedded API: %w", err)
	}
	if err := embedded.CheckPAT(ctx); err != nil {
		logger.Warn(err.Error())
	}
	api, err := client.New(append([]client.Option{
		client.WithBaseURL(embedded.BaseURL()), client.WithUserAgent("kenbun-mcp/" + command.Version()),
	}, f.Options...)...)
	if err != nil {
		return nil, errors.Join(err, embedded.Close())
	}
	var source interface {
		identity.Credentials
		tokens.Keeper
	} = credential.Static{PAT: client.NewSecret(embedded.PAT()), Place: "the embedded API"}
	if file := embedded.PATFile(); file != "" {
		if source, err = credential.New(credential.Config{PATFile: file}); err != nil {
			return nil, errors.Join(err, embedded.Close())
		}
	}
	return &Connection{
		API: api, Credentials: source, Keeper: source, TerminalFlags: flags, JournalName: journalName, Extended: true,
		Close: func() error { api.CloseIdleConnections(); return embedded.Close() },
	}, nil
}

// Caller returns the user that terminal commands act as.
func (c *Connection) Caller(ctx context.Context) (tools.Caller, error) {
	credential, source, err := c.Credentials.Credential(ctx)
	if err != nil {
		return tools.Caller{}, fmt.Errorf("%w", &unauthenticatedError{err})
	}
	return tools.Caller{
		API: c.API.As(credential),
		With: func(pat client.Secret) *client.Caller {
			return c.API.As(client.Credential{PAT: pat, Session: credential.Session})
		},
		TokenPrefix: credential.PAT.Prefix(),
		TokenSource: source,
	}, nil
}

// connectable says of a token that is not there that the person could give one, and
// names variables in which they may have given it already.
type connectable struct {
	identity.Credentials
	names func() settings.Names
}

func (c connectable) Credential(ctx context.Context) (client.Credential, string, error) {
	credential, source, err := c.Credentials.Credential(ctx)
	if errors.Is(err, command.ErrNoToken) {
		if misplaced := command.MisplacedTokens(c.names(), os.Environ()); misplaced != "" {
			err = fmt.Errorf("%w. %s", err, misplaced)
		}
		err = &notConnectedError{err}
	}
	return credential, source, err
}

type notConnectedError struct{ error }

func (e *notConnectedError) Unwrap() []error { return []error{e.error, tools.ErrNotConnected} }

// Unauthenticated marks err as a token that is missing or cannot be one, so that
// errors.Is finds [client.ErrUnauthenticated] in it.
func Unauthenticated(err error) error { return &unauthenticatedError{err} }

type unauthenticatedError struct{ err error }

func (e *unauthenticatedError) Error() string        { return e.err.Error() }
func (e *unauthenticatedError) Unwrap() error        { return e.err }
func (e *unauthenticatedError) Is(target error) bool { return target == client.ErrUnauthenticated }

// With runs do with what flags name, and closes it.
func With(cmd *cobra.Command, flags *Flags, do func(ctx context.Context, c *Connection) error) (err error) {
	c, err := flags.Open(cmd.Context(), quietLogger(cmd))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return do(cmd.Context(), c)
}

// quietLogger tells of what went wrong and of nothing else.
func quietLogger(cmd *cobra.Command) *slog.Logger {
	return slog.New(logging.Clean(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})))
}

// LoginAt is where the token for the API at an address is kept.
func LoginAt(baseURL string) *credential.Login {
	dir, err := command.DataFolder("login")
	if err != nil {
		dir = "" // the keychain needs no folder
	}
	return credential.NewLogin(keychain.System(), dir, baseURL)
}
