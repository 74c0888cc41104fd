package command

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kenbun/kenbun-mcp/internal/settings"
)

// withoutFlag are the variables that hold secrets, for which there is no flag, and
// the one that docs/clients.md gives to clients.
var withoutFlag = []string{"KENBUN_PAT", "KENBUN_SESSION_TOKEN", "KENBUN_PEPPER", "KENBUN_SERVER_KEY"}

// SettingNames are the variables of all commands: one that another command reads
// is not misspelled.
func SettingNames(root *cobra.Command) settings.Names {
	names := settings.Names{Read: slices.Clone(withoutFlag), Unnamed: []string{AllowAgentVariable}}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(flag *pflag.Flag) {
			if HasVariable(flag) {
				names.Read = append(names.Read, VariableName(flag.Name))
			} else {
				names.Flags = append(names.Flags, VariableName(flag.Name))
			}
		})
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(root)
	return names
}

// CheckNames warns of variables that look like settings and are not read. One that
// looks like a restriction is an error: somebody believes it to be in force.
func CheckNames(cmd *cobra.Command, environment []string) error {
	if explainsOnly(cmd) {
		return nil
	}
	var refused []error
	for _, unknown := range SettingNames(cmd.Root()).Unknown(environment) {
		text := unknown.Name + " is not a setting of kenbun-mcp"
		switch {
		case unknown.IsFlag:
			text = fmt.Sprintf("%s is not read. The flag --%s has no variable", unknown.Name, flagName(unknown.Name))
		case unknown.Nearest != "":
			text += fmt.Sprintf(". Did you mean %s?", unknown.Nearest)
		}
		if unknown.Restricts {
			refused = append(refused, errors.New(text))
			continue
		}
		cmd.PrintErrf("kenbun-mcp: warning: %s\n", text)
	}
	if len(refused) == 0 {
		return nil
	}
	return Usagef("%w\nIt looks like a restriction, and would not be in force. Correct the name or unset the variable. Nothing was started", errors.Join(refused...))
}

// TokenSettings are the variables that hold the token, or say where it is.
var TokenSettings = []string{"KENBUN_PAT", "KENBUN_PAT_FILE", "KENBUN_PAT_COMMAND"}

// MisplacedTokens says, in sentences for a user without a token, which variables look
// as if they held one: those that are not read, and those that are blank. It shows no
// values.
func MisplacedTokens(names settings.Names, environment []string) string {
	var sentences []string
	for _, unknown := range names.Unknown(environment) {
		if slices.Contains(TokenSettings, unknown.Nearest) {
			sentences = append(sentences, fmt.Sprintf("%s is set and is not read: the setting is called %s.", unknown.Name, unknown.Nearest))
		}
	}
	for _, variable := range environment {
		name, value, _ := strings.Cut(variable, "=")
		if slices.Contains(TokenSettings, name) && settings.Trim(value) == "" {
			sentences = append(sentences, name+" is set, and is empty.")
		}
	}
	return strings.TrimSuffix(strings.Join(sentences, " "), ".")
}

// explainsOnly reports whether cmd only prints something about the program.
func explainsOnly(cmd *cobra.Command) bool {
	for at := cmd; at.HasParent(); at = at.Parent() {
		if !at.Parent().HasParent() {
			return slices.Contains([]string{"version", "help", "completion", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd}, at.Name())
		}
	}
	return true
}

func flagName(variable string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, settings.Prefix), "_", "-"))
}

// UnknownFlag words the error of a flag that cmd does not have.
func UnknownFlag(cmd *cobra.Command, unknown *pflag.NotExistError) error {
	name := strings.ReplaceAll(unknown.GetSpecifiedName(), "_", "-")
	if unknown.GetSpecifiedShortnames() != "" {
		return unknown
	}
	meant := ""
	for _, found := range SettingNames(cmd.Root()).Unknown([]string{VariableName(name) + "=given"}) {
		meant = flagName(found.Nearest)
	}
	if name == "pat" || meant == "pat" {
		return fmt.Errorf("%w\nNo flag takes a token, since flags show in process lists. Set KENBUN_PAT, KENBUN_PAT_FILE or KENBUN_PAT_COMMAND, or run 'kenbun-mcp login'", unknown)
	}
	if cmd.Flags().Lookup(meant) == nil {
		var flags []string
		cmd.Flags().VisitAll(func(flag *pflag.Flag) { flags = append(flags, flag.Name) })
		meant = settings.Nearest(name, flags, func(name string) string { return strings.ReplaceAll(strings.ToLower(name), "-", "") })
	}
	if meant == "" {
		return unknown
	}
	return fmt.Errorf("%w\nDid you mean --%s?", unknown, meant)
}

// CommandsOnly refuses an argument of a command that only has further commands,
// and names the one that was likely meant.
func CommandsOnly(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
	if cmd.SuggestionsMinimumDistance == 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("%w\nDid you mean '%s %s'?", err, cmd.CommandPath(), near[0])
	}
	return err
}
