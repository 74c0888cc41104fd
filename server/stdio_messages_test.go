package server_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

func TestStdio_PipelinedRequestsBeforeTheEndOfInputAreAnswered(t *testing.T) {
	p := startStdio(t, newHouse(t))
	p.send(
		initialize(t, 1, noCapabilities),
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`,
		request(t, 2, "tools/list", nil),
		call(t, 3, "whoami", nil),
	)
	answers := p.rest()
	if len(answers) != 3 {
		t.Fatalf("%d answers, want 3", len(answers))
	}
	if !strings.Contains(string(answers["1"].Result), `"protocolVersion":"2025-11-25"`) {
		t.Errorf("initialize: %s", answers["1"].Result)
	}
	for _, tool := range []string{"whoami", "list_tokens", "create_token", "revoke_token"} {
		if !strings.Contains(string(answers["2"].Result), `"name":"`+tool+`"`) {
			t.Errorf("tools/list lacks %s", tool)
		}
	}
	if text := answers["3"].tool(t).text(); !strings.Contains(text, "ada@example.com") {
		t.Errorf("whoami: %s", text)
	}
}

func TestStdio_AHundredCallsBeforeTheEndOfInputAreAllAnswered(t *testing.T) {
	h := newHouse(t)
	for range 20 {
		p := startStdio(t, h)
		p.handshake(noCapabilities)
		var lines []string
		for i := range 100 {
			lines = append(lines, call(t, i, "list_tokens", nil))
		}
		p.send(lines...)
		answers := p.rest()
		if len(answers) != 100 {
			t.Fatalf("%d of 100 calls were answered", len(answers))
		}
		for id, m := range answers {
			if answer := m.tool(t); answer.IsError {
				t.Fatalf("call %s: %s", id, answer.text())
			}
		}
	}
}

func TestStdio_BothErasOnOneStream(t *testing.T) {
	p := startStdio(t, newHouse(t))
	p.send(modern(t, 1, "server/discover", nil), initialize(t, 2, noCapabilities),
		modern(t, 3, "tools/call", map[string]any{"name": "whoami", "arguments": map[string]any{}}),
		call(t, 4, "whoami", nil))
	answers := p.rest()
	if !strings.Contains(string(answers["1"].Result), modernVersion) {
		t.Errorf("server/discover: %s", answers["1"].Result)
	}
	if !strings.Contains(string(answers["3"].Result), `"resultType":"complete"`) {
		t.Errorf("the call of 2026-07-28: %s", answers["3"].Result)
	}
	if strings.Contains(string(answers["4"].Result), "resultType") {
		t.Errorf("the older call is answered like a newer one: %s", answers["4"].Result)
	}
	for _, id := range []string{"3", "4"} {
		if text := answers[id].tool(t).text(); !strings.Contains(text, "ada@example.com") {
			t.Errorf("whoami %s: %s", id, text)
		}
	}
}

func TestStdio_LastLineWithoutItsEnd(t *testing.T) {
	p := startStdio(t, newHouse(t))
	p.sendRaw(request(t, 1, "ping", nil) + "\n" + request(t, 2, "ping", nil))
	if answers := p.rest(); len(answers) != 2 || answers["2"].Error != nil {
		t.Errorf("answers %v", answers)
	}
}

func TestStdio_BlankLinesAreNoMessages(t *testing.T) {
	p := startStdio(t, newHouse(t))
	p.sendRaw("\n\r\n  \t\n" + request(t, 1, "ping", nil) + "\r\n\n\n")
	if answers := p.rest(); len(answers) != 1 || answers["1"].Error != nil {
		t.Errorf("answers %v", answers)
	}
}

func TestStdio_WhatIsNoRequestGetsAnErrorAndTheStreamGoesOn(t *testing.T) {
	p := startStdio(t, newHouse(t))
	for _, c := range []struct {
		line string
		id   string
		code int
	}{
		{`{"jsonrpc":"2.0","id":1,"method":`, "1", mcp.PARSE_ERROR},
		{"not JSON", "null", mcp.PARSE_ERROR},
		{"\x00\xff\xfe", "null", mcp.PARSE_ERROR},
		{`{"jsonrpc":"2.0","id":1,"method":"ping"} {"jsonrpc":"2.0","id":2,"method":"ping"}`, "1", mcp.PARSE_ERROR},
		{`[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]`, "null", mcp.INVALID_REQUEST},
		{`[]`, "null", mcp.INVALID_REQUEST},
		{`5`, "null", mcp.INVALID_REQUEST},
		{`"ping"`, "null", mcp.INVALID_REQUEST},
		{`null`, "null", mcp.INVALID_REQUEST},
		{`[] []`, "null", mcp.PARSE_ERROR},
		{`{}`, "null", mcp.INVALID_REQUEST},
		{`{"id":9,"method":"ping"}`, "9", mcp.INVALID_REQUEST},
		{`{"jsonrpc":"1.0","id":9,"method":"ping"}`, "9", mcp.INVALID_REQUEST},
		{`{"jsonrpc":"2.0","id":9,"method":"no/such/method"}`, "9", mcp.METHOD_NOT_FOUND},
		{`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":[]}`, "9", mcp.INVALID_REQUEST},
		{`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"delete_everything"}}`, "9", mcp.INVALID_PARAMS},
		{`{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}`, "null", mcp.INVALID_REQUEST},
		{`{"jsonrpc":"2.0","id":[1],"method":"tools/list"}`, "null", mcp.INVALID_REQUEST},
		{`{"jsonrpc":"2.0","id":true,"method":"tools/list"}`, "null", mcp.INVALID_REQUEST},
	} {
		p.send(c.line)
		m := p.next()
		if m.Error == nil || m.Error.Code != c.code || string(m.ID) != c.id {
			t.Errorf("%q: id %s, error %+v, result %s; want id %s and code %d", c.line, m.ID, m.Error, m.Result, c.id, c.code)
		}
		p.send(request(t, "after", "ping", nil))
		p.answer(`"after"`)
	}
}

// A notification is not answered, whatever is in it (JSON-RPC 2.0, section 4.1).
func TestStdio_NotificationsAreNotAnswered(t *testing.T) {
	p := startStdio(t, newHouse(t))
	for _, line := range []string{
		`{"jsonrpc":"2.0","method":"notifications/initialized","params":[1]}`,
		`{"jsonrpc":"2.0","method":"notifications/initialized","params":"text"}`,
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1e999}}`,
		`{"jsonrpc":"2.0","id":null,"method":"notifications/cancelled","params":[1]}`,
		`{"jsonrpc":"2.0","method":"tools/list","params":[1]}`,
		`{"jsonrpc":"2.0","method":"tools/call","params":{"name":"whoami"}}`,
		`{"jsonrpc":"2.0","method":"no/such/method"}`,
	} {
		p.send(line, request(t, "after", "ping", nil))
		if m := p.next(); string(m.ID) != `"after"` {
			t.Fatalf("%s is answered: id %s, %+v", line, m.ID, m.Error)
		}
	}
}

// What has an id is a request and is answered, whatever its method is called.
func TestStdio_RequestsNamedLikeNotificationsAreAnswered(t *testing.T) {
	p := startStdio(t, newHouse(t))
	for _, method := range []string{"notifications/cancelled", "notifications/initialized", "notifications/other"} {
		p.send(request(t, method, method, map[string]any{"requestId": 1}))
		if m := p.answer(`"` + method + `"`); m.Error == nil || m.Error.Code != mcp.METHOD_NOT_FOUND {
			t.Errorf("%s: %+v %s", method, m.Error, m.Result)
		}
	}
}

func TestStdio_IDsComeBackAsTheyWere(t *testing.T) {
	p := startStdio(t, newHouse(t))
	for _, id := range []string{`0`, `-1`, `"x"`, `""`, `9007199254740993`, `"1"`, `"\u00e9<&>"`} {
		p.send(`{"jsonrpc":"2.0","id":` + id + `,"method":"ping"}`)
		want, err := strconv.Unquote(strings.ReplaceAll(id, `\/`, `/`))
		got := string(p.next().ID)
		if err == nil {
			if got, err = strconv.Unquote(got); err != nil {
				t.Errorf("id %s came back as %s", id, got)
			}
		} else {
			want = id
		}
		if got != want {
			t.Errorf("id %s came back as %s", id, got)
		}
	}
}

func TestStdio_AnswersThatNobodyWaitsForAreDropped(t *testing.T) {
	p := startStdio(t, newHouse(t))
	p.send(
		`{"jsonrpc":"2.0","id":77,"result":{"action":"accept","content":{"approve":true}}}`,
		`{"jsonrpc":"2.0","id":1,"result":null}`,
		`{"jsonrpc":"2.0","id":"1","error":{"code":-1,"message":"no"}}`,
		request(t, 5, "ping", nil),
	)
	if answers := p.rest(); len(answers) != 1 || answers["5"].Error != nil {
		t.Errorf("answers %v", answers)
	}
}

func TestA22_StdioLineAtTheLimitAndBeyondIt(t *testing.T) {
	p := startStdio(t, newHouse(t))
	padded := func(id, length int) string {
		line := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"ping","params":{"_meta":{"pad":""}}}`, id)
		return strings.Replace(line, `""`, `"`+strings.Repeat("x", length-len(line))+`"`, 1)
	}
	p.send(padded(1, 4<<20))
	if m := p.answer("1"); m.Error != nil {
		t.Errorf("a line of 4 MiB: error %d", m.Error.Code)
	}
	p.send(padded(2, 4<<20+1), request(t, 3, "ping", nil))
	if m := p.answer("2"); m.Error == nil || m.Error.Code != mcp.INVALID_REQUEST {
		t.Errorf("a line of 4 MiB + 1: %+v", m.Error)
	}
	p.answer("3")
	// A last line that is too long, and has no end.
	p.sendRaw(padded(4, 5<<20))
	rest := p.rest()
	if m := rest["4"]; len(rest) != 1 || m.Error == nil {
		t.Errorf("answers %v", rest)
	}
}

func TestA22_StdioHugeLineCostsNoMemory(t *testing.T) {
	p := startStdio(t, newHouse(t))
	p.send(request(t, 0, "ping", nil))
	p.answer("0")
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	var peak atomic.Uint64
	watching, done := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for watching.Err() == nil {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			peak.Store(max(peak.Load(), now.HeapInuse))
			time.Sleep(time.Millisecond)
		}
	}()
	chunk := []byte(strings.Repeat("x", 1<<20))
	for range 64 {
		if _, err := p.stdin.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	p.send("", request(t, 1, "ping", nil))
	if m := p.answer("null"); m.Error == nil {
		t.Error("a line of 64 MiB is no error")
	}
	p.answer("1")
	done()
	<-watched
	if grown := int64(peak.Load()) - int64(before.HeapInuse); grown > 40<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

func TestStdio_OutputThatFailsEndsTheServer(t *testing.T) {
	h := newHouse(t)
	in, toServer := pipe(t)
	out, toPeer := pipe(t)
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- h.ServeStdio(t.Context(), in, toPeer) }()
	if _, err := toServer.WriteString(request(t, 1, "ping", nil) + "\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "write to standard output") {
			t.Errorf("the server ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the server goes on")
	}
	for _, file := range []*os.File{toServer, in, toPeer} {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestStdio_InputThatFailsIsAnError(t *testing.T) {
	h := newHouse(t)
	in, toServer := pipe(t)
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.ServeStdio(t.Context(), in, toServer); err == nil || !strings.Contains(err.Error(), "read standard input") {
		t.Errorf("the server ended with %v", err)
	}
	if err := toServer.Close(); err != nil {
		t.Error(err)
	}
}
