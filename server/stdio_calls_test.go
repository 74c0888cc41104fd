package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/server/stdio"
)

// addTool offers one more tool, without parameters.
func addTool(h *house, name string, handler mcpserver.ToolHandlerFunc) {
	h.AddTool(mcp.NewTool(name), handler)
}

// notifying sends as many notifications as its argument n says.
func notifying(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	for i := range request.GetInt("n", 1) {
		err := mcpserver.ServerFromContext(ctx).SendNotificationToClient(ctx, "notifications/progress", map[string]any{
			"progressToken": request.GetString("as", ""), "progress": i,
		})
		if err != nil {
			return nil, err
		}
	}
	return mcp.NewToolResultText("done"), nil
}

func TestStdio_NotificationsComeBeforeTheAnswerOfTheirCall(t *testing.T) {
	h := newHouse(t)
	addTool(h, "notify", notifying)
	p := startStdio(t, h)
	p.handshake(noCapabilities)
	for i := range 200 {
		p.send(call(t, i, "notify", map[string]any{"n": 3, "as": fmt.Sprint(i)}))
		for step := range 3 {
			m := p.next()
			if want := fmt.Sprintf(`"progress":%d,"progressToken":"%d"`, step, i); !strings.Contains(string(m.Params), want) {
				t.Fatalf("call %d, notification %d: %s %s %s", i, step, m.Method, m.Params, m.Result)
			}
		}
		p.answer(fmt.Sprint(i))
	}
}

func TestStdio_TwoHundredNotificationsOfOneCallArriveInOrder(t *testing.T) {
	h := newHouse(t)
	addTool(h, "notify", notifying)
	p := startStdio(t, h)
	p.handshake(noCapabilities)
	p.send(call(t, 1, "notify", map[string]any{"n": 200}))
	for i := range 200 {
		if m := p.next(); !strings.Contains(string(m.Params), fmt.Sprintf(`"progress":%d,`, i)) {
			t.Fatalf("message %d is %s %s %s", i, m.Method, m.Params, m.Result)
		}
	}
	if m := p.answer("1"); m.Error != nil {
		t.Errorf("the call: %+v", m.Error)
	}
}

func TestStdio_CancelRightBehindTheCall(t *testing.T) {
	h := newHouse(t)
	ended := make(chan error, 50)
	addTool(h, "wait", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return mcp.NewToolResultText("must not be sent"), nil
	})
	p := startStdio(t, h)
	p.handshake(noCapabilities)
	cancelled := 0
	for i := range 50 {
		p.send(
			call(t, i, "wait", nil),
			fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d,"reason":"changed my mind"}}`, i),
			request(t, "ping", "ping", nil),
		)
		p.answer(`"ping"`) // and nothing before it
	}
	p.send(request(t, "last", "ping", nil))
	rest := p.rest()
	if len(rest) != 1 {
		t.Errorf("answers to cancelled calls: %v", rest)
	}
	// A call may be cancelled before its handler begins; if it began, it ended.
	for {
		select {
		case err := <-ended:
			if err == nil {
				t.Error("a handler went on")
			}
			cancelled++
			continue
		default:
		}
		break
	}
	t.Logf("%d of 50 had begun", cancelled)
}

func TestStdio_CancelEndsARunningHandler(t *testing.T) {
	h := newHouse(t)
	begun, ended := make(chan struct{}), make(chan error)
	addTool(h, "wait", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		begun <- struct{}{}
		<-ctx.Done()
		ended <- ctx.Err()
		return mcp.NewToolResultText("must not be sent"), nil
	})
	p := startStdio(t, h)
	p.handshake(noCapabilities)
	for i := range 50 {
		id := fmt.Sprintf(`"call %d"`, i)
		p.send(`{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"wait"}}`)
		<-begun
		p.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"call 999"}}`,
			`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}`,
			`{"jsonrpc":"2.0","method":"notifications/cancelled","params":7}`,
			request(t, 1, "ping", nil))
		p.answer("1")
		select {
		case <-ended:
			t.Fatal("a cancellation of something else ended the call")
		default:
		}
		p.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + id + `}}`)
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatal("the handler goes on")
		}
	}
	if rest := p.rest(); len(rest) != 0 {
		t.Errorf("answers to cancelled calls: %v", rest)
	}
}

// Of 200 calls that ask at once, two are put to the user and the others answered.
func TestStdio_TwoHundredQuestionsDoNotHoldUpAPing(t *testing.T) {
	h := newHouse(t)
	p := startStdio(t, h)
	p.handshake(asksPeople)
	ids := map[string]string{} // of the question to the token's
	var tokens []string
	for i := range 200 {
		issued := h.api.Token(t, "ada@example.com", fmt.Sprintf("token %d", i), nil)
		tokens = append(tokens, issued.ID)
	}
	for i, id := range tokens {
		p.send(call(t, "revoke "+fmt.Sprint(i), "revoke_token", map[string]any{"id": id}))
	}
	for range 200 {
		question := p.next()
		if question.Method != "elicitation/create" {
			if answer := question.tool(t); !strings.HasPrefix(answer.text(), "rate_limited: 2 questions are open already") {
				t.Fatalf("instead of a question: %s %s", question.ID, question.Result)
			}
			continue
		}
		if _, twice := ids[string(question.ID)]; twice {
			t.Fatalf("two questions with the id %s", question.ID)
		}
		ids[string(question.ID)] = "asked"
	}
	if len(ids) != 2 {
		t.Fatalf("%d questions were put, want 2", len(ids))
	}
	kenbuntest.Within(t, 50*time.Millisecond, 5, "a ping", func() time.Duration {
		sent := time.Now()
		p.send(request(t, "ping", "ping", nil))
		p.answer(`"ping"`)
		return time.Since(sent)
	})
	for id := range ids {
		p.send(`{"jsonrpc":"2.0","id":` + id + `,"result":{"action":"accept","content":{"approve":true}}}`)
	}
	for range ids {
		if answer := p.next().tool(t); answer.IsError || !strings.Contains(string(answer.Structured), `"outcome":"revoked"`) {
			t.Fatalf("a call that was agreed to: %s", answer.text())
		}
	}
	if rest := p.rest(); len(rest) != 0 {
		t.Errorf("further messages: %v", rest)
	}
}

func TestR33_StdioPanicCostsOneCall(t *testing.T) {
	h := newHouse(t)
	addTool(h, "panic", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		panic("the inner workings")
	})
	h.AddPrompt(mcp.NewPrompt("panic"), func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		panic("the inner workings")
	})
	h.AddResource(mcp.NewResource("test://panic", "panic"), func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
		panic("the inner workings")
	})
	p := startStdio(t, h)
	p.handshake(noCapabilities)
	for i, line := range []string{
		call(t, 0, "panic", nil),
		request(t, 1, "prompts/get", map[string]any{"name": "panic"}),
		request(t, 2, "resources/read", map[string]any{"uri": "test://panic"}),
	} {
		p.send(line)
		m := p.answer(fmt.Sprint(i))
		if m.Error == nil || m.Error.Code != mcp.INTERNAL_ERROR {
			t.Fatalf("%s is answered with %+v", line, m)
		}
		if strings.Contains(m.Error.Message, "inner workings") || strings.Contains(m.Error.Message, "goroutine") {
			t.Errorf("%s: the error tells too much: %s", line, m.Error.Message)
		}
	}
	p.send(call(t, 5, "whoami", nil))
	if answer := p.answer("5").tool(t); answer.IsError {
		t.Errorf("the next call: %s", answer.text())
	}
	if rest := p.rest(); len(rest) != 0 {
		t.Errorf("further messages: %v", rest)
	}
}

func TestStdio_NoMoreThanSoManyCallsWorkAtOnce(t *testing.T) {
	h := newHouse(t)
	var now, most atomic.Int64
	release := make(chan struct{})
	full := make(chan struct{}, 1000)
	addTool(h, "work", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		working := now.Add(1)
		defer now.Add(-1)
		for old := most.Load(); working > old && !most.CompareAndSwap(old, working); old = most.Load() {
		}
		full <- struct{}{}
		<-release
		return mcp.NewToolResultText("done"), nil
	})
	p := startStdio(t, h)
	p.handshake(noCapabilities)
	for i := range 300 {
		p.send(call(t, i, "work", nil))
	}
	for range stdio.WorkingCalls {
		<-full
	}
	close(release)
	if rest := p.rest(); len(rest) != 300 {
		t.Errorf("%d of 300 answered", len(rest))
	}
	if most.Load() != stdio.WorkingCalls {
		t.Errorf("%d calls worked at once, want %d", most.Load(), stdio.WorkingCalls)
	}
}

func TestStdio_TooManyOpenRequestsAreRefusedAndTheOthersAnswered(t *testing.T) {
	h := newHouse(t)
	release := make(chan struct{})
	addTool(h, "work", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		<-release
		return mcp.NewToolResultText("done"), nil
	})
	p := startStdio(t, h)
	p.handshake(noCapabilities)
	const surplus = 25
	for i := range stdio.MaxWaiting + surplus {
		p.send(call(t, i, "work", nil))
	}
	for i := range surplus {
		m := p.answer(fmt.Sprint(stdio.MaxWaiting + i))
		if m.Error == nil || m.Error.Code != stdio.Busy {
			t.Fatalf("call %d is answered with %+v", stdio.MaxWaiting+i, m.Error)
		}
	}
	close(release)
	if rest := p.rest(); len(rest) != stdio.MaxWaiting {
		t.Errorf("%d answers, want %d", len(rest), stdio.MaxWaiting)
	}
}

func TestStdio_BytesThatWaitAreBounded(t *testing.T) {
	h := newHouse(t)
	begun, release := make(chan struct{}), make(chan struct{})
	addTool(h, "work", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		begun <- struct{}{}
		<-release
		return mcp.NewToolResultText("done"), nil
	})
	p := startStdio(t, h)
	p.handshake(noCapabilities)
	for i := range stdio.WorkingCalls {
		p.send(call(t, i, "work", nil))
		<-begun
	}
	const large, size = 24, 3 << 20
	pad := strings.Repeat("x", size)
	for i := range large {
		p.send(call(t, fmt.Sprint("large ", i), "work", map[string]any{"pad": pad}))
	}
	for range large - (64<<20)/size {
		m := p.next()
		if m.Error == nil || m.Error.Code != stdio.Busy {
			t.Fatalf("call %s is answered with %+v", m.ID, m.Error)
		}
	}
	for i := range large {
		p.send(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"large %d"}}`, i))
	}
	p.send(request(t, "ping", "ping", nil))
	p.answer(`"ping"`) // though there is no place for a call
	close(release)
	if rest := p.rest(); len(rest) != stdio.WorkingCalls {
		t.Errorf("%d answers, want %d", len(rest), stdio.WorkingCalls)
	}
}

func TestStdio_EqualIDsAreBothAnswered(t *testing.T) {
	p := startStdio(t, newHouse(t))
	p.handshake(noCapabilities)
	p.send(call(t, 1, "whoami", nil), call(t, 1, "list_tokens", nil))
	for range 2 {
		var result map[string]json.RawMessage
		if err := json.Unmarshal(p.answer("1").Result, &result); err != nil {
			t.Error(err)
		}
	}
}
