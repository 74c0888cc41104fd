package tools_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
	"pgregory.net/rapid"
)

// sayingNothing are the values of an optional argument that mean that it is left
// out.
func sayingNothing(p *tools.Parameter) []string {
	if p.Kind == tools.List {
		return []string{`null`}
	}
	if p.Kind == tools.Integer {
		return []string{`null`, `""`, `" "`}
	}
	return []string{`null`, `""`}
}

// anyValue is a value that p takes.
func anyValue(t *rapid.T, p *tools.Parameter) string {
	switch {
	case p.Kind == tools.Integer:
		return fmt.Sprint(rapid.IntRange(p.Min, p.Max).Draw(t, p.Name))
	case p.Kind == tools.List:
		return string(tools.MustMarshal(rapid.SliceOfN(rapid.StringMatching(`[a-z]{1,8}:[a-z]{1,8}`), 1, min(3, p.MaxItems)).Draw(t, p.Name)))
	case len(p.Choices) > 0:
		return string(tools.MustMarshal(rapid.SampledFrom(p.Choices).Draw(t, p.Name)))
	default:
		return string(tools.MustMarshal(rapid.StringMatching(`[a-z0-9 ]{1,12}`).Draw(t, p.Name)))
	}
}

// inAnyOrder writes an object whose members come in any order.
func inAnyOrder(members []string) json.RawMessage {
	rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return json.RawMessage("{" + strings.Join(members, ",") + "}")
}

// Clients that fill in every argument of a schema, and models that quote every
// value, get what those get who leave arguments out and write numbers.
func TestP1_NullEmptyTextAndQuotedNumbersChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tool := rapid.SampledFrom(tools.Tools(toolsets.All())).Draw(t, "tool")
		var plain, bent []string
		for i := range tool.Parameters {
			p := &tool.Parameters[i]
			member := func(value string) string { return string(tools.MustMarshal(p.Name)) + ":" + value }
			if !p.Required && rapid.Bool().Draw(t, p.Name+" is left out") {
				if rapid.Bool().Draw(t, p.Name+" says nothing") {
					bent = append(bent, member(rapid.SampledFrom(sayingNothing(p)).Draw(t, p.Name)))
				}
				continue
			}
			value := anyValue(t, p)
			plain = append(plain, member(value))
			if p.Kind == tools.Integer {
				value = fmt.Sprintf(rapid.SampledFrom([]string{`%s`, `%s.0`, `"%s"`, `" %s "`, `"%s.0"`, `"0%s"`}).Draw(t, p.Name+" as"), value)
			}
			bent = append(bent, member(value))
		}
		want, err := tool.ParseArguments(inAnyOrder(plain))
		if err != nil {
			t.Fatalf("%s of %s: %v", tool.Name, plain, err)
		}
		got, err := tool.ParseArguments(inAnyOrder(bent))
		if err != nil {
			t.Fatalf("%s of %s: %v", tool.Name, bent, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s takes %s as %v, and %s as %v", tool.Name, plain, want, bent, got)
		}
	})
}

// What a required argument says is never guessed, and an empty list is never
// everything.
func TestP1_RequiredArgumentsAndListsStayStrict(t *testing.T) {
	number := tools.Parameter{Name: "n", Kind: tools.Integer, Min: 1, Max: 9, Required: true}
	for _, value := range []string{`null`, `""`, `"5"`} {
		if got, err := (&tools.Tool{Parameters: []tools.Parameter{number}}).ParseArguments(json.RawMessage(`{"n":` + value + `}`)); err == nil {
			t.Errorf("a required number takes %s as %v", value, got)
		}
	}
	for _, tool := range tools.Tools(toolsets.All()) {
		for i := range tool.Parameters {
			p := &tool.Parameters[i]
			refused := []string{`[]`, `""`, `{}`}
			if p.Kind != tools.List {
				refused = []string{`[]`, `{}`, `false`}
			}
			if p.Required {
				refused = append(refused, `null`)
			}
			for _, value := range refused {
				if p.Absent(json.RawMessage(value)) {
					t.Errorf("%s takes %s as no %s", tool.Name, value, p.Name)
				}
				if got, err := p.Decode(json.RawMessage(value)); err == nil {
					t.Errorf("%s takes %s as %s: %v", tool.Name, value, p.Name, got)
				}
			}
		}
	}
}
