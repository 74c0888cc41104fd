package command

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kenbun/kenbun-mcp/internal/settings"
)

// VariableName is the environment variable that stands for a flag.
func VariableName(flag string) string {
	return settings.Prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// BindSettings gives each flag that was not on the command line the value of its
// environment variable, if that is set and not blank. Then it holds all values
// against the rules of package settings, wherever they came from.
func BindSettings(cmd *cobra.Command, lookup func(string) (string, bool)) error {
	var failed error
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if failed != nil {
			return
		}
		from := "--" + flag.Name
		if !flag.Changed && HasVariable(flag) {
			from = VariableName(flag.Name)
			value, _ := lookup(from)
			if value = settings.Trim(value); value == "" {
				return
			}
			if err := cmd.Flags().Set(flag.Name, value); err != nil {
				failed = Usagef("%s=%q: %w", from, value, AsTaken(err))
				return
			}
		}
		if flag.Changed {
			if err := settle(flag); err != nil {
				failed = Usagef("%s: %w", from, err)
			}
		}
	})
	return failed
}

// settle trims a flag's text, and makes a path of one that holds a path.
func settle(flag *pflag.Flag) error {
	if list, ok := flag.Value.(*listValue); ok {
		return settings.CheckFilledIn(strings.Join(*list.entries, ","))
	}
	if flag.Value.Type() != "string" || asTyped[flag.Name] {
		return nil
	}
	value := settings.Trim(flag.Value.String())
	scheme, isPath := PathFlags[flag.Name]
	path, hasScheme := strings.CutPrefix(value, scheme)
	if !isPath || !hasScheme {
		if err := settings.CheckFilledIn(value); err != nil {
			return err
		}
		return flag.Value.Set(value)
	}
	path, err := settings.Path(path)
	if err != nil {
		return err
	}
	return flag.Value.Set(scheme + path)
}

// PathFlags are the flags that hold a path, with what stands before it.
var PathFlags = map[string]string{
	"audit-key-file": "", "audit-log": "", "ca-file": "", "deliver-dir": "", "deliver-env-file": "", "embedded-store": "", "identity-file": "", "journal-dir": "",
	"listen": "unix:", "pat-file": "", "pepper-file": "", "server-key-file": "", "session-token-file": "", "state-key-file": "", "store": "sqlite:",
	"tls-cert-file": "", "tls-key-file": "",
}

// asTyped are the flags whose text is the user's own, or a shell's.
var asTyped = map[string]bool{"name": true, "first-name": true, "last-name": true, "organization": true, "pat-command": true}

// DataFolder returns the path of one of this program's folders in the user's data
// folder. It does not create it.
func DataFolder(name string) (string, error) {
	dir, err := settings.DataFolder()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, name), nil
}

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

// Parent makes a command that only has further commands of cmd.
func Parent(cmd *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	cmd.Args = CommandsOnly
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(commands...)
	return cmd
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
