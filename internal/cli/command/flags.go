package command

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kenbun/kenbun-mcp/internal/settings"
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

// takes says in words what the flags of a type take.
var takes = map[string]string{
	"bool":        "true or false",
	"int":         "a whole number",
	"uint64":      "a whole number from 0 on",
	"duration":    "a time such as 90s, 30m or 12h",
	"stringSlice": "values with commas between them, at least one, with balanced quotes",
}

// AsTaken words the error of a value that a flag does not take, in place of
// Go's own words for it. Other errors stay as they are.
func AsTaken(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	flag := invalid.GetFlag()
	words, ok := takes[flag.Value.Type()]
	if !ok {
		return err
	}
	return fmt.Errorf("--%s cannot be %q; it takes %s", flag.Name, invalid.GetValue(), words)
}

// listValue is the value of a flag that holds a list. It is read as
// [settings.List] says, and given several times, it is one list.
type listValue struct {
	entries *[]string
	changed bool
}

// ListVar adds a flag that holds a list, empty by default. Given, it has at least
// one entry: a list of what is allowed that is empty by mistake must not allow
// everything.
func ListVar(flags *pflag.FlagSet, entries *[]string, name, usage string) {
	flags.Var(&listValue{entries: entries}, name, usage)
}

// Set implements pflag.Value.
func (v *listValue) Set(text string) error {
	entries, err := settings.List(text)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return errors.New("the list has no entry")
	}
	if !v.changed {
		*v.entries, v.changed = nil, true
	}
	*v.entries = append(*v.entries, entries...)
	return nil
}

// Type implements pflag.Value, with the name that help texts know.
func (*listValue) Type() string { return "stringSlice" }

// String implements pflag.Value.
func (v *listValue) String() string {
	if v.entries == nil {
		return ""
	}
	return strings.Join(*v.entries, ",")
}

// ParseLifetime reads a number of days ("90d") or a duration of Go ("12h").
func ParseLifetime(flag, s string) (time.Duration, error) {
	howto := flag + " cannot be %q; write days such as 90d, or hours such as 12h"
	if number, isDays := strings.CutSuffix(s, "d"); isDays {
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || n > 36500 {
			return 0, Usagef(howto, s)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, Usagef(howto, s)
	}
	return d, nil
}
