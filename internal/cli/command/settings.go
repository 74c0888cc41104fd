package command

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kenbun/kenbun-mcp/internal/terminal"
)

// Group is a heading under which help shows settings.
type Group string

// Groups, in the order in which help shows them.
const (
	Connection Group = "Connection"
	Policy     Group = "Tools and policy"
	Delivery   Group = "Delivery"
	HTTP       Group = "HTTP"
	Limits     Group = "Limits"
	State      Group = "State"
	Logging    Group = "Logging"
)

var groups = []Group{Connection, Policy, Delivery, HTTP, Limits, State, Logging}

// groupAnnotation marks a flag as a setting, with its group.
const groupAnnotation = "kenbun-mcp/group"

// Settings returns a function that makes settings of the flags that were added to
// flags since the call of Settings. Help shows settings under their group, and each
// has an environment variable. Other flags are about one call only: a variable that
// is left over from another call must not change what this one does.
//
//	defer command.Settings(cmd.Flags(), command.HTTP)()
func Settings(flags *pflag.FlagSet, group Group) func() {
	before := map[string]bool{}
	flags.VisitAll(func(flag *pflag.Flag) { before[flag.Name] = true })
	return func() {
		flags.VisitAll(func(flag *pflag.Flag) {
			if before[flag.Name] || flag.Annotations[groupAnnotation] != nil {
				return
			}
			if flag.Annotations == nil {
				flag.Annotations = map[string][]string{}
			}
			flag.Annotations[groupAnnotation] = []string{string(group)}
		})
	}
}

// HasVariable reports whether flag is a setting, which an environment variable can
// give as well.
func HasVariable(flag *pflag.Flag) bool { return flag.Annotations[groupAnnotation] != nil }

// GroupFlags makes the help of root and its commands show settings in groups,
// wrapped to the terminal.
func GroupFlags(root *cobra.Command) {
	cobra.AddTemplateFunc("flagUsages", flagUsages)
	const ungrouped = "Flags:\n{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}"
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), ungrouped, "{{flagUsages . | trimTrailingWhitespaces}}", 1))
}

// flagUsages returns the help of a command's own flags, with a heading for each
// group.
func flagUsages(cmd *cobra.Command) string {
	width := terminal.Width(cmd.OutOrStdout())
	sets := map[Group]*pflag.FlagSet{}
	cmd.LocalFlags().VisitAll(func(flag *pflag.Flag) {
		var group Group
		if of := flag.Annotations[groupAnnotation]; of != nil {
			group = Group(of[0])
		}
		if sets[group] == nil {
			sets[group] = pflag.NewFlagSet(cmd.Name(), pflag.ContinueOnError)
		}
		sets[group].AddFlag(flag)
	})
	var b strings.Builder
	for _, group := range slices.Concat([]Group{""}, groups) {
		set, ok := sets[group]
		if !ok {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\n")
		}
		heading := "Flags"
		if group != "" {
			heading = string(group)
		}
		b.WriteString(heading + ":\n" + set.FlagUsagesWrapped(width))
	}
	return b.String()
}
