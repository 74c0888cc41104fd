package tools_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"

	"github.com/kenbun/kenbun-mcp/tools"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

func TestA50_DefinitionsAreAsReviewed(t *testing.T) {
	names := map[string]bool{}
	for _, tool := range tools.All() {
		names[tool.Name+".json"] = true
		t.Run(tool.Name, func(t *testing.T) {
			got := definition(t, tool)
			golden := filepath.Join("testdata", tool.Name+".json")
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v: write it with go test ./tools -update", err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
				t.Errorf("the definition of %s is not the one in %s (- reviewed, + now); if it should be, run go test ./tools -update and read the change:\n%s",
					tool.Name, golden, diff)
			}
		})
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !names[filepath.Base(file)] {
			t.Errorf("%s is of no tool: delete it", file)
		}
	}
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
	const budget = 9000
	f := newFixture(t)
	list := f.send(t.Context(), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	if len(list) > budget {
		t.Errorf("tools/list has %d bytes, want at most %d", len(list), budget)
	}
	for _, tool := range tools.All() {
		if !strings.Contains(list, `"name":"`+tool.Name+`"`) {
			t.Errorf("%s is not in tools/list", tool.Name)
		}
	}
}

func TestInputSchemasArePlainAndStrict(t *testing.T) {
	for _, tool := range tools.All() {
		t.Run(tool.Name, func(t *testing.T) {
			raw := tool.Definition().RawInputSchema
			for _, word := range []string{`"$ref"`, `"anyOf"`, `"oneOf"`, `"allOf"`, `"not"`, `"if"`, `null`, `"type":[`} {
				if bytes.Contains(raw, []byte(word)) {
					t.Errorf("the input schema holds %s: %s", word, raw)
				}
			}
			var plain struct {
				Type                 string                                        `json:"type"`
				AdditionalProperties *bool                                         `json:"additionalProperties"`
				Properties           map[string]struct{ Description, Type string } `json:"properties"`
			}
			if err := json.Unmarshal(raw, &plain); err != nil {
				t.Fatal(err)
			}
			if plain.Type != "object" || plain.AdditionalProperties == nil || *plain.AdditionalProperties {
				t.Errorf("the input schema is not that of a closed object: %s", raw)
			}
			for name, property := range plain.Properties {
				if property.Description == "" || property.Type != "string" && property.Type != "integer" {
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
	}
	for _, tool := range tools.All() {
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
		"create_token": {"name", "expires"},
		"revoke_token": {"id"},
		"rotate_token": {"id", "expires"},
	}
	for _, tool := range tools.All() {
		var got []string
		for _, p := range tool.Parameters {
			got = append(got, p.Name)
		}
		if diff := cmp.Diff(want[tool.Name], got); diff != "" {
			t.Errorf("%s takes other arguments than reviewed (- want, + got); none may choose where a secret goes or agree in a person's place:\n%s", tool.Name, diff)
		}
	}
}
