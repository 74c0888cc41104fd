package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// question is the call to revoke a token of the test's, as far as the question
// to the person.
func (p *stdioPeer) question(h *house, callID any) (questionID, value string) {
	p.t.Helper()
	issued := h.api.Token(p.t, "ada@example.com", fmt.Sprintf("for call %v", callID), nil)
	p.send(call(p.t, callID, "revoke_token", map[string]any{"id": issued.ID}))
	asked := p.next()
	if asked.Method != "elicitation/create" {
		p.t.Fatalf("instead of a question: %s %s", asked.Method, asked.Result)
	}
	return string(asked.ID), issued.Value
}

func TestR37_StdioEndOfInputWhileThePersonThinks(t *testing.T) {
	h := newHouse(t)
	p := startStdio(t, h)
	p.handshake(asksPeople)
	_, value := p.question(h, 1)
	answer := p.rest()["1"].tool(t)
	if !answer.IsError || !strings.HasPrefix(answer.text(), "needs_person: ") || !strings.Contains(answer.text(), "was not revoked") {
		t.Errorf("answer: %s", answer.text())
	}
	if !h.works(t, value) {
		t.Error("the token was revoked")
	}
}

func TestStdio_DecisionRightBeforeTheEndOfInputCounts(t *testing.T) {
	h := newHouse(t)
	for range 30 {
		p := startStdio(t, h)
		p.handshake(asksPeople)
		id, value := p.question(h, 1)
		p.send(`{"jsonrpc":"2.0","id":` + id + `,"result":{"action":"accept","content":{"approve":true}}}`)
		if answer := p.rest()["1"].tool(t); answer.IsError {
			t.Fatalf("answer: %s", answer.text())
		}
		if h.works(t, value) {
			t.Fatal("the token still works")
		}
	}
}

func TestR37_StdioOnlyAPlainYesRevokes(t *testing.T) {
	h := newHouse(t)
	p := startStdio(t, h)
	p.handshake(asksPeople)
	for i, c := range []struct{ body, code string }{
		{`"result":{"action":"decline"}`, "declined"},
		{`"result":{"action":"cancel"}`, "declined"},
		{`"result":{"action":"accept"}`, "declined"},
		{`"result":{"action":"accept","content":null}`, "declined"},
		{`"result":{"action":"accept","content":{}}`, "declined"},
		{`"result":{"action":"accept","content":{"approve":false}}`, "declined"},
		{`"result":{"action":"accept","content":{"approve":"true"}}`, "declined"},
		{`"result":{"action":"accept","content":{"approve":1}}`, "declined"},
		{`"result":{"action":"accept","content":{"Approve":true}}`, "declined"},
		{`"result":{"action":"accept","content":[true]}`, "declined"},
		{`"result":{"action":"ACCEPT","content":{"approve":true}}`, "declined"},
		{`"result":{"content":{"approve":true}}`, "declined"},
		{`"result":{"action":true,"content":{"approve":true}}`, "needs_person"},
		{`"result":null`, "declined"},
		{`"result":"accept"`, "needs_person"},
		{`"result":[{"action":"accept","content":{"approve":true}}]`, "needs_person"},
		{`"error":{"code":-32601,"message":"no such method"}`, "needs_person"},
		{`"error":{"code":1,"message":"x"},"result":{"action":"accept","content":{"approve":true}}`, "needs_person"},
	} {
		callID := fmt.Sprint(i)
		id, value := p.question(h, i)
		p.send(`{"jsonrpc":"2.0","id":` + id + `,` + c.body + `}`)
		answer := p.answer(callID).tool(t)
		if !answer.IsError || !strings.HasPrefix(answer.text(), c.code+": ") {
			t.Errorf("%s: %s", c.body, answer.text())
		}
		if !h.works(t, value) {
			t.Errorf("%s revokes", c.body)
		}
	}
	// The question is the same; the plain yes is what makes the difference.
	id, value := p.question(h, "yes")
	p.send(`{"jsonrpc":"2.0","id":` + id + `,"result":{"action":"accept","content":{"approve":true}}}`)
	if answer := p.answer(`"yes"`).tool(t); answer.IsError || h.works(t, value) {
		t.Errorf("a yes: %s", answer.text())
	}
	// A second answer to the same question is nobody's.
	p.send(`{"jsonrpc":"2.0","id":`+id+`,"result":{"action":"accept","content":{"approve":true}}}`, request(t, "ping", "ping", nil))
	p.answer(`"ping"`)
}

func TestR37_StdioCancelledQuestionRevokesNothing(t *testing.T) {
	h := newHouse(t)
	p := startStdio(t, h)
	p.handshake(asksPeople)
	id, value := p.question(h, 1)
	p.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	expectWithdrawal(t, p.next(), id, "the call that asked was cancelled")
	p.send(`{"jsonrpc":"2.0","id":` + id + `,"result":{"action":"accept","content":{"approve":true}}}`)
	if rest := p.rest(); len(rest) != 0 {
		t.Errorf("the cancelled call is answered: %v", rest)
	}
	if !h.works(t, value) {
		t.Error("the token was revoked")
	}
}

func TestR37_StdioClientThatCannotAskIsRefused(t *testing.T) {
	h := newHouse(t)
	issued := h.api.Token(t, "ada@example.com", "old", nil)
	for _, capabilities := range []map[string]any{
		noCapabilities,
		{"elicitation": map[string]any{"url": map[string]any{}}},
	} {
		p := startStdio(t, h)
		p.handshake(capabilities)
		p.send(call(t, 1, "revoke_token", map[string]any{"id": issued.ID}))
		if answer := p.answer("1").tool(t); !strings.HasPrefix(answer.text(), "needs_person: ") {
			t.Errorf("%v: %s", capabilities, answer.text())
		}
		p.rest()
	}
	if !h.works(t, issued.Value) {
		t.Error("the token was revoked")
	}
}

// A request of 2026-07-28 tells what its client can do for itself alone.
func TestR37_StdioRequestThatStandsAloneDoesNotChangeTheSession(t *testing.T) {
	h := newHouse(t)
	p := startStdio(t, h)
	p.handshake(asksPeople)
	for _, method := range []string{"tools/list", "ping", "initialize"} { // of a client that cannot ask
		p.send(modern(t, 1, method, nil))
		p.answer("1")
	}
	id, value := p.question(h, 2)
	p.send(`{"jsonrpc":"2.0","id":` + id + `,"result":{"action":"accept","content":{"approve":true}}}`)
	if answer := p.answer("2").tool(t); answer.IsError || h.works(t, value) {
		t.Errorf("answer: %s", answer.text())
	}
}

func TestStdio_SignalEndsTheServerThoughAHandlerDoesNot(t *testing.T) {
	h := newHouse(t)
	begun, release := make(chan struct{}), make(chan struct{})
	addTool(h, "stubborn", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		begun <- struct{}{}
		<-release
		return mcp.NewToolResultText("too late"), nil
	})
	var ended []*stdioPeer
	kenbuntest.Within(t, time.Second, 3, "the end", func() time.Duration {
		p := startStdio(t, h)
		ended = append(ended, p)
		p.handshake(noCapabilities)
		p.send(call(t, 1, "stubborn", nil))
		<-begun
		stopped := time.Now()
		p.stop()
		if err := p.end(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
		return time.Since(stopped)
	})
	close(release)
	for _, p := range ended {
		for m := range p.lines {
			t.Errorf("after the end came %s %s", m.ID, m.Result)
		}
	}
}

func TestStdio_SignalEndsTheServerAtOnceWhereHandlersObey(t *testing.T) {
	h := newHouse(t)
	kenbuntest.Within(t, 450*time.Millisecond, 3, "the end", func() time.Duration {
		p := startStdio(t, h)
		p.handshake(asksPeople)
		_, value := p.question(h, 1)
		stopped := time.Now()
		p.stop()
		if err := p.end(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
		took := time.Since(stopped)
		if !h.works(t, value) {
			t.Error("the token was revoked")
		}
		return took
	})
}

// A client that stopped reading must not keep the server from ending.
func TestStdio_SignalEndsTheServerThoughNobodyReads(t *testing.T) {
	h := newHouse(t)
	for _, line := range []string{request(t, 1, "ping", nil), request(t, 1, "tools/list", nil)} {
		kenbuntest.Within(t, time.Second, 3, "the end while it answers "+line, func() time.Duration { return endUnread(t, h, line) })
	}
}

// endUnread ends a server of whose answer to line a client reads no more than the
// first byte, and returns how long that took.
func endUnread(t *testing.T, h *house, line string) (took time.Duration) {
	t.Helper()
	in, toServer := io.Pipe()
	out, toPeer := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- h.ServeStdio(ctx, in, toPeer) }()
	if _, err := io.WriteString(toServer, line+"\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	stop()
	select {
	case err := <-ended:
		took = time.Since(stopped)
		if err != nil {
			t.Errorf("the server ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatalf("the server does not end while it answers %s", line)
	}
	if err := errors.Join(out.Close(), in.Close()); err != nil {
		t.Error(err)
	}
	return took
}

func TestStdio_SignalWhileMessagesArrive(t *testing.T) {
	h := newHouse(t)
	for range 10 {
		p := startStdio(t, h)
		p.handshake(noCapabilities)
		sending := make(chan struct{})
		go func() {
			defer close(sending)
			for i := range 2000 {
				line := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"resources/list"}`+"\n", i)
				if _, err := p.stdin.WriteString(line); err != nil {
					return
				}
			}
		}()
		p.next()
		p.stop()
		if err := p.end(); err != nil {
			t.Fatalf("the server ended with %v", err)
		}
		if err := p.stdin.Close(); err != nil {
			t.Fatal(err)
		}
		<-sending
	}
}

// What was given as the output is the caller's own again.
func TestStdio_NothingIsWrittenAfterTheEnd(t *testing.T) {
	h := newHouse(t)
	in, toServer := io.Pipe()
	var out lockedBuffer
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.ServeStdio(ctx, in, &out) }()
	if _, err := io.WriteString(toServer, request(t, 1, "ping", nil)+"\n"); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	before := out.String()
	// If it is still waiting for a line, it takes this one.
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(toServer, "no JSON\n") // fails if nobody takes it
	}()
	time.Sleep(50 * time.Millisecond) // in which it would be answered
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	<-sent
	if after := out.String(); after != before {
		t.Errorf("after the end was written %q", strings.TrimPrefix(after, before))
	}
}
