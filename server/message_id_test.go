package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
)

// unreadable are requests that are refused as a whole, and the id that the client
// waits for: null where it cannot be told.
var unreadable = []struct{ what, text, id string }{
	{"half a pair of surrogates in an argument", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"create_token","arguments":{"name":"\ud83d"}}}`, "7"},
	{"the same with the id at the end", `{"method":"tools/call","params":{"name":"create_token","arguments":{"name":"\ud83d"}},"jsonrpc":"2.0","id":"a-7"}`, `"a-7"`},
	{"the other half", `{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"whoami","arguments":{"x":"\udc00 \ud83d"}}}`, "8"},
	{"half a pair in a name", `{"jsonrpc":"2.0","id":9,"method":"ping","params":{"\ud83d":1}}`, "9"},
	{"half a pair in the id", `{"jsonrpc":"2.0","id":"\ud83d","method":"ping"}`, `"\ud83d"`},
	{"not UTF-8 in an argument", "{\"jsonrpc\":\"2.0\",\"id\":10,\"method\":\"tools/call\",\"params\":{\"name\":\"\xff\"}}", "10"},
	{"not UTF-8 in the id", "{\"jsonrpc\":\"2.0\",\"id\":\"\xff\",\"method\":\"ping\"}", "null"},
	{"a name that comes twice", `{"jsonrpc":"2.0","id":11,"method":"tools/call","params":{"name":"whoami","name":"whoami"}}`, "11"},
	{"an id that comes twice", `{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}`, "null"},
	{"a name in another case", `{"jsonrpc":"2.0","id":12,"Method":"ping"}`, "12"},
	{"a comma too many", `{"jsonrpc":"2.0","id":13,"method":"ping",}`, "13"},
	{"no end", `{"jsonrpc":"2.0","id":14,"method":"ping","params":{"a":[`, "14"},
	{"no end, behind half an id", `{"jsonrpc":"2.0","method":"ping","id":14`, "null"},
	{"no end, behind a whole id", `{"jsonrpc":"2.0","method":"ping","id":"14"`, `"14"`},
	{"something behind it", `{"jsonrpc":"2.0","id":15,"method":"ping"} "id":16`, "15"},
	{"nested too deep", `{"jsonrpc":"2.0","id":16,"method":"ping","params":{"x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}}`, "16"},
	{"too many values", `{"jsonrpc":"2.0","id":17,"method":"ping","params":{"x":[1` + strings.Repeat(",1", 20_000) + `]}}`, "17"},
	{"an id within the parameters", `{"jsonrpc":"2.0","method":"ping","params":{"id":5,"x":"\ud83d"},"id":18}`, "18"},
	{"an id within the parameters alone", `{"jsonrpc":"2.0","method":"ping","params":{"id":5,"x":"\ud83d"}}`, "null"},
	{"an id within a text", `{"jsonrpc":"2.0","method":"ping","params":"\"id\":5,\ud83d","x":{"id":6}}`, "null"},
	{"an id with an escaped name", `{"jsonrpc":"2.0","\u0069d":19,"method":"ping","params":{"x":"\ud83d"}}`, "19"},
	{"an id that is an object", `{"jsonrpc":"2.0","id":{},"method":"ping"}`, "null"},
	{"an id of more than a kilobyte", `{"jsonrpc":"2.0","id":"` + strings.Repeat("x", 2000) + `","method":"ping","params":{"x":"\ud83d"}}`, "null"},
	// The id of an answer is the server's own, and may be one of the client's, too.
	{"an answer", `{"jsonrpc":"2.0","id":20,"result":{"action":"\ud83d"}}`, "null"},
	{"an error as an answer", `{"jsonrpc":"2.0","error":{"message":"\ud83d"},"id":20}`, "null"},
}

func TestP4_ErrorsOverStdioCarryTheIdOfTheRequest(t *testing.T) {
	p := startStdio(t, newHouse(t))
	for _, c := range unreadable {
		p.send(c.text)
		if m := p.next(); m.Error == nil || string(m.ID) != c.id {
			t.Errorf("%s: the answer has the id %s and the result %s, want an error for %s", c.what, m.ID, m.Result, c.id)
		}
	}
}

func TestP4_ErrorsOverHTTPCarryTheIdOfTheRequest(t *testing.T) {
	h := serveHTTP(t)
	session := h.session(t, bearer(h.pat), noCapabilities)
	stateless := bearer(h.pat).with("Mcp-Protocol-Version", modernVersion, "Mcp-Method", "ping")
	for _, c := range unreadable {
		for era, header := range map[string]headers{"handshake": session, "stateless": stateless} {
			answer := h.post(t, header, c.text)
			if m := answer.message(t); answer.status != http.StatusBadRequest || m.Error == nil || string(m.ID) != c.id {
				t.Errorf("%s, %s: status %d, want an error for %s: %s", c.what, era, answer.status, c.id, answer.body)
			}
		}
	}
}

func TestP4_ALineThatIsTooLongIsAnsweredWithItsId(t *testing.T) {
	long := strings.Repeat("x", 5<<20)
	p := startStdio(t, newHouse(t))
	for _, c := range []struct{ text, id string }{
		{`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"` + long + `"}}`, "1"},
		{`{"method":"ping","params":{"x":"` + long + `","id":9},"jsonrpc":"2.0","id":"two"}`, `"two"`},
		{"\ufeff" + `{"method":"ping","params":{"x":"` + long + `"},"id":3}`, "3"},
		{`{"result":{"x":"` + long + `"},"id":4}`, "null"},
		{long, "null"},
	} {
		p.send(c.text)
		if m := p.next(); m.Error == nil || m.Error.Code != mcp.INVALID_REQUEST || string(m.ID) != c.id {
			t.Errorf("the answer has the id %s, want %s", m.ID, c.id)
		}
	}
	p.send(request(t, "after", "ping", nil))
	p.answer(`"after"`)
}

func TestP4_AByteOrderMarkBeforeAMessageIsSkipped(t *testing.T) {
	const mark = "\ufeff"
	p := startStdio(t, newHouse(t))
	p.send(mark + initialize(t, 1, noCapabilities))
	if m := p.answer("1"); m.Error != nil || !strings.Contains(string(m.Result), "protocolVersion") {
		t.Errorf("the first message: %s %+v", m.Result, m.Error)
	}
	p.send(mark + call(t, 2, "whoami", nil))
	if text := p.answer("2").tool(t).text(); !strings.Contains(text, "ada@example.com") {
		t.Errorf("a later one: %s", text)
	}
	p.send(mark)
	if m := p.next(); m.Error == nil || string(m.ID) != "null" {
		t.Errorf("a mark alone: %s", m.Result)
	}

	h := serveHTTP(t)
	session := h.session(t, bearer(h.pat), noCapabilities)
	if m := h.post(t, session, mark+request(t, 3, "ping", nil)).message(t); m.Error != nil || string(m.ID) != "3" {
		t.Errorf("over HTTP with a session: %+v", m.Error)
	}
	header := bearer(h.pat).with("Mcp-Protocol-Version", modernVersion, "Mcp-Method", "tools/call", "Mcp-Name", "whoami")
	if text := h.post(t, header, mark+modern(t, 4, "tools/call", map[string]any{"name": "whoami"})).message(t).tool(t).text(); !strings.Contains(text, "ada@example.com") {
		t.Errorf("over HTTP without one: %s", text)
	}
}

// introductions are of types that no client should send, and some do.
var introductions = map[string]map[string]any{
	"experimental is a list":    {"capabilities": map[string]any{"experimental": []any{}}},
	"sampling is true":          {"capabilities": map[string]any{"sampling": true}},
	"roots is a text":           {"capabilities": map[string]any{"roots": "yes"}},
	"tasks is a list":           {"capabilities": map[string]any{"tasks": []any{1}}},
	"extensions is a list":      {"capabilities": map[string]any{"extensions": []any{"a"}}},
	"elicitation is true":       {"capabilities": map[string]any{"elicitation": true}},
	"capabilities is a list":    {"capabilities": []any{}},
	"capabilities is a text":    {"capabilities": "none"},
	"the version is a number":   {"clientInfo": map[string]any{"name": "x", "version": 1}},
	"the name is null":          {"clientInfo": map[string]any{"name": nil, "version": "1"}},
	"the title is a list":       {"clientInfo": map[string]any{"name": "x", "version": "1", "title": []any{}}},
	"the icons are a text":      {"clientInfo": map[string]any{"name": "x", "version": "1", "icons": "icon.png"}},
	"the client is a text":      {"clientInfo": "claude"},
	"the client is a list":      {"clientInfo": []any{}},
	"everything at once":        {"clientInfo": 1, "capabilities": map[string]any{"experimental": 1, "sampling": 1, "roots": 1, "elicitation": 1}},
	"what nobody has heard of":  {"capabilities": map[string]any{"telepathy": 1}},
	"what is used stays usable": {"capabilities": map[string]any{"sampling": true, "elicitation": map[string]any{"form": map[string]any{}}}},
}

func TestP2_WhatIsNotUsedOfAnIntroductionIsNotJudged(t *testing.T) {
	h := serveHTTP(t)
	target := h.api.Token(t, "ada@example.com", "old", nil)
	for what, introduction := range introductions {
		params := map[string]any{"protocolVersion": "2025-11-25", "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "x", "version": "1"}}
		meta := map[string]any{
			"io.modelcontextprotocol/protocolVersion":    modernVersion,
			"io.modelcontextprotocol/clientInfo":         map[string]any{"name": "x", "version": "1"},
			"io.modelcontextprotocol/clientCapabilities": map[string]any{},
		}
		for name, value := range introduction {
			params[name] = value
			meta["io.modelcontextprotocol/client"+strings.TrimPrefix(strings.Replace(name, "capabilities", "clientCapabilities", 1), "client")] = value
		}
		whoami := map[string]any{"name": "whoami", "arguments": map[string]any{}, "_meta": meta}

		p := startStdio(t, h.house)
		p.send(request(t, 1, "initialize", params), call(t, 2, "whoami", nil))
		answers := []message{p.answer("1"), p.answer("2")}
		p.send(request(t, 3, "tools/call", whoami))
		answers = append(answers, p.answer("3"))
		p.rest()
		answers = append(answers, h.post(t, bearer(h.pat), request(t, 4, "initialize", params)).message(t))
		header := bearer(h.pat).with("Mcp-Protocol-Version", modernVersion, "Mcp-Method", "tools/call", "Mcp-Name", "whoami")
		answers = append(answers, h.post(t, header, request(t, 5, "tools/call", whoami)).message(t))
		for _, m := range answers {
			if m.Error != nil {
				t.Errorf("%s: request %s is refused: %+v", what, m.ID, *m.Error)
			}
		}

		// Whoever declares that users can be asked in a form that is not right has not
		// declared it. What is right counts, whatever stands beside it.
		revoke := map[string]any{"name": "revoke_token", "arguments": map[string]any{"id": target.ID}, "_meta": meta}
		header = bearer(h.pat).with("Mcp-Protocol-Version", modernVersion, "Mcp-Method", "tools/call", "Mcp-Name", "revoke_token")
		result := string(h.post(t, header, request(t, 6, "tools/call", revoke)).message(t).Result)
		if asked := strings.Contains(result, "input_required"); asked != (what == "what is used stays usable") {
			t.Errorf("%s: revoke_token answers %s", what, result)
		}
	}
}

func TestP2_EmptyListsInPlaceOfEmptyObjects(t *testing.T) {
	h := serveHTTP(t)
	session := h.session(t, bearer(h.pat), noCapabilities)
	p := startStdio(t, h.house)
	p.handshake(noCapabilities)
	for _, text := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[]}`,
		`{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":[]}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":[],"name":"whoami","arguments":{}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":20251125,"capabilities":[],"clientInfo":[],"_meta":[]}}`,
	} {
		p.send(text)
		if m := p.answer("1"); m.Error != nil {
			t.Errorf("%s over stdio: %+v", text, *m.Error)
		}
		if m := h.post(t, session, text).message(t); m.Error != nil {
			t.Errorf("%s over HTTP: %+v", text, *m.Error)
		}
	}
}

func TestP3_AVersionThatIsSaidTwiceIsOneVersion(t *testing.T) {
	h := serveHTTP(t)
	for _, twice := range []string{"%[1]s, %[1]s", "%[1]s,%[1]s", " %[1]s , %[1]s,%[1]s", "lines"} {
		said := func(version string) headers {
			if twice == "lines" {
				return headers{"Mcp-Protocol-Version", version, "mcp-protocol-version", version}
			}
			return headers{"Mcp-Protocol-Version", fmt.Sprintf(twice, version)}
		}
		opened := h.post(t, bearer(h.pat).with(said("2025-06-18")...), initialize(t, 1, noCapabilities))
		id := opened.header.Get("Mcp-Session-Id")
		if opened.status != http.StatusOK || id == "" {
			t.Fatalf("%s: initialize: status %d, %s", twice, opened.status, opened.body)
		}
		session := bearer(h.pat).with("Mcp-Session-Id", id).with(said("2025-06-18")...)
		if m := h.post(t, session, call(t, 2, "whoami", nil)).message(t); m.Error != nil {
			t.Errorf("%s: a call in a session: %+v", twice, *m.Error)
		}
		if answer := h.do(t, http.MethodDelete, "/mcp", session, ""); answer.status != http.StatusOK {
			t.Errorf("%s: DELETE: status %d, %s", twice, answer.status, answer.body)
		}
		stateless := bearer(h.pat).with(said(modernVersion)...).with("Mcp-Method", "tools/call", "Mcp-Name", "whoami")
		if m := h.post(t, stateless, modern(t, 3, "tools/call", map[string]any{"name": "whoami"})).message(t); m.Error != nil {
			t.Errorf("%s: a call without a session: %+v", twice, *m.Error)
		}
	}
	// Two versions are none.
	for _, header := range []headers{{"Mcp-Protocol-Version", "2025-06-18, 2025-11-25"}, {"Mcp-Protocol-Version", "2025-06-18,"}, {"Mcp-Protocol-Version", "2025-06-18", "Mcp-Protocol-Version", modernVersion}} {
		session := h.session(t, bearer(h.pat), noCapabilities)
		if answer := h.post(t, headers{session[0], session[1], session[2], session[3]}.with(header...), request(t, 4, "ping", nil)); answer.status != http.StatusBadRequest {
			t.Errorf("%v: status %d, %s", header, answer.status, answer.body)
		}
	}
}

func TestP3_InitializeNegotiatesDownFromAVersionOfTomorrow(t *testing.T) {
	h := serveHTTP(t)
	for _, version := range []string{"2099-01-01", modernVersion, "tomorrow", "2024-01-01", "2025-06-18 "} {
		text := strings.Replace(initialize(t, 1, noCapabilities), `"2025-11-25"`, `"`+version+`"`, 1)
		answers := map[string]message{"over HTTP, in the body alone": h.post(t, bearer(h.pat), text).message(t)}
		answer := h.post(t, bearer(h.pat).with("Mcp-Protocol-Version", version), text)
		if answer.header.Get("Mcp-Session-Id") == "" {
			t.Errorf("%s: no session is opened", version)
		}
		answers["over HTTP"] = answer.message(t)
		p := startStdio(t, h.house)
		p.send(text)
		answers["over stdio"] = p.answer("1")
		p.rest()
		for where, m := range answers {
			if m.Error != nil || !strings.Contains(string(m.Result), `"protocolVersion":"2025-11-25"`) {
				t.Errorf("%s %s: %s %+v", version, where, m.Result, m.Error)
			}
		}
	}
}
