package server_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"
)

// expectWithdrawal checks that a message takes a question back.
func expectWithdrawal(t *testing.T, m message, questionID, reason string) {
	t.Helper()
	var params struct {
		RequestID json.RawMessage `json:"requestId"`
		Reason    string          `json:"reason"`
	}
	if err := json.Unmarshal(m.Params, &params); err != nil || m.Method != "notifications/cancelled" || m.ID != nil {
		t.Fatalf("instead of taking the question back came %+v", m)
	}
	if string(params.RequestID) != questionID || params.Reason != reason {
		t.Errorf("question %s is taken back with %s", questionID, m.Params)
	}
}

// A client must not go on showing a dialog whose answer counts for nothing.
func TestQuestions_AreTakenBackWhenTheirTimeIsOver(t *testing.T) {
	h := serveHTTP(t)
	addTool(h.house, "ask", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		asker, ok := mcpserver.ClientSessionFromContext(ctx).(mcpserver.SessionWithElicitation)
		if !ok {
			return mcp.NewToolResultText("cannot ask"), nil
		}
		ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		_, err := asker.RequestElicitation(ctx, mcp.ElicitationRequest{Params: mcp.ElicitationParams{
			Message: "Well?", RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{}},
		}})
		return mcp.NewToolResultText(err.Error()), nil
	})
	expect := func(t *testing.T, next func() message) {
		t.Helper()
		question := next()
		if question.Method != "elicitation/create" {
			t.Fatalf("instead of a question: %+v", question)
		}
		expectWithdrawal(t, next(), string(question.ID), "the time for an answer has run out")
		if answer := next().tool(t); !strings.Contains(answer.text(), "deadline") {
			t.Errorf("the call: %s", answer.text())
		}
	}
	t.Run("stdio", func(t *testing.T) {
		p := startStdio(t, h.house)
		p.handshake(asksPeople)
		p.send(call(t, 1, "ask", nil))
		expect(t, p.next)
	})
	t.Run("http", func(t *testing.T) {
		s := h.open(t, "POST", h.session(t, bearer(h.pat), asksPeople), call(t, 1, "ask", nil))
		expect(t, s.next)
		s.ends()
	})
}
