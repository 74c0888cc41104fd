package command

import (
	"path/filepath"
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
