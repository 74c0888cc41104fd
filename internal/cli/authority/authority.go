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
	cmd := command.Parent(&cobra.Command{
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
	}, newAuthorityServeCommand(), newAuthorityUserCommand(), newAuthoritySessionCommand(), newAuthorityPepperCommand(),
		newAuthorityUnitCommand(), newAuthorityRolesCommand(), newAuthoritySeedCommand())
	settings := command.Settings(cmd.PersistentFlags(), command.State)
	cmd.PersistentFlags().String("store", "", `sqlite:PATH, memory or postgres://user@host/database (default in your data folder)`)
	cmd.PersistentFlags().String("pepper-file", "", "file with the keys that hash tokens (default beside the database, required for PostgreSQL)")
	settings()
	return cmd
}

// authorityConfig returns how --store, --pepper-file and the environment open the API.
func authorityConfig(cmd *cobra.Command) (authority.Config, error) {
	store, err := authorityStore(cmd)
	if err != nil {
		return authority.Config{}, err
	}
	if holdsPassword(store) && store != settings.Trim(os.Getenv("KENBUN_STORE")) {
		return authority.Config{}, command.Usagef("--store holds a password, which other users can see in the process list. Give the address in KENBUN_STORE, or the password in ~/.pgpass")
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
		return command.Usagef("a store in memory ends with this command, so the change would be lost. Give --store sqlite:PATH")
	}
	a, err := authority.Open(cmd.Context(), config)
	if err != nil {
		return authorityError(err)
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	return authorityError(do(cmd.Context(), a))
}

// onStore returns the RunE of a command that works with the store that --store names.
func onStore(do func(ctx context.Context, cmd *cobra.Command, a *authority.Authority, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return withAuthority(cmd, func(ctx context.Context, a *authority.Authority) error { return do(ctx, cmd, a, args) })
	}
}

// byUser is [onStore] for a command that is refused under an AI agent.
func byUser(do func(ctx context.Context, cmd *cobra.Command, a *authority.Authority, args []string) error) func(*cobra.Command, []string) error {
	run := onStore(do)
	return func(cmd *cobra.Command, args []string) error {
		if err := command.NotUnderAgent(cmd); err != nil {
			return err
		}
		return run(cmd, args)
	}
}

// authorityError marks a refused value as wrong usage.
func authorityError(err error) error {
	var invalid *authority.InvalidError
	if errors.As(err, &invalid) {
		return command.Usagef("%w", err)
	}
	return err
}
