package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/kenbun/kenbun-mcp/server/internal/rpc"
)

// What two readers of JSON might understand differently is no message.
var ambiguousMessages = map[string]string{
	"a name twice":                  `{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}`,
	"a name twice, escaped":         `{"jsonrpc":"2.0","id":1,"method":"tools/list","meth\u006fd":"tools/call"}`,
	"a name twice in the arguments": `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"revoke_token","arguments":{"id":"pat_a","id":"pat_b"}}}`,
	"a name twice, deep":            `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"a":[{"b":1,"b":2}]}}}`,
	"a name in another case":        `{"jsonrpc":"2.0","id":1,"METHOD":"tools/list"}`,
	"a name in two cases":           `{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}`,
	"a name with a long s":          `{"json` + "\u017f" + `rpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping","param` + "\u017f" + `":{}}`,
	"a parameter in another case":   `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"Name":"whoami"}}`,
	"a parameter in two cases":      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","NAME":"list_tokens"}}`,
	"no UTF-8":                      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{\"x\":\"\xff\"}}",
	"half a pair of surrogates":     `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"\ud800"}}`,
	"two messages":                  `{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":2,"method":"ping"}`,
	"something behind it":           `{"jsonrpc":"2.0","id":1,"method":"ping"} x`,
	"a comment":                     `{"jsonrpc":"2.0","id":1,"method":"ping"/**/}`,
	"a comma too many":              `{"jsonrpc":"2.0","id":1,"method":"ping",}`,
	"a batch":                       `[{"jsonrpc":"2.0","id":1,"method":"ping"}]`,
	"no version":                    `{"id":1,"method":"ping"}`,
	"a version in another form":     `{"jsonrpc":2.0,"id":1,"method":"ping"}`,
	"a method that is no text":      `{"jsonrpc":"2.0","id":1,"method":["ping"]}`,
	"an empty method":               `{"jsonrpc":"2.0","id":1,"method":""}`,
	"nested without end":            `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}}`,
	"brackets without end":          strings.Repeat(`{"a":`, 100_000),
}

func TestR30_AmbiguousMessagesAreRefusedOverHTTP(t *testing.T) {
	h := serveHTTP(t)
	session := h.session(t, bearer(h.pat), noCapabilities)
	for name, body := range ambiguousMessages {
		answer := h.post(t, session, body)
		if answer.status != http.StatusBadRequest {
			t.Errorf("%s: status %d, %s", name, answer.status, answer.body)
			continue
		}
		if m := answer.message(t); m.Error == nil || (m.Error.Code != mcp.PARSE_ERROR && m.Error.Code != mcp.INVALID_REQUEST) {
			t.Errorf("%s: %s", name, answer.body)
		}
	}
	if answer := h.post(t, session, request(t, 1, "ping", nil)); answer.message(t).Error != nil {
		t.Errorf("a plain message: %s", answer.body)
	}
}

func TestR30_AmbiguousMessagesAreRefusedOverStdio(t *testing.T) {
	p := startStdio(t, newHouse(t))
	for name, line := range ambiguousMessages {
		p.send(line)
		if m := p.next(); m.Error == nil || (m.Error.Code != mcp.PARSE_ERROR && m.Error.Code != mcp.INVALID_REQUEST) {
			t.Errorf("%s: %s %+v", name, m.Result, m.Error)
		}
	}
	p.send(request(t, "after", "ping", nil))
	p.answer(`"after"`)
}

// Nesting is bounded at exactly one depth, whatever stands in texts.
func TestR24_NestingAtTheLimitAndBeyondIt(t *testing.T) {
	p := startStdio(t, newHouse(t))
	nested := func(depth int) string {
		inner := depth - 2 // the message and its params
		return `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"note":"[[[{{{\"[[","x":` + strings.Repeat("[", inner) + strings.Repeat("]", inner) + `}}`
	}
	p.send(nested(rpc.MaxDepth))
	p.answer("1")
	p.send(nested(rpc.MaxDepth + 1))
	if m := p.next(); m.Error == nil || m.Error.Code != mcp.INVALID_REQUEST {
		t.Errorf("one deeper: %s %+v", m.Result, m.Error)
	}
}
