package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/authority"
)

func newAuthorityCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "authority",
		Short: "Run a kenbun API of your own and look after its users",
		Long: `authority runs the embedded kenbun API as a server of its own: it issues,
verifies and revokes personal access tokens as api.kenbun.io does.

Without --store everything is kept in the same file that --embedded uses, in
your data folder. A server and the other commands may use one file at the same
time. Beside the database lies the file "pepper", without which its tokens
cannot be verified: back up both, and not in one place.`,
		Example: `  kenbun-mcp authority user add ada@example.com --role admin
  kenbun-mcp authority serve &
  TOKEN=$(kenbun-mcp authority session ada@example.com)
  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8780/me`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().String("store", "", `where the API keeps its data: "sqlite:PATH" or "memory" (default a file in your data folder)`)
	cmd.AddCommand(newAuthorityServeCommand(), newAuthorityUserCommand(), newAuthoritySessionCommand(), newAuthoritySeedCommand())
	return cmd
}

// authorityStore returns the value of --store, or the file that is meant
// without it.
func authorityStore(cmd *cobra.Command) (string, error) {
	store, err := cmd.Flags().GetString("store")
	if err != nil || store != "" {
		return store, err
	}
	dir, err := authority.DefaultDir()
	if err != nil {
		return "", fmt.Errorf("%w; say where with --store sqlite:PATH", err)
	}
	return "sqlite:" + authority.DatabaseIn(dir), nil
}

// withAuthority runs do on the store that --store names, and closes it.
func withAuthority(cmd *cobra.Command, do func(ctx context.Context, a *authority.Authority) error) (err error) {
	store, err := authorityStore(cmd)
	if err != nil {
		return err
	}
	if store == "memory" {
		return usageErrorf("a store in memory ends with this command, so that nothing would come of it: give --store sqlite:PATH")
	}
	a, err := authority.Open(cmd.Context(), authority.Config{Store: store})
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
		return usageErrorf("%w", err)
	}
	return err
}
