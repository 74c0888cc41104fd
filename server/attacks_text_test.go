package server_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"unicode"

	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/server/identity"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// hostileTexts do something to whoever shows or stores them as they are.
var hostileTexts = map[string]string{
	"CRLF":            "a\r\nX-Injected: 1\r\n\r\nb",
	"LF":              "a\nlevel=ERROR msg=forged",
	"JSON":            `a","level":"ERROR","msg":"forged`,
	"NUL":             "a\x00b",
	"bidi":            "a\u202egnp.exe",
	"isolate":         "a\u2066b",
	"zero width":      "a\u200bb\ufeff",
	"tags":            "a\U000e0049\U000e0067",
	"line separators": "a\u2028b\u2029c\u0085d",
	"terminal":        "a\x1b]52;c;ZXZpbA==\x07",
	"C1":              "a\u009b31m",
	"variation":       "a\ufe0f\U000e0100",
	"private":         "a\ue000",
}

func hasHidden(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool {
		return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp) && r != '\n'
	})
}

// Text that does something is taken as a name by no tool, and shown by none that
// was sent.
func TestA16_A17_A18_TextThatDoesSomething(t *testing.T) {
	h := serveHTTP(t)
	for kind, text := range hostileTexts {
		made := h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": "create_token", "arguments": map[string]any{"name": text, "expires": "7d"}})
		if answer := made.message(t).tool(t); kind != "JSON" && !strings.HasPrefix(answer.text(), "invalid_argument: ") {
			t.Errorf("%s as a name: %s", kind, answer.text())
		}
		for _, answer := range []httpAnswer{
			made,
			h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": "revoke_token", "arguments": map[string]any{"id": text}}),
			h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": "list_tokens", "arguments": map[string]any{"name": text, "cursor": text}}),
			h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": "list_tokens", "arguments": map[string]any{text: text}}),
			h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": "list_tokens", "arguments": map[string]any{"status": text}}),
		} {
			// Mcp-Name is sent for the tools above only.
			if answer.header.Get("X-Injected") != "" {
				t.Errorf("%s: a header was injected", kind)
			}
			if shown := answer.message(t).tool(t).text(); hasHidden(shown) {
				t.Errorf("%s: the answer shows %q", kind, shown)
			}
		}
	}
	tokens, err := h.api.As(t, h.pat).ListTokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range tokens {
		if hasHidden(tokens[i].Name) {
			t.Errorf("the token %q was made", tokens[i].Name)
		}
	}
}

// A line end in a header of a request ends it or is refused; it never reaches
// what is answered.
func TestA16_LineEndsInHeaders(t *testing.T) {
	h := serveHTTP(t)
	for _, name := range []string{"Authorization", "X-API-Key", "Mcp-Session-Id", "Mcp-Protocol-Version", "Mcp-Name", "Mcp-Method", "X-Kenbun-Recipient", "Origin", "X-Forwarded-For", "Content-Type", "Accept"} {
		for _, value := range []string{"a\rb", "a\x00b", "a\x0bb", "a\n b", "a\x7fb"} {
			status, header, body := onTheWire(t, h.url, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n"+name+": "+value+"\r\n\r\n")
			if status < 400 || strings.Contains(body, value) {
				t.Errorf("%s: %q: status %d, %s", name, value, status, body)
			}
			for answered, values := range header {
				if strings.Contains(strings.Join(values, ""), value) {
					t.Errorf("%s: %q comes back in %s", name, value, answered)
				}
			}
		}
	}
}

// loggedHouse serves the tools with a log that tells everything.
func loggedHouse(t *testing.T, handler func(*lockedBuffer) slog.Handler) (*httpHouse, *lockedBuffer) {
	t.Helper()
	h := newHouse(t, byRequest)
	log := &lockedBuffer{}
	logger := slog.New(handler(log))
	toolbox, err := toolsets.New(toolsets.Config{Callers: identity.RequestCallers(), Deliverer: delivery.None{}, Policy: unhurriedPolicy(), APIAddress: h.api.URL, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	h.Server = server.New(server.Config{Version: "1", Toolbox: toolbox, Logger: logger})
	served, err := h.HTTPHandler(server.HTTPConfig{API: h.api.Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	return listen(t, h, served), log
}

// Each event is one line of the log, whatever was sent, and no line says what a
// client wrote into it.
func TestA19_TheLogHasALineForEachEvent(t *testing.T) {
	everything := &slog.HandlerOptions{Level: slog.LevelDebug}
	for format, handler := range map[string]func(*lockedBuffer) slog.Handler{
		"JSON": func(b *lockedBuffer) slog.Handler { return slog.NewJSONHandler(b, everything) },
		"text": func(b *lockedBuffer) slog.Handler { return slog.NewTextHandler(b, everything) },
	} {
		h, log := loggedHouse(t, handler)
		session := h.session(t, bearer(h.pat), noCapabilities)
		sent := 2
		for _, text := range hostileTexts {
			for _, body := range []string{
				request(t, text, text, nil), call(t, text, text, nil), call(t, text, "revoke_token", map[string]any{"id": text}),
				call(t, text, "create_token", map[string]any{"name": text, "expires": text}), initialize(t, text, map[string]any{text: map[string]any{}}),
				marshal(t, map[string]any{"jsonrpc": "2.0", "method": "notifications/" + text, "params": map[string]any{"reason": text}}),
				marshal(t, map[string]any{"jsonrpc": "2.0", "id": text, "error": map[string]any{"code": 1, "message": text}}), text,
			} {
				h.post(t, session, body)
				sent++
			}
			r := h.newRequest(t, "GET", "/", session.with("User-Agent", "forged"), "")
			r.URL.Path, r.URL.RawQuery = "/"+text, "forged=1"
			h.send(t, r)
			sent++
		}
		if err := h.stop(); err != nil {
			t.Fatal(err)
		}
		requests := 0
		for line := range strings.Lines(log.String()) {
			if hasHidden(strings.TrimSuffix(line, "\n")) || strings.Contains(line, "forged") || strings.Contains(line, "X-Injected") {
				t.Errorf("%s: the line %q", format, line)
			}
			var entry struct{ Msg string }
			if format == "JSON" && json.Unmarshal([]byte(line), &entry) != nil {
				t.Errorf("no JSON: %q", line)
			}
			if entry.Msg == "request" || strings.Contains(line, "msg=request ") {
				requests++
			}
		}
		if requests != sent {
			t.Errorf("%s: %d lines for %d requests", format, requests, sent)
		}
	}
}

// What the server answers is never taken for a page, a sheet or Markdown that
// runs: it is JSON that no browser reads as anything else, and names stay in
// their cell.
func TestA20_NamesMakeNoMarkup(t *testing.T) {
	h := serveHTTP(t)
	names := []string{
		`<img src=x onerror=alert(1)>`, `</script><script>alert(1)</script>`, `[click](javascript:alert(1))`, `![x](https://evil.example/x.png)`,
		"a | b | c", "`code`", `=cmd|'/c calc'!A1`, "+1", "-1", "@SUM(1)", `a"b`, `a\|b`, "&lt;b&gt;", "# heading", "---",
	}
	for _, name := range names {
		h.api.Token(t, "ada@example.com", name, nil)
	}
	answer := h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": "list_tokens", "arguments": map[string]any{"limit": 200}})
	if answer.header.Get("Content-Type") != "application/json" || answer.header.Get("X-Content-Type-Options") != "nosniff" || answer.header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", answer.header)
	}
	if strings.ContainsAny(answer.body, "<>") {
		t.Errorf("the answer holds marks of HTML: %s", answer.body)
	}
	var listed struct{ Tokens []struct{ Name string } }
	tool := answer.message(t).tool(t)
	if err := json.Unmarshal(tool.Structured, &listed); err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, token := range listed.Tokens {
		shown[token.Name] = true
	}
	for _, name := range names {
		if !shown[name] {
			t.Errorf("the name %q is shown as another", name)
		}
	}
	for line := range strings.Lines(tool.text()) {
		bars := strings.Count(strings.ReplaceAll(strings.ReplaceAll(line, `\\`, ""), `\|`, ""), "|")
		if strings.HasPrefix(line, "pat_") && bars != 4 && !strings.Contains(line, "| in use by this server") {
			t.Errorf("%d bars in %q", bars, line)
		}
	}
	// Errors are no pages either, wherever they are asked for.
	for _, path := range []string{"/<script>", "/mcp?<script>", "/claim/<script>", "/healthz"} {
		r := h.newRequest(t, http.MethodGet, "/", headers{"Accept", "text/html"}, "")
		r.URL.Path, r.URL.RawQuery, _ = strings.Cut(path, "?")
		answer := h.send(t, r)
		if answer.header.Get("Content-Type") != "application/json" || answer.header.Get("X-Content-Type-Options") != "nosniff" || strings.Contains(answer.body, "<script") {
			t.Errorf("%s: %v, %s", path, answer.header, answer.body)
		}
	}
}
