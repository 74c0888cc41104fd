package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kenbun/kenbun-mcp/internal/settings"
)

// environmentName is the environment variable that stands for a flag.
func environmentName(flag string) string {
	return settings.Prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// bindEnvironment gives each flag that was not on the command line the value of
// its environment variable, if that is set and not empty.
func bindEnvironment(cmd *cobra.Command, lookup func(string) (string, bool)) error {
	var failed error
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if failed != nil || flag.Changed || !hasEnvironmentTwin(flag) {
			return
		}
		name := environmentName(flag.Name)
		value, ok := lookup(name)
		if !ok || value == "" {
			return
		}
		if err := cmd.Flags().Set(flag.Name, value); err != nil {
			failed = usageErrorf("%s=%q: %w", name, value, asTaken(err))
		}
	})
	return failed
}

// hasEnvironmentTwin leaves out the flags that make sense in one call only.
func hasEnvironmentTwin(flag *pflag.Flag) bool {
	switch flag.Name {
	case "help", "version", "json":
		return false
	}
	_, oneCall := flag.Annotations[oneCallOnly]
	return !oneCall
}

// oneCallOnly marks a flag that a variable must not set: what is left over in the
// environment from another call would be done in this one.
const oneCallOnly = "kenbun-mcp/one-call-only"

func markOneCallOnly(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		cmd.Flags().Lookup(name).Annotations = map[string][]string{oneCallOnly: nil}
	}
}
