package tokens_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// answer is what a tool call gave, read from the JSON that leaves.
type answer struct {
	t   *testing.T
	raw string

	Result struct {
		ResultType        string          `json:"resultType"`
		IsError           bool            `json:"isError"`
		StructuredContent json.RawMessage `json:"structuredContent"`
		Content           []struct {
			Type string `json:"type"`
			Text string `json:"text"`
		} `json:"content"`
		RequestState  string `json:"requestState"`
		InputRequests map[string]struct {
			Method string `json:"method"`
			Params struct {
				Mode            string          `json:"mode"`
				Message         string          `json:"message"`
				RequestedSchema json.RawMessage `json:"requestedSchema"`
			} `json:"params"`
		} `json:"inputRequests"`
	} `json:"result"`
	Error json.RawMessage `json:"error"`
}

// send hands a message to the server and records what comes back.
func (f *fixture) send(ctx context.Context, message string) string {
	f.t.Helper()
	back, err := json.Marshal(f.server.HandleMessage(ctx, json.RawMessage(message)))
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := f.left.Write(back); err != nil {
		f.t.Fatal(err)
	}
	return string(back)
}

// params are those of a tool call: the arguments as they stand on the wire and
// what else is in it.
func params(tool, arguments string, more ...string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":` + quoted(tool) + `,"arguments":` + arguments +
		strings.Join(more, "") + `}}`
}

func quoted(s string) string {
	data, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// call calls a tool as a client that cannot be asked anything.
func (f *fixture) call(tool, arguments string) *answer {
	f.t.Helper()
	return f.callIn(context.Background(), f.asks("", nil), tool, arguments)
}

// callIn calls a tool in a session of an older protocol.
func (f *fixture) callIn(ctx context.Context, session *legacySession, tool, arguments string, more ...string) *answer {
	f.t.Helper()
	return f.read(tool, f.send(f.server.WithContext(ctx, session), params(tool, arguments, more...)))
}

// callModern calls a tool in the protocol of 2026-07-28, in which each request
// tells what the client can do.
func (f *fixture) callModern(capabilities, tool, arguments string, more ...string) *answer {
	f.t.Helper()
	meta := `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":` + capabilities + `}`
	return f.read(tool, f.send(context.Background(), params(tool, arguments, append(more, meta)...)))
}

// state and response are what a client adds to a call that answers a question.
func state(s string) string { return `,"requestState":` + quoted(s) }

func response(answer string) string { return `,"inputResponses":{"decision":` + answer + `}` }

func (f *fixture) read(tool, raw string) *answer {
	f.t.Helper()
	a := &answer{t: f.t, raw: raw}
	if err := json.Unmarshal([]byte(raw), a); err != nil {
		f.t.Fatalf("%v in %s", err, raw)
	}
	if a.Result.StructuredContent != nil {
		var value any
		if err := json.Unmarshal(a.Result.StructuredContent, &value); err != nil {
			f.t.Fatal(err)
		}
		if err := outputSchemas()[tool].Validate(value); err != nil {
			f.t.Errorf("%s: the structured content does not fit the output schema: %v in %s", tool, err, a.Result.StructuredContent)
		}
	}
	return a
}

// outputSchemas holds the tools' output schemas, closed: what a schema does not
// name may not be answered.
var outputSchemas = sync.OnceValue(func() map[string]*jsonschema.Resolved {
	schemas := map[string]*jsonschema.Resolved{}
	for _, tool := range tools.Tools(toolsets.All()) {
		var schema jsonschema.Schema
		if err := json.Unmarshal(tool.OutputSchema, &schema); err != nil {
			panic(err)
		}
		closeObjects(&schema)
		resolved, err := schema.Resolve(nil)
		if err != nil {
			panic(err)
		}
		schemas[tool.Name] = resolved
	}
	return schemas
})

func closeObjects(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		closeObjects(s.Properties[name])
	}
	closeObjects(s.Items)
	if s.Type == "object" && s.AdditionalProperties == nil {
		s.AdditionalProperties = &jsonschema.Schema{Not: &jsonschema.Schema{}}
	}
}

func (a *answer) text() string {
	a.t.Helper()
	if len(a.Result.Content) != 1 || a.Result.Content[0].Type != "text" {
		a.t.Fatalf("the answer is not one text: %s", a.raw)
	}
	return a.Result.Content[0].Text
}

// ok fails the test unless the call did what it was asked to do, and decodes
// the structured content into out.
func (a *answer) ok(out any) *answer {
	a.t.Helper()
	if a.Error != nil || a.Result.IsError || a.Result.StructuredContent == nil {
		a.t.Fatalf("the call did not succeed: %s", a.raw)
	}
	if out != nil {
		if err := json.Unmarshal(a.Result.StructuredContent, out); err != nil {
			a.t.Fatal(err)
		}
	}
	return a
}

// failed fails the test unless the call was answered with an error of the given
// code whose text holds every one of the words.
func (a *answer) failed(code tools.Code, words ...string) *answer {
	a.t.Helper()
	if a.Error != nil || !a.Result.IsError {
		a.t.Fatalf("want an error %s, got %s", code, a.raw)
	}
	if a.Result.StructuredContent != nil {
		a.t.Fatalf("an error with structured content: %s", a.raw)
	}
	text := a.text()
	got, rest, _ := strings.Cut(text, ":")
	if got != string(code) {
		a.t.Fatalf("want code %s, got %q", code, text)
	}
	for _, other := range tools.Codes() {
		if strings.Contains(rest, string(other)+": ") {
			a.t.Fatalf("a second code stands in %q", text)
		}
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			a.t.Fatalf("the error does not say %q: %q", word, text)
		}
	}
	return a
}

// asking fails the test unless the call was answered with a question to the
// person, and returns the state that the client has to bring back.
func (a *answer) asking() string {
	a.t.Helper()
	question, ok := a.Result.InputRequests["decision"]
	if a.Result.ResultType != "input_required" || !ok || question.Method != "elicitation/create" || question.Params.Mode != "form" {
		a.t.Fatalf("want a question to the person, got %s", a.raw)
	}
	if a.Result.RequestState == "" {
		a.t.Fatalf("a question without a state: %s", a.raw)
	}
	return a.Result.RequestState
}
