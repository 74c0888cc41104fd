package login

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/connect"
)

// notRevoked is what logging out does not do.
const notRevoked = "The token itself was not revoked: whoever has a copy can use it. To end it, revoke it in kenbun under Settings > Integrations > Personal Tokens."

// NewLogoutCommand returns the logout command.
func NewLogoutCommand() *cobra.Command {
	var connecting connect.Flags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "logout",
		Short: "Remove the personal access token that login stored",
		Long: `logout removes the token that login stored, from the keychain or its file. It does
not revoke the token. To revoke it, use kenbun (Settings > Integrations > Personal
Tokens), or run 'kenbun-mcp tokens revoke' first.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := command.NotUnderAgent(cmd); err != nil {
				return err
			}
			return logout(cmd, &connecting, asJSON)
		},
	}
	connecting.AddAddress(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func logout(cmd *cobra.Command, connecting *connect.Flags, asJSON bool) error {
	api, err := connecting.Client()
	if err != nil {
		return err
	}
	kept := connect.LoginAt(api.BaseURL())
	places, err := kept.Remove(cmd.Context())
	if err != nil {
		return fmt.Errorf("the login could not be removed everywhere: %w", err)
	}
	warnOfOtherTokens(cmd, "be used all the same")
	if asJSON {
		return command.PrintJSON(cmd.OutOrStdout(), struct {
			RemovedFrom []string `json:"removed_from"`
			Revoked     bool     `json:"revoked"`
		}{append([]string{}, places...), false})
	}
	text := fmt.Sprintf("There was no login for %s; nothing was changed.", api.BaseURL())
	if len(places) > 0 {
		text = fmt.Sprintf("Removed from %s.\n%s", strings.Join(places, " and "), notRevoked)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}
