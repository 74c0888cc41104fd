package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/audit"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// shortPatience stands for the 45 seconds that a call waits.
const shortPatience = 2 * time.Second

// absent is a user who decides when the test says so.
type absent struct {
	asked     chan struct{}
	decision  chan error
	withdrawn chan error
}

func newAbsent() *absent {
	return &absent{asked: make(chan struct{}, 10), decision: make(chan error), withdrawn: make(chan error, 10)}
}

func (a *absent) Decide(ctx context.Context, _ approval.Question, _ time.Duration) error {
	a.asked <- struct{}{}
	select {
	case err := <-a.decision:
		return err
	case <-ctx.Done():
		a.withdrawn <- context.Cause(ctx)
		return ctx.Err()
	}
}

func (*absent) Way() audit.Way { return audit.WayPage }

// mustWithdraw waits until the question is withdrawn.
func (a *absent) mustWithdraw(t *testing.T) {
	t.Helper()
	select {
	case <-a.withdrawn:
	case <-time.After(patience):
		t.Fatal("the question stays open")
	}
}

// waitingHouse is a house whose user is asked on a page, and a token to revoke.
func waitingHouse(t *testing.T) (h *house, user *absent, target authority.Issued) {
	t.Helper()
	user = newAbsent()
	h = newHouseWith(t, func(c *toolsets.Config) { c.ApprovalMethod, c.Patience = user, shortPatience })
	return h, user, h.api.Token(t, "ada@example.com", "old laptop", nil)
}

// toRevoke are the parameters of a call that has a token revoked.
func toRevoke(id, progressToken string) map[string]any {
	return map[string]any{
		"name": "revoke_token", "arguments": map[string]any{"id": id}, "_meta": map[string]any{"progressToken": json.RawMessage(progressToken)},
	}
}

// modernToRevoke is that call in protocol 2026-07-28.
func modernToRevoke(t *testing.T, number any, id, progressToken string) string {
	t.Helper()
	params := toRevoke(id, progressToken)
	params["_meta"] = map[string]any{
		"io.modelcontextprotocol/protocolVersion":    modernVersion,
		"io.modelcontextprotocol/clientInfo":         map[string]any{"name": "test", "version": "1"},
		"io.modelcontextprotocol/clientCapabilities": map[string]any{},
		"progressToken": json.RawMessage(progressToken),
	}
	return request(t, number, "tools/call", params)
}

// serveOwn serves a house over HTTP as its own user.
func serveOwn(t *testing.T, h *house) *httpHouse {
	t.Helper()
	handler, err := h.HTTPHandler(server.HTTPConfig{API: h.api.Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	return listen(t, h, handler)
}

// messagesOf are all messages of an answer, in JSON or as events.
func messagesOf(t *testing.T, answer httpAnswer) (all []message) {
	t.Helper()
	texts := []string{answer.body}
	if strings.HasPrefix(answer.header.Get("Content-Type"), "text/event-stream") {
		texts = nil
		for line := range strings.Lines(answer.body) {
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				texts = append(texts, data)
			}
		}
	}
	for _, text := range texts {
		var m message
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		all = append(all, m)
	}
	return all
}

// roundsOf are the ways in which a call reaches the server. The function makes the
// call again and again: it returns what comes until its answer.
var roundsOf = map[string]func(t *testing.T, h *house) func(id, progressToken string) []message{
	"stdio": func(t *testing.T, h *house) func(id, progressToken string) []message {
		p := startStdio(t, h)
		p.handshake(noCapabilities)
		number := 0
		return func(id, progressToken string) (all []message) {
			number++
			p.send(request(t, number, "tools/call", toRevoke(id, progressToken)))
			for {
				m := p.next()
				if all = append(all, m); string(m.ID) == fmt.Sprint(number) {
					return all
				}
			}
		}
	},
	"stdio, 2026-07-28": func(t *testing.T, h *house) func(id, progressToken string) []message {
		p := startStdio(t, h)
		number := 0
		return func(id, progressToken string) (all []message) {
			number++
			p.send(modernToRevoke(t, number, id, progressToken))
			for {
				m := p.next()
				if all = append(all, m); string(m.ID) == fmt.Sprint(number) {
					return all
				}
			}
		}
	},
	"HTTP": func(t *testing.T, h *house) func(id, progressToken string) []message {
		served := serveOwn(t, h)
		session := served.session(t, bearer(h.pat), noCapabilities)
		return func(id, progressToken string) (all []message) {
			return messagesOf(t, served.post(t, session, request(t, 7, "tools/call", toRevoke(id, progressToken))))
		}
	},
	"HTTP, 2026-07-28": func(t *testing.T, h *house) func(id, progressToken string) []message {
		served := serveOwn(t, h)
		header := bearer(h.pat).with("Mcp-Protocol-Version", modernVersion, "Mcp-Method", "tools/call", "Mcp-Name", "revoke_token")
		return func(id, progressToken string) (all []message) {
			return messagesOf(t, served.post(t, header, modernToRevoke(t, 7, id, progressToken)))
		}
	},
}

func TestP12_AnOpenQuestionIsJoinedOverEachTransportWithProgress(t *testing.T) {
	for label, open := range roundsOf {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			h, user, target := waitingHouse(t)
			call := open(t, h)
			for _, progressToken := range []string{`9007199254740993`, `"a text"`} {
				began := time.Now()
				all := call(target.ID, progressToken)
				answer := all[len(all)-1].tool(t)
				if took := time.Since(began); took < shortPatience || !answer.IsError || !strings.Contains(answer.text(), "is open on a page in the user's browser until") {
					t.Errorf("after %s: %s", took, answer.text())
				}
				var last float64
				for _, m := range all[:len(all)-1] {
					var progress struct {
						ProgressToken json.RawMessage
						Progress      float64
						Message       string
					}
					if err := json.Unmarshal(m.Params, &progress); err != nil || m.Method != "notifications/progress" ||
						string(progress.ProgressToken) != progressToken || progress.Progress <= last || !strings.Contains(progress.Message, "Waiting for") {
						t.Errorf("a notification is %s %s (%v)", m.Method, m.Params, err)
					}
					last = progress.Progress
				}
				if len(all) < 3 {
					t.Errorf("%d notifications came", len(all)-1)
				}
			}
			user.decision <- nil
			all := call(target.ID, `1`)
			if answer := all[len(all)-1].tool(t); answer.IsError || h.works(t, target.Value) {
				t.Errorf("the outcome is %s", answer.text())
			}
			if len(user.asked) != 1 {
				t.Errorf("the user was asked %d times", len(user.asked))
			}
		})
	}
}

func TestP13_TheOpenQuestionIsWithdrawnWhenTheClientLeaves(t *testing.T) {
	t.Run("notifications/cancelled over stdio", func(t *testing.T) {
		t.Parallel()
		h, user, target := waitingHouse(t)
		p := startStdio(t, h)
		p.handshake(noCapabilities)
		p.send(call(t, 1, "revoke_token", map[string]any{"id": target.ID}))
		<-user.asked
		p.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
		user.mustWithdraw(t)
	})
	for label, late := range map[string]bool{"end of input": false, "end of input after the call was answered": true} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			h, user, target := waitingHouse(t)
			p := startStdio(t, h)
			p.handshake(noCapabilities)
			p.send(call(t, 1, "revoke_token", map[string]any{"id": target.ID}))
			<-user.asked
			if late {
				p.answer("1")
			}
			left := p.rest()
			user.mustWithdraw(t)
			if answer, ok := left["1"]; !late && (!ok || !strings.Contains(answer.tool(t).text(), "closed its end")) {
				t.Errorf("the call was answered %s", answer.Result)
			}
			if !h.works(t, target.Value) {
				t.Error("the token was revoked all the same")
			}
		})
	}
	t.Run("a stream over HTTP that is closed", func(t *testing.T) {
		t.Parallel()
		h, user, target := waitingHouse(t)
		served := serveOwn(t, h)
		ctx, cancel := context.WithCancel(t.Context())
		header := bearer(h.pat).with("Mcp-Protocol-Version", modernVersion, "Mcp-Method", "tools/call", "Mcp-Name", "revoke_token")
		go func() {
			<-user.asked
			cancel()
		}()
		response, err := served.unhurried().Do(served.newRequest(t, http.MethodPost, "/mcp", header, modernToRevoke(t, 1, target.ID, `1`)).WithContext(ctx))
		if err == nil {
			_ = response.Body.Close()
		}
		user.mustWithdraw(t)
	})
	t.Run("notifications/cancelled over HTTP", func(t *testing.T) {
		t.Parallel()
		h, user, target := waitingHouse(t)
		served := serveOwn(t, h)
		session := served.session(t, bearer(h.pat), noCapabilities)
		s := served.open(t, http.MethodPost, session, request(t, 5, "tools/call", toRevoke(target.ID, `1`)))
		<-user.asked
		served.post(t, session, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}`)
		user.mustWithdraw(t)
		_ = s.rest()
	})
	t.Run("the end of a session", func(t *testing.T) {
		t.Parallel()
		h, user, target := waitingHouse(t)
		served := serveOwn(t, h)
		session := served.session(t, bearer(h.pat), noCapabilities)
		answer := served.post(t, session, call(t, 1, "revoke_token", map[string]any{"id": target.ID})).message(t).tool(t)
		if !strings.Contains(answer.text(), "is open") {
			t.Fatalf("the call was answered %s", answer.text())
		}
		served.do(t, http.MethodDelete, "/mcp", session, "")
		user.mustWithdraw(t)
	})
	t.Run("the end of the server", func(t *testing.T) {
		t.Parallel()
		h, user, target := waitingHouse(t)
		served := serveOwn(t, h)
		session := served.session(t, bearer(h.pat), noCapabilities)
		served.post(t, session, call(t, 1, "revoke_token", map[string]any{"id": target.ID}))
		if err := served.stop(); err != nil {
			t.Fatal(err)
		}
		user.mustWithdraw(t)
	})
}

func TestP12_TheTimeForTheTokenIsPartOfTheCall(t *testing.T) {
	t.Parallel()
	h, _, target := waitingHouse(t)
	const slow = shortPatience * 3 / 4
	passed, err := url.Parse(h.api.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(passed)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/org-units" {
			time.Sleep(slow)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(api.Close)
	client, err := client.New(client.WithBaseURL(api.URL))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	handler, err := h.HTTPHandler(server.HTTPConfig{API: client})
	if err != nil {
		t.Fatal(err)
	}
	served := listen(t, h, handler)
	header := bearer(h.pat).with("Mcp-Protocol-Version", modernVersion, "Mcp-Method", "tools/call", "Mcp-Name", "revoke_token")
	began := time.Now()
	all := messagesOf(t, served.post(t, header, modernToRevoke(t, 7, target.ID, `1`)))
	took := time.Since(began)
	if text := all[len(all)-1].tool(t).text(); !strings.Contains(text, "is open on a page") {
		t.Fatalf("the answer is %q", text)
	}
	if took < shortPatience || took > shortPatience+slow/2 {
		t.Errorf("a call whose token took %s to check was answered after %s, want %s", slow, took, shortPatience)
	}
}
