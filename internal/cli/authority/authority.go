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
		Short: "Run your own kenbun API and manage its users",
		Long: `authority runs the embedded kenbun API as a separate server. It issues, verifies
and revokes personal access tokens, as api.kenbun.io does.

Without --store it uses the same file as --embedded, in your data folder. A server
and the other commands can use one file at the same time. The file "pepper" beside
the database is needed to verify tokens. Back up both, in different places.

Several servers can share a PostgreSQL database, with the same pepper. A change on
one of them applies to all within a second.`,
		Example: `  kenbun-mcp authority user add ada@example.com --role admin
  kenbun-mcp authority serve &
  TOKEN=$(kenbun-mcp authority session ada@example.com --stdout)
  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8780/me`,
		Args: command.CommandsOnly,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	settings := command.Settings(cmd.PersistentFlags(), command.State)
	cmd.PersistentFlags().String("store", "", `data store: sqlite:PATH, memory, or postgres://user@host:port/database (default in your data folder)`)
	cmd.PersistentFlags().String("pepper-file", "", "file with the keys for hashing tokens (default beside the database, required for PostgreSQL)")
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
