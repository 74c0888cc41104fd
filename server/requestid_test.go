package server_test

import (
	"context"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/kenbun/kenbun-mcp/tools"
)

// tellRequestID answers with the id of the request that it came with.
func tellRequestID(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return mcp.NewToolResultText("id " + tools.RequestID(ctx)), nil
}

func TestRequestIDOfTheAnswersHeaderReachesTools(t *testing.T) {
	h := serveHTTP(t)
	addTool(h.house, "tell", tellRequestID)
	session := h.session(t, bearer(h.pat), noCapabilities)
	for name, answer := range map[string]httpAnswer{
		"modern": h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": "tell", "arguments": map[string]any{}}),
		"legacy": h.post(t, session, call(t, 2, "tell", nil)),
	} {
		id := answer.header.Get("X-Request-Id")
		if told := answer.message(t).tool(t).text(); id == "" || told != "id "+id {
			t.Errorf("%s: the tool knows %q, the header says %q", name, told, id)
		}
	}
}

func TestStdio_EachCallHasARequestIDOfItsOwn(t *testing.T) {
	h := newHouse(t)
	addTool(h, "tell", tellRequestID)
	p := startStdio(t, h)
	p.handshake(noCapabilities)
	seen := map[string]bool{}
	for range 3 {
		// The client's own number is the same each time.
		p.send(call(t, 7, "tell", nil))
		told := p.answer("7").tool(t).text()
		if len(told) != len("id ")+16 || seen[told] {
			t.Errorf("the tool knows %q, after %v", told, seen)
		}
		seen[told] = true
	}
}
