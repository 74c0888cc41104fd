package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kenbun/kenbun-mcp/internal/cli"
	"github.com/kenbun/kenbun-mcp/internal/cli/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/login"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// TestGeneratedDocumentationIsUpToDate keeps the tables in the documentation
// from telling something else than the code.
func TestGeneratedDocumentationIsUpToDate(t *testing.T) {
	for _, part := range []struct {
		file, marker string
		render       func() string
	}{
		{"README.md", "tools", toolsTable},
		{"README.md", "environment", environmentTable},
		{"docs/tools.md", "tools", toolsReference},
		{"docs/commands.md", "commands", commandsReference},
		{"docs/api.md", "roles", rolesReference},
		{"docs/http.md", "metrics", func() string { return metricsTable(t) }},
	} {
		t.Run(part.file+" "+part.marker, func(t *testing.T) {
			checkGenerated(t, filepath.Join("..", "..", part.file), part.marker, part.render())
		})
	}
}

// The description that the API serves must be embedded from its own folder; the
// one in docs is for reading.
func TestGeneratedDocumentationIsUpToDate_OpenAPI(t *testing.T) {
	served, err := os.ReadFile(filepath.Join("..", "..", "internal", "authority", "api", "openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("..", "..", "docs", "openapi.json")
	if *update {
		if err := os.WriteFile(path, served, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if copied, err := os.ReadFile(path); err != nil || !bytes.Equal(copied, served) {
		t.Errorf("docs/openapi.json is not what the API serves: run script/generate (%v)", err)
	}
}

func checkGenerated(t *testing.T, path, marker, want string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- generated: "+marker+" -->\n", "<!-- end of generated: "+marker+" -->"
	before, rest, foundBegin := strings.Cut(string(content), begin)
	got, after, foundEnd := strings.Cut(rest, end)
	if !foundBegin || !foundEnd {
		t.Fatalf("%s has no part between %q and %q", path, begin, end)
	}
	if got == want {
		return
	}
	if !*update {
		t.Fatalf("%s does not tell what the code does: run script/generate.\n--- is\n%s\n--- should be\n%s", path, got, want)
	}
	if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// sentence is the first sentence of a text.
func sentence(text string) string {
	first, _, _ := strings.Cut(text, ". ")
	return strings.TrimSuffix(first, ".")
}

func tableCell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func toolsTable() string {
	var b strings.Builder
	b.WriteString("| tool | what it does | changes | the user |\n|---|---|---|---|\n")
	for _, tool := range tools.Tools(toolsets.All()) {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", tool.Name, tableCell(sentence(tool.Description))+extension(tool.Extension, "; with [extensions](docs/tools.md#extensions) only"), effect(tool), needs(tool))
	}
	return b.String()
}

func effect(tool *tools.Tool) string {
	return map[tools.Effect]string{tools.Reads: "nothing", tools.Adds: "adds", tools.Destroys: "destroys", tools.Replaces: "replaces", tools.Alters: "alters"}[tool.Effect]
}

func needs(tool *tools.Tool) string {
	words := []string{}
	for _, need := range tool.Needs {
		words = append(words, map[tools.Need]string{
			tools.NeedDelivery: "gets the secret", tools.NeedDecision: "decides",
			tools.NeedDecisionToWiden: "decides where it gets more or may stop working",
		}[need])
	}
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, ", ")
}

func toolsReference() string {
	var b strings.Builder
	for _, set := range toolsets.All() {
		for _, tool := range set.Tools {
			writeToolReference(&b, set, tool)
		}
	}
	return b.String()
}

func writeToolReference(b *strings.Builder, set *tools.Toolset, tool *tools.Tool) {
	fmt.Fprintf(b, "## `%s`\n\n%s\n\n", tool.Name, tool.Description)
	fmt.Fprintf(b, "Toolset: %s. Changes: %s. The user: %s.\n\n", set.Name, effect(tool), needs(tool))
	b.WriteString(extension(tool.Extension, "It is there with [extensions](#extensions) only.\n\n"))
	if len(tool.Parameters) == 0 {
		b.WriteString("It takes no arguments.\n\n")
		return
	}
	b.WriteString("| argument | type | default | meaning |\n|---|---|---|---|\n")
	for _, p := range tool.Parameters {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", p.Name, parameterType(p), parameterDefault(p), tableCell(p.Description)+extension(p.Extension, " With [extensions](#extensions) only."))
	}
	b.WriteString("\n")
}

// extension is what the documentation adds to what not every API can.
func extension(needed bool, words string) string {
	if !needed {
		return ""
	}
	return words
}

func parameterType(p tools.Parameter) string {
	switch {
	case len(p.Choices) > 0:
		return "`" + strings.Join(p.Choices, "`, `") + "`"
	case p.Kind == tools.Integer:
		return fmt.Sprintf("number, %d to %d", p.Min, p.Max)
	case p.Kind == tools.Boolean:
		return "true or false"
	case p.Kind == tools.TextMap:
		return fmt.Sprintf("1 to %d texts by name", p.MaxItems)
	case p.Kind == tools.List:
		return fmt.Sprintf("list of 1 to %d texts", p.MaxItems)
	default:
		return fmt.Sprintf("text, at most %d characters", p.MaxLength)
	}
}

func parameterDefault(p tools.Parameter) string {
	switch {
	case p.Required:
		return "required"
	case p.Default != nil:
		return fmt.Sprintf("`%v`", p.Default)
	default:
		return "-"
	}
}

// secretsTable is the variables that have no flag, since they hold secrets.
var secretsTable = [][2]string{
	{"KENBUN_PAT", "the personal access token itself"},
	{"KENBUN_SESSION_TOKEN", "a signed-in session's token, used on `/settings/tokens` only, for accounts where a PAT may not manage tokens"},
}

// environmentTable is the variables that say which API and which token.
func environmentTable() string {
	var b strings.Builder
	b.WriteString("| variable | meaning |\n|---|---|\n")
	for _, secret := range secretsTable {
		fmt.Fprintf(&b, "| `%s` | %s |\n", secret[0], secret[1])
	}
	whoami := login.NewWhoamiCommand()
	whoami.Flags().VisitAll(func(flag *pflag.Flag) {
		// What the embedded API is made to do says nothing of where it is.
		if command.HasVariable(flag) && !strings.HasPrefix(flag.Name, "embedded-fault") && flag.Name != "embedded-rate-limit" {
			fmt.Fprintf(&b, "| `%s` | %s%s |\n", command.VariableName(flag.Name), tableCell(flag.Usage), shownDefault(flag))
		}
	})
	return b.String()
}

func shownDefault(flag *pflag.Flag) string {
	if flag.DefValue == "" || flag.DefValue == "false" || flag.DefValue == "[]" || flag.DefValue == "0" {
		return ""
	}
	return " (default `" + flag.DefValue + "`)"
}

func rolesReference() string {
	var b strings.Builder
	for i, cells := range authority.RolesTable() {
		b.WriteString("| " + strings.ToLower(strings.Join(cells, " | ")) + " |\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(cells)) + "|\n")
		}
	}
	return b.String()
}

func commandsReference() string {
	var b strings.Builder
	root := cli.New()
	root.InitDefaultCompletionCmd()
	walkCommands(root, func(cmd *cobra.Command) {
		fmt.Fprintf(&b, "## `%s`\n\n%s\n\n", cmd.UseLine(), strings.TrimSpace(firstNonEmpty(cmd.Long, cmd.Short)))
		if cmd.Example != "" {
			fmt.Fprintf(&b, "```\n%s\n```\n\n", cmd.Example)
		}
		var rows []string
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			if flag.Name == "help" || flag.Hidden {
				return
			}
			twin := "-"
			if command.HasVariable(flag) {
				twin = "`" + command.VariableName(flag.Name) + "`"
			}
			rows = append(rows, fmt.Sprintf("| `--%s` | %s | %s%s |\n", flag.Name, twin, tableCell(flag.Usage), shownDefault(flag)))
		})
		if len(rows) > 0 {
			b.WriteString("| flag | environment | meaning |\n|---|---|---|\n" + strings.Join(rows, "") + "\n")
		}
	})
	return b.String()
}

func firstNonEmpty(texts ...string) string {
	return texts[slices.IndexFunc(texts, func(s string) bool { return s != "" })]
}

// walkCommands visits the commands that do something; cobra's own completion
// commands explain themselves.
func walkCommands(cmd *cobra.Command, visit func(*cobra.Command)) {
	if !cmd.HasSubCommands() || cmd.Flags().HasAvailableFlags() && cmd.HasParent() {
		visit(cmd)
	}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "completion" && sub.Name() != "help" {
			walkCommands(sub, visit)
		}
	}
}
