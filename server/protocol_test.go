package server_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/kenbun/kenbun-mcp/internal/authority"
)

func TestA41_HeadersThatContradictTheBodyAreRefused(t *testing.T) {
	h := serveHTTP(t)
	target := h.api.Token(t, "ada@example.com", "old", nil)
	revoke := modern(t, 7, "tools/call", map[string]any{"name": "revoke_token", "arguments": map[string]any{"id": target.ID}})
	right := headers{"Mcp-Protocol-Version", modernVersion, "Mcp-Method", "tools/call", "Mcp-Name", "revoke_token"}
	for _, c := range []struct {
		shows  string
		header headers
		body   string
	}{
		{"other tool", headers{"Mcp-Protocol-Version", modernVersion, "Mcp-Method", "tools/call", "Mcp-Name", "list_tokens"}, revoke},
		{"other method", headers{"Mcp-Protocol-Version", modernVersion, "Mcp-Method", "tools/list", "Mcp-Name", "revoke_token"}, revoke},
		{"no tool", headers{"Mcp-Protocol-Version", modernVersion, "Mcp-Method", "tools/call"}, revoke},
		{"no method", headers{"Mcp-Protocol-Version", modernVersion, "Mcp-Name", "revoke_token"}, revoke},
		{"no version", right[2:], revoke},
		{"older version", headers{"Mcp-Protocol-Version", "2025-11-25", "Mcp-Method", "tools/call", "Mcp-Name", "revoke_token"}, revoke},
	} {
		answer := h.post(t, bearer(h.pat).with(c.header...), c.body)
		m := answer.message(t)
		if answer.status != http.StatusBadRequest || m.Error == nil || m.Error.Code != -32020 || string(m.ID) != "7" {
			t.Errorf("%s: status %d, %s", c.shows, answer.status, answer.body)
		}
	}
	// The version in the header alone, with a body of older protocols.
	for _, body := range []string{call(t, 7, "revoke_token", map[string]any{"id": target.ID}), request(t, 7, "tools/list", nil)} {
		answer := h.post(t, bearer(h.pat).with(right...), body)
		if m := answer.message(t); answer.status != http.StatusBadRequest || m.Error == nil {
			t.Errorf("%s: status %d, %s", body, answer.status, answer.body)
		}
	}
	answer := h.post(t, bearer(h.pat).with("Mcp-Protocol-Version", "2099-01-01", "Mcp-Method", "tools/list"),
		strings.ReplaceAll(modern(t, 7, "tools/list", nil), modernVersion, "2099-01-01"))
	if m := answer.message(t); answer.status != http.StatusBadRequest || m.Error == nil || m.Error.Code != mcp.UNSUPPORTED_PROTOCOL_VERSION {
		t.Errorf("a version of the future: status %d, %s", answer.status, answer.body)
	}
	if answer := h.post(t, bearer(h.pat).with(right...), revoke); answer.status != http.StatusOK {
		t.Errorf("headers that agree: status %d, %s", answer.status, answer.body)
	}
	if !h.works(t, target.Value) {
		t.Error("the token was revoked")
	}
}

func TestA41_WhatTheServerChecksIsWhatTheLibraryDoes(t *testing.T) {
	h := serveHTTP(t)
	stranger := bearer(randomToken())
	// Tool calls are verified by the API itself; nothing else may pass as one.
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","Method":"tools/list","params":{}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"tools/list","params":{}}`,
		`{"jsonrpc":"2.0","id":1,"METHOD":"tools/call","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`,
		`[{"jsonrpc":"2.0","id":1,"method":"tools/call"}]`,
		`{"jsonrpc":"2.0","id":1,"method":["tools/call"]}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call ","params":{}}`,
	} {
		if answer := h.post(t, stranger, body); answer.status != http.StatusUnauthorized {
			t.Errorf("%s: status %d, %s", body, answer.status, answer.body)
		}
	}
	// The other way round it passes, and the library takes it for a call too.
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"initialize","method":"tools/call","params":{"name":"whoami","protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"initialize","METHOD":"tools/call","params":{"name":"whoami","protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`,
	} {
		if answer := h.post(t, stranger, body); answer.status < 400 || answer.header.Get("Mcp-Session-Id") != "" {
			t.Errorf("%s: status %d, %s", body, answer.status, answer.body)
		}
	}
}

// addWork adds a tool named work, which tells each time that it has begun, and
// answers "done" once it is released or "cancelled" when it is.
func addWork(h *house) (begun <-chan struct{}, release chan<- struct{}) {
	begins, released := make(chan struct{}), make(chan struct{})
	addTool(h, "work", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		begins <- struct{}{}
		select {
		case <-released:
			return mcp.NewToolResultText("done"), nil
		case <-ctx.Done():
			return mcp.NewToolResultText("cancelled"), nil
		}
	})
	return begins, released
}

// The library finds the request to cancel by its number, which users of the
// stateless protocol do not have to themselves.
func TestA27_CancellationDoesNotReachAnotherRequest(t *testing.T) {
	h := serveHTTP(t)
	eve := h.api.User(t, "eve@example.com", authority.RoleMember)
	begun, release := addWork(h.house)
	answered := make(chan httpAnswer, 2)
	go func() {
		answered <- h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": "work"})
	}()
	<-begun
	adas := h.session(t, bearer(h.pat), noCapabilities)
	go func() { answered <- h.post(t, adas, call(t, 1, "work", nil)) }()
	<-begun
	cancel := func(params string) string {
		return `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1` + params + `}}`
	}
	meta := `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	eves := h.session(t, bearer(eve), noCapabilities)
	modernHeaders := headers{"Mcp-Protocol-Version", modernVersion, "Mcp-Method", "notifications/cancelled"}
	for i, c := range []struct {
		header headers
		body   string
	}{
		{bearer(eve).with(modernHeaders...), cancel(meta)},
		{bearer(h.pat).with(modernHeaders...), cancel(meta)}, // another connection of the same user
		{bearer(eve).with(modernHeaders...), cancel("")},
		{bearer(eve), cancel(meta)},
		{bearer(eve), cancel("")},
		{eves, cancel("")},
		{eves, cancel(meta)},
		{bearer(eve).with(modernHeaders...), cancel(`,"_meta":5` + meta)},
		{bearer(eve).with(modernHeaders...), strings.Replace(cancel(meta), `"method"`, `"Method"`, 1)},
		{bearer(eve).with(modernHeaders...), strings.Replace(cancel(meta), `"jsonrpc"`, `"id":5,"jsonrpc"`, 1)},
		{bearer(eve).with(append(modernHeaders, "Mcp-Session-Id", adas[3])...), cancel(meta)},
		{bearer(eve).with("Mcp-Session-Id", adas[3]), cancel("")},
	} {
		h.post(t, c.header, c.body)
		select {
		case answer := <-answered:
			t.Fatalf("cancellation %d ended a request: %s", i, answer.body)
		case <-time.After(20 * time.Millisecond):
		}
	}
	close(release)
	for range 2 {
		if text := (<-answered).message(t).tool(t).text(); text != "done" {
			t.Errorf("a request ended with %q", text)
		}
	}
}

// Ids that the library, which reads numbers as floating-point ones and writes
// them as text, takes for the same are different ones.
func TestHTTP_CancellationReachesTheRequestOfThisIDAlone(t *testing.T) {
	h := serveHTTP(t)
	begun, release := addWork(h.house)
	session := h.session(t, bearer(h.pat), noCapabilities)
	ids := []string{"9007199254740992", "9007199254740993", "7", `"7"`, "1000000", `"1e+06"`}
	ends := map[string]chan string{}
	for _, id := range ids {
		end := make(chan string, 1)
		ends[id] = end
		go func() {
			answer := h.post(t, session, `{"jsonrpc":"2.0","id":`+id+`,"method":"tools/call","params":{"name":"work"}}`)
			end <- answer.message(t).tool(t).text()
		}()
		<-begun
	}
	for i, id := range ids {
		if i%2 == 1 {
			continue
		}
		cancel := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + id + `}}`
		if answer := h.post(t, session, cancel); answer.status != http.StatusAccepted || answer.body != "" {
			t.Errorf("cancelling %s: status %d, %s", id, answer.status, answer.body)
		}
		select {
		case text := <-ends[id]:
			if text != "cancelled" {
				t.Errorf("request %s ended with %q", id, text)
			}
		case text := <-ends[ids[i+1]]:
			t.Errorf("cancelling %s ended request %s with %q", id, ids[i+1], text)
			ends[ids[i+1]] <- text
		case <-time.After(patience):
			t.Errorf("request %s goes on", id)
		}
	}
	close(release)
	for i, id := range ids {
		if i%2 == 1 {
			if text := <-ends[id]; text != "done" {
				t.Errorf("request %s, which nobody cancelled, ended with %q", id, text)
			}
		}
	}
}

func TestHTTP_OwnersCancellationEndsTheRequest(t *testing.T) {
	h := serveHTTP(t)
	begun, ended := make(chan struct{}), make(chan struct{})
	addTool(h.house, "work", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		begun <- struct{}{}
		<-ctx.Done()
		ended <- struct{}{}
		return nil, ctx.Err()
	})
	wait := func(name string) {
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatalf("%s: the handler goes on", name)
		}
	}
	session := h.session(t, bearer(h.pat), noCapabilities)
	answered := make(chan httpAnswer, 1)
	go func() { answered <- h.post(t, session, call(t, "mine", "work", nil)) }()
	<-begun
	h.post(t, session, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"mine"}}`)
	wait("with a message")
	<-answered

	// Since 2026-07-28 a client cancels by closing the connection.
	for era, r := range map[string]*http.Request{
		"2026-07-28": h.newRequest(t, "POST", "/mcp", bearer(h.pat).with("Mcp-Protocol-Version", modernVersion, "Mcp-Method", "tools/call", "Mcp-Name", "work"),
			modern(t, 1, "tools/call", map[string]any{"name": "work"})),
		"2025-11-25": h.newRequest(t, "POST", "/mcp", session, call(t, 1, "work", nil)),
	} {
		ctx, hangUp := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			response, err := h.client.Do(r.WithContext(ctx))
			if err == nil {
				err = response.Body.Close()
			}
			failed <- err
		}()
		<-begun
		hangUp()
		wait("hanging up in " + era)
		if err := <-failed; err == nil {
			t.Errorf("%s: the request was answered", era)
		}
	}
}

func TestHTTP_EveryVersionOfTheProtocol(t *testing.T) {
	h := serveHTTP(t)
	for _, version := range []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"} {
		hello := strings.Replace(initialize(t, 1, noCapabilities), "2025-11-25", version, 1)
		answer := h.post(t, bearer(h.pat), hello)
		if !strings.Contains(answer.body, `"protocolVersion":"`+version+`"`) {
			t.Errorf("%s: %s", version, answer.body)
		}
		session := bearer(h.pat).with("Mcp-Session-Id", answer.header.Get("Mcp-Session-Id"))
		if version >= "2025-06-18" {
			session = session.with("Mcp-Protocol-Version", version)
		}
		if text := h.post(t, session, call(t, 2, "whoami", nil)).message(t).tool(t).text(); !strings.Contains(text, "ada@example.com") {
			t.Errorf("%s: %s", version, text)
		}
	}
	answer := h.modern(t, bearer(h.pat), 1, "server/discover", nil)
	if !strings.Contains(answer.body, fmt.Sprintf("%q", modernVersion)) || !strings.Contains(answer.body, `"cacheScope":"private"`) {
		t.Errorf("server/discover: %s", answer.body)
	}
	for _, method := range []string{"GET", "DELETE"} {
		answer := h.do(t, method, "/mcp", bearer(h.pat).with("Mcp-Protocol-Version", modernVersion), "")
		if answer.status != http.StatusMethodNotAllowed || answer.header.Get("Allow") == "" {
			t.Errorf("%s with 2026-07-28: status %d", method, answer.status)
		}
	}
	if answer := h.modern(t, bearer(h.pat), 1, "tools/list", nil); !strings.Contains(answer.body, `"cacheScope":"private"`) {
		t.Errorf("tools/list may be shared between users: %s", answer.body)
	}
}
