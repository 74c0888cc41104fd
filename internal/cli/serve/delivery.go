package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/connect"
	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/internal/human/journal"
	"github.com/kenbun/kenbun-mcp/internal/human/pages"
	"github.com/kenbun/kenbun-mcp/internal/keychain"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/identity"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// The delivery methods, as --deliver names them.
const (
	roadPage     = "page"
	roadKeychain = "keychain"
	roadFile     = "file"
	roadEnvFile  = "env-file"
	roadClaim    = "claim"
	roadSealed   = "sealed"
	roadInline   = "inline"
)

// everyMethod are the values of --deliver.
var everyMethod = []string{roadPage, roadKeychain, roadFile, roadEnvFile, roadClaim, roadSealed, roadInline}

// roadFlags say how new tokens and questions reach the user.
type roadFlags struct {
	deliver     string
	deliverDir  string
	deliverWait time.Duration
	envFile     string
	envName     string
	noBrowser   bool
	// forbidden are methods that a policy file does not allow.
	forbidden []string
	// unusable are methods that cannot work with this command and its identity.
	unusable []string
}

// usable returns those of methods that can work, in words for a message.
func (f *roadFlags) usable(methods []string) string {
	rest := slices.DeleteFunc(slices.Clone(methods), func(method string) bool { return slices.Contains(f.unusable, method) })
	return strings.Join(rest, ", ")
}

func (f *roadFlags) add(cmd *cobra.Command) {
	defer command.Settings(cmd.Flags(), command.Delivery)()
	flags := cmd.Flags()
	flags.StringVar(&f.deliver, "deliver", "", `how new tokens reach the user: page, keychain, file, env-file, claim, sealed or inline`)
	flags.StringVar(&f.deliverDir, "deliver-dir", "", "folder for --deliver file (default in your data folder)")
	flags.DurationVar(&f.deliverWait, "deliver-wait", 5*time.Minute, "how long the page of a new token waits for the user")
	flags.StringVar(&f.envFile, "deliver-env-file", "", "the .env file for --deliver env-file")
	flags.StringVar(&f.envName, "deliver-env-name", "KENBUN_PAT", "the variable in that file")
	flags.BoolVar(&f.noBrowser, "no-browser", false, "do not open pages in a browser")
}

// roads are the ways in which this process can reach the user.
type roads struct {
	flags *roadFlags
	pages *pages.Server
}

// open finds out which delivery methods work. It starts and writes nothing.
func (f *roadFlags) open(logger *slog.Logger) *roads {
	var browser *pages.Browser
	if !f.noBrowser {
		var found *pages.Browser
		data, err := command.DataFolder("pages")
		if err == nil {
			found, err = pages.FindBrowser(data)
		}
		if err != nil {
			logger.Debug("no browser can be opened", "cause", err)
		}
		browser = found
	}
	return &roads{flags: f, pages: pages.New(browser, logger)}
}

func (r *roads) close() error { return r.pages.Close() }

// person asks the user on a page, for clients that cannot ask. It is nil unless this
// process acts for the user on whose machine it runs.
func (r *roads) person(ownCredentials bool) approval.Method {
	if !ownCredentials || r.flags.noBrowser {
		return nil
	}
	return pages.NewPerson(r.pages)
}

// deliverer returns the operator's delivery method. forOwnUser reports that only users
// of this machine can reach the server, and ownCredentials that it acts for one of
// them. A caller with a token of their own may not be the user in front of this
// machine's browser. Such callers claim their tokens, unless the operator chose
// another method.
func (r *roads) deliverer(forOwnUser, ownCredentials bool, shared *sharedState) (tokens.Deliverer, error) {
	switch road := r.flags.deliver; road {
	case "":
		return r.defaultRoad(ownCredentials, shared)
	case roadInline:
		return delivery.Inline{}, nil
	case roadSealed:
		if shared == nil {
			return nil, command.Usagef("--deliver sealed encrypts to the recipient in a header of each request, and stdio has no headers. Use it with kenbun-mcp http, or choose %s", r.flags.usable(everyMethod))
		}
		return delivery.Sealed{}, nil
	case roadClaim:
		if shared == nil || shared.claims == nil {
			return nil, command.Usagef("--deliver claim is for callers who send tokens of their own. Use it with kenbun-mcp http and --identity caller")
		}
		return shared.claims, nil
	case roadPage, roadKeychain, roadFile, roadEnvFile:
		if !forOwnUser {
			return nil, command.Usagef("--deliver %s would leave other people's tokens on this machine. It is for a server that only its own user can reach", road)
		}
		if road == roadEnvFile && !ownCredentials {
			return nil, command.Usagef("--deliver env-file holds one user's token. Use it with stdio or --identity server")
		}
		return r.localRoad(road)
	default:
		return nil, command.Usagef("--deliver cannot be %q; use one of %s", road, r.flags.usable(everyMethod))
	}
}

func (r *roads) defaultRoad(ownCredentials bool, shared *sharedState) (tokens.Deliverer, error) {
	switch {
	case !ownCredentials && shared != nil && shared.claims != nil && !slices.Contains(r.flags.forbidden, roadClaim):
		return shared.claims, nil
	case !ownCredentials:
		return delivery.None{}, nil
	}
	var open []tokens.Deliverer
	for _, road := range []string{roadPage, roadKeychain, roadFile} {
		if slices.Contains(r.flags.forbidden, road) {
			continue
		}
		deliverer, err := r.localRoad(road)
		if err != nil {
			return nil, err
		}
		open = append(open, deliverer)
	}
	if len(open) == 0 {
		return nil, command.Usagef("a policy file allows none of the methods page, keychain and file. Choose one that it allows with --deliver")
	}
	return delivery.NewFirst(open...), nil
}

// byClaim reports whether new tokens wait for their users to claim them, where
// each caller has a token of their own.
func (f *roadFlags) byClaim() bool {
	return f.deliver == roadClaim || f.deliver == ""
}

// onThisMachine reports whether the operator chose that new tokens reach the user of
// this machine, whoever calls.
func (f *roadFlags) onThisMachine() bool {
	return slices.Contains([]string{roadPage, roadKeychain, roadFile, roadEnvFile}, f.deliver)
}

// localRoad returns a method that delivers on this machine.
func (r *roads) localRoad(road string) (tokens.Deliverer, error) {
	switch road {
	case roadPage:
		return pages.NewSecret(r.pages, r.flags.deliverWait), nil
	case roadKeychain:
		return delivery.NewKeychain(keychain.System()), nil
	case roadEnvFile:
		if r.flags.envFile == "" {
			return nil, command.Usagef("--deliver env-file needs --deliver-env-file")
		}
		deliverer, err := delivery.NewEnvFile(r.flags.envFile, r.flags.envName)
		if err != nil {
			return nil, command.Usagef("%w", err)
		}
		return deliverer, nil
	default:
		dir := r.flags.deliverDir
		if dir == "" {
			var err error
			if dir, err = command.DataFolder("tokens"); err != nil {
				return newNoFolder(roadFile, "deliver-dir", err), nil
			}
		}
		return delivery.NewFile(dir)
	}
}

// connector asks for a token on a page and stores it as login does.
func (r *roads) connector(c *connect.Connection) approval.TokenPage {
	if c.Login == nil {
		return nil
	}
	return pages.NewConnector(r.pages, func(ctx context.Context, pat client.Secret) error {
		caller := tools.Caller{API: c.API.As(client.Credential{PAT: pat}), TokenPrefix: pat.Prefix()}
		_, err := identity.Identify(ctx, caller, c.API.BaseURL(), time.Now())
		var refused *tools.Error
		switch {
		case errors.As(err, &refused):
			return errors.New(refused.Message)
		case err != nil:
			return err
		}
		_, err = c.Login.Store(ctx, pat)
		return err
	})
}

// noJournal is the --journal-dir that leaves the journal out.
const noJournal = "none"

// journalFlags say where undelivered tokens are recorded.
type journalFlags struct {
	dir string
	// oneUser reports that all calls act as the same user.
	oneUser bool
}

func (f *journalFlags) add(cmd *cobra.Command) {
	defer command.Settings(cmd.Flags(), command.Delivery)()
	cmd.Flags().StringVar(&f.dir, "journal-dir", "", `folder of the journal of undelivered tokens, or "none" (default in your data folder)`)
}

// closingJournal is the journal of a server, which has to be closed.
type closingJournal interface {
	tokens.Journal
	io.Closer
}

// open returns the journal for c, or nil if c needs none or the operator wants none.
// Nothing is read or written before a tool is called.
func (f *journalFlags) open(c *connect.Connection) (closingJournal, error) {
	dir := f.dir
	switch {
	case c.JournalName == "", dir == noJournal:
		return nil, nil
	case dir == "":
		var err error
		if dir, err = command.DataFolder("journal"); err != nil {
			return newNoFolder("journal", "journal-dir", err), nil
		}
	}
	return journal.New(journal.Config{Dir: dir, API: c.JournalName, OneUser: f.oneUser})
}

// noFolder stands for a delivery method or a journal whose folder is not known. The
// server starts all the same: calls that change nothing need no folder.
type noFolder struct {
	method string
	err    error
}

// newNoFolder returns one for method. flag names the folder in place of the user's
// data folder.
func newNoFolder(method, flag string, err error) *noFolder {
	return &noFolder{method, fmt.Errorf("%w, or name a folder with --%s (%s)", err, flag, command.VariableName(flag))}
}

// Method implements tokens.Deliverer.
func (n *noFolder) Method() string { return n.method }

// Check implements tokens.Deliverer and always fails.
func (n *noFolder) Check(context.Context) error { return n.err }

// Deliver implements tokens.Deliverer and always fails.
func (n *noFolder) Deliver(context.Context, tools.Caller, *client.CreatedToken) (tokens.Receipt, error) {
	return tokens.Receipt{}, n.err
}

// Begin implements tokens.Journal and always fails, so that nothing is made.
func (n *noFolder) Begin(context.Context, tools.Caller, tokens.Intent) (tokens.JournalEntry, error) {
	return nil, fmt.Errorf("the journal of new tokens has no folder: %w", n.err)
}

// Recover implements tokens.Journal. Without a folder nothing was noted.
func (*noFolder) Recover(context.Context, tools.Caller) ([]tokens.Recovered, error) { return nil, nil }

// Close does nothing.
func (*noFolder) Close() error { return nil }
