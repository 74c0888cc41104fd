package toolsets_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// The folder testdata holds the tools of an API that has what kenbun documents;
// its folder extensions those that are others, or there at all, where the API has
// more.
func TestA50_DefinitionsAreAsReviewed(t *testing.T) {
	files := map[string]bool{}
	documented := map[string]string{}
	for _, tool := range tools.Tools(tools.Available(toolsets.All(), false)) {
		got := definition(t, tool)
		documented[tool.Name] = string(got)
		compareGolden(t, files, filepath.Join("testdata", tool.Name+".json"), got)
	}
	for _, tool := range tools.Tools(toolsets.All()) {
		if got := definition(t, tool); documented[tool.Name] != string(got) {
			compareGolden(t, files, filepath.Join("testdata", "extensions", tool.Name+".json"), got)
		}
	}
	for _, pattern := range []string{"testdata/*.json", "testdata/extensions/*.json"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found {
			if !files[file] {
				t.Errorf("%s is of no tool: delete it", file)
			}
		}
	}
}

func compareGolden(t *testing.T, files map[string]bool, golden string, got []byte) {
	t.Helper()
	golden = filepath.FromSlash(golden)
	files[golden] = true
	t.Run(golden, func(t *testing.T) {
		if *update {
			if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatalf("%v: write it with go test ./tools/toolsets -update", err)
		}
		if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
			t.Errorf("the definition is not the one in %s (- reviewed, + now); if it should be, run go test ./tools/toolsets -update and read the change:\n%s", golden, diff)
		}
	})
}

// definition is a tool as it leaves, indented.
func definition(t *testing.T, tool *tools.Tool) []byte {
	t.Helper()
	raw, err := json.Marshal(tool.Definition())
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		t.Fatal(err)
	}
	b.WriteByte('\n')
	return b.Bytes()
}

func TestToolsListKeepsToItsBudget(t *testing.T) {
	for extensions, budget := range map[bool]int{false: 9000, true: 10 << 10} {
		toolbox, err := toolsets.New(toolsets.Config{
			Callers: nobody{}, Deliverer: delivery.None{}, Policy: tools.DefaultPolicy(), Extensions: extensions,
		})
		if err != nil {
			t.Fatal(err)
		}
		program := server.NewMCPServer("test", "0")
		program.SetTools(toolbox.ServerTools()...)
		back, err := json.Marshal(program.HandleMessage(t.Context(), json.RawMessage(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)))
		if err != nil {
			t.Fatal(err)
		}
		list := string(back)
		t.Logf("extensions %t: %d bytes", extensions, len(list))
		if len(list) > budget {
			t.Errorf("extensions %t: tools/list has %d bytes, want at most %d", extensions, len(list), budget)
		}
		offered := tools.Tools(tools.Available(toolsets.All(), extensions))
		for _, tool := range offered {
			if !strings.Contains(list, `"name":"`+tool.Name+`"`) {
				t.Errorf("extensions %t: %s is not in tools/list", extensions, tool.Name)
			}
		}
		if n := strings.Count(list, `"inputSchema"`); n != len(offered) {
			t.Errorf("extensions %t: %d tools are in tools/list, want %d", extensions, n, len(offered))
		}
	}
}

type nobody struct{}

func (nobody) Caller(context.Context) (tools.Caller, error) {
	return tools.Caller{}, errors.New("nobody calls")
}

func TestInputSchemasArePlainAndStrict(t *testing.T) {
	for _, tool := range tools.Tools(toolsets.All()) {
		t.Run(tool.Name, func(t *testing.T) {
			raw := tool.Definition().RawInputSchema
			for _, word := range []string{`"$ref"`, `"anyOf"`, `"oneOf"`, `"allOf"`, `"not"`, `"if"`, `null`, `"type":[`} {
				if bytes.Contains(raw, []byte(word)) {
					t.Errorf("the input schema holds %s: %s", word, raw)
				}
			}
			var plain struct {
				Type                 string `json:"type"`
				AdditionalProperties *bool  `json:"additionalProperties"`
				Properties           map[string]struct {
					Description, Type string
					Items             struct{ Type string }
				} `json:"properties"`
			}
			if err := json.Unmarshal(raw, &plain); err != nil {
				t.Fatal(err)
			}
			if plain.Type != "object" || plain.AdditionalProperties == nil || *plain.AdditionalProperties {
				t.Errorf("the input schema is not that of a closed object: %s", raw)
			}
			for name, property := range plain.Properties {
				isText := property.Type == "string" || property.Type == "array" && property.Items.Type == "string"
				isKnown := isText || property.Type == "integer" || property.Type == "boolean" || property.Type == "object"
				if property.Description == "" || !isKnown {
					t.Errorf("property %q is not described: %+v", name, property)
				}
				if name != strings.ToLower(name) {
					t.Errorf("property %q is not in lower case", name)
				}
			}
			for _, text := range []json.RawMessage{raw, tool.OutputSchema} {
				var schema jsonschema.Schema
				if err := json.Unmarshal(text, &schema); err != nil {
					t.Fatal(err)
				}
				if _, err := schema.Resolve(&jsonschema.ResolveOptions{ValidateDefaults: true}); err != nil {
					t.Errorf("the schema does not compile: %v in %s", err, text)
				}
			}
		})
	}
}

func TestAnnotationsAreExplicit(t *testing.T) {
	type hints struct{ ReadOnlyHint, DestructiveHint, IdempotentHint, OpenWorldHint *bool }
	is := func(b bool) *bool { return &b }
	want := map[string]hints{
		"whoami":       {is(true), is(false), is(true), is(false)},
		"list_tokens":  {is(true), is(false), is(true), is(false)},
		"create_token": {is(false), is(false), is(false), is(false)},
		"revoke_token": {is(false), is(true), is(true), is(false)},
		"rotate_token": {is(false), is(true), is(false), is(false)},
		"update_token": {is(false), is(true), is(false), is(false)},
	}
	for _, tool := range tools.Tools(toolsets.All()) {
		var got struct {
			Title       string
			Description string
			Annotations hints
		}
		if err := json.Unmarshal(definition(t, tool), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[tool.Name], got.Annotations); diff != "" {
			t.Errorf("%s: annotations (- want, + got):\n%s", tool.Name, diff)
		}
		if got.Title == "" || got.Description == "" {
			t.Errorf("%s has no title or no description", tool.Name)
		}
	}
}

// No tool takes a path, an address, a recipient or an agreement, and none acts
// on more than one token.
func TestA5_A6_NoArgumentNamesAPlaceOrAnAgreement(t *testing.T) {
	want := map[string][]string{
		"whoami":       nil,
		"list_tokens":  {"status", "unused_days", "expires_within_days", "name", "limit", "cursor"},
		"create_token": {"name", "expires", "valid_from", "permissions"},
		"revoke_token": {"id"},
		"rotate_token": {"id", "expires"},
		"update_token": {"id", "name", "valid_from", "expires", "permissions"},
	}
	for _, tool := range tools.Tools(toolsets.All()) {
		var got []string
		for _, p := range tool.Parameters {
			got = append(got, p.Name)
		}
		if diff := cmp.Diff(want[tool.Name], got); diff != "" {
			t.Errorf("%s takes other arguments than reviewed (- want, + got); none may choose where a secret goes or agree in a person's place:\n%s", tool.Name, diff)
		}
	}
}
