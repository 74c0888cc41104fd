// Package authority has the commands that run and manage an embedded kenbun API.
package authority

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/authority/embedded"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/settings"
)

// NewCommand returns the authority command with its subcommands.
func NewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "authority",
		Short: "Run a kenbun API of your own and look after its users",
		Long: `authority runs the embedded kenbun API as a server of its own: it issues,
verifies and revokes personal access tokens as api.kenbun.io does.

Without --store everything is kept in the same file that --embedded uses, in
your data folder. A server and the other commands may use one file at the same
time. Beside the database lies the file "pepper", without which its tokens
cannot be verified: back up both, and not in one place.

Several servers may share a PostgreSQL database, with the same pepper. What one
of them changes counts on all within a second.`,
		Example: `  kenbun-mcp authority user add ada@example.com --role admin
  kenbun-mcp authority serve &
  TOKEN=$(kenbun-mcp authority session ada@example.com --stdout)
  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8780/me`,
		Args: command.CommandsOnly,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	settings := command.Settings(cmd.PersistentFlags(), command.State)
	cmd.PersistentFlags().String("store", "", `where the API keeps its data: "sqlite:PATH", "memory", or postgres://user@host:port/database for several nodes; give an address with a password in the environment (default a file in your data folder)`)
	cmd.PersistentFlags().String("pepper-file", "", "file with the keys under which tokens are hashed; made if it is not there and the store is new; KENBUN_PEPPER may hold its content instead (default beside the database; required for PostgreSQL)")
	settings()
	cmd.AddCommand(newAuthorityServeCommand(), newAuthorityUserCommand(), newAuthoritySessionCommand(), newAuthorityPepperCommand(),
		newAuthorityUnitCommand(), newAuthorityRolesCommand(), newAuthoritySeedCommand())
	return cmd
}

// authorityConfig is what all commands say alike of how the API is opened.
func authorityConfig(cmd *cobra.Command) (authority.Config, error) {
	store, err := authorityStore(cmd)
	if err != nil {
		return authority.Config{}, err
	}
	if holdsPassword(store) && store != settings.Trim(os.Getenv("KENBUN_STORE")) {
		return authority.Config{}, command.Usagef("--store holds a password, which others can read in the list of processes: give the address in KENBUN_STORE, or the password in ~/.pgpass")
	}
	pepperFile, err := cmd.Flags().GetString("pepper-file")
	if err != nil {
		return authority.Config{}, err
	}
	pepper := settings.Trim(os.Getenv("KENBUN_PEPPER"))
	if err := settings.CheckFilledIn(pepper); err != nil {
		return authority.Config{}, command.Usagef("KENBUN_PEPPER: %w", err)
	}
	return authority.Config{Store: store, PepperFile: pepperFile, Pepper: pepper}, nil
}

func holdsPassword(store string) bool {
	if !strings.HasPrefix(store, "postgres") {
		return false
	}
	address, err := url.Parse(store)
	if err != nil {
		return true // nobody can tell
	}
	_, inUser := address.User.Password()
	return inUser || address.Query().Has("password")
}

// authorityStore returns the value of --store, or the file that is meant
// without it.
func authorityStore(cmd *cobra.Command) (string, error) {
	store, err := cmd.Flags().GetString("store")
	if err != nil || store != "" {
		return store, err
	}
	dir, err := embedded.DefaultDir()
	if err != nil {
		return "", fmt.Errorf("the store has no folder: %w, or name a file with --store sqlite:PATH", err)
	}
	return "sqlite:" + embedded.DatabaseIn(dir), nil
}

// withAuthority runs do on the store that --store names, and closes it.
func withAuthority(cmd *cobra.Command, do func(ctx context.Context, a *authority.Authority) error) (err error) {
	config, err := authorityConfig(cmd)
	if err != nil {
		return err
	}
	if config.Store == "memory" {
		return command.Usagef("a store in memory ends with this command, so that nothing would come of it: give --store sqlite:PATH")
	}
	a, err := authority.Open(cmd.Context(), config)
	if err != nil {
		return authorityError(err)
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	return authorityError(do(cmd.Context(), a))
}

// authorityError marks a refused value as wrong usage.
func authorityError(err error) error {
	var invalid *authority.InvalidError
	if errors.As(err, &invalid) {
		return command.Usagef("%w", err)
	}
	return err
}
