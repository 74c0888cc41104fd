package cli_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kenbun/kenbun-mcp/internal/cli"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
)

func TestSettingsOfServersStandInGroups(t *testing.T) {
	for _, name := range []string{"stdio", "http"} {
		root := cli.New()
		var help bytes.Buffer
		root.SetOut(&help)
		root.SetArgs([]string{name, "--help"})
		if err := root.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, flags, _ := strings.Cut(help.String(), "\nFlags:\n")
		ungrouped, grouped, _ := strings.Cut(flags, "\n\n")
		if strings.Count(ungrouped, "--") != 1 {
			t.Errorf("%s: flags without a group: %s", name, ungrouped)
		}
		for _, group := range []command.Group{command.Connection, command.Policy, command.Delivery, command.Limits, command.Logging} {
			if !regexp.MustCompile(`(?m)^` + string(group) + `:\n +(-|    )`).MatchString(grouped) {
				t.Errorf("%s: help has no group %q", name, group)
			}
		}
	}
}

// onlyOneMeaning are flags of one name whose help differs from command to command.
// They mean the same all the same.
var onlyOneMeaning = map[string]string{
	"listen":     "where this command listens",
	"no-browser": "whether this command opens a browser",
	"audit-log":  "the stream that - stands for",
}

func TestAVariableMeansOneThingInEveryCommand(t *testing.T) {
	usages := map[string]string{}
	of := map[string]string{}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(flag *pflag.Flag) {
			if !command.HasVariable(flag) || onlyOneMeaning[flag.Name] != "" {
				return
			}
			if before, known := usages[flag.Name]; known && before != flag.Usage {
				t.Errorf("%s means one thing in %s and another one in %s", command.VariableName(flag.Name), of[flag.Name], cmd.CommandPath())
			}
			usages[flag.Name], of[flag.Name] = flag.Usage, cmd.CommandPath()
		})
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(cli.New())
	for _, filter := range []string{"status", "name", "expires", "role", "organization", "users", "sealed", "stdout", "last", "unused-days"} {
		if _, has := usages[filter]; has {
			t.Errorf("--%s is about one call and has a variable", filter)
		}
	}
	if len(usages) < 50 {
		t.Errorf("%d settings were found; this test looks in the wrong place", len(usages))
	}
}

// What a terminal shows of a command or a flag fits a line or two. Details belong
// into the documentation.
func TestHelpIsShort(t *testing.T) {
	flags := 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if n := utf8.RuneCountInString(cmd.Short); n == 0 || n > 60 {
			t.Errorf("the short help of %s has %d characters, want 1 to 60: %s", cmd.CommandPath(), n, cmd.Short)
		}
		cmd.LocalFlags().VisitAll(func(flag *pflag.Flag) {
			flags++
			if n := utf8.RuneCountInString(flag.Usage); n == 0 || n > 90 {
				t.Errorf("the help of %s --%s has %d characters, want 1 to 90: %s", cmd.CommandPath(), flag.Name, n, flag.Usage)
			}
		})
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(cli.New())
	if flags < 150 {
		t.Errorf("%d flags were found; this test looks in the wrong place", flags)
	}
}
