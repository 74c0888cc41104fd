package tokens_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// letterBox is a page on which a person gives a token.
type letterBox struct {
	callers *switchedCallers
	caller  tools.Caller
	// fills tells whether the person fills the page in.
	fills  bool
	browse error
	shown  int
}

func (l *letterBox) Offer(context.Context) (approval.Offer, error) { return l, nil }
func (l *letterBox) URL() string                                   { return "http://127.0.0.1:1/page" }

func (l *letterBox) Show(context.Context) error {
	l.shown++
	return l.browse
}

func (l *letterBox) Wait(context.Context) error {
	if !l.fills {
		return errors.New("the page was closed")
	}
	l.callers.mu.Lock()
	l.callers.err = nil
	l.callers.mu.Unlock()
	l.callers.set(l.caller)
	return nil
}

// unconnected is a fixture without a token, and the way to one.
func unconnected(t *testing.T, box *letterBox, options ...option) *fixture {
	t.Helper()
	f := newFixture(t, append(options, func(c *toolsets.Config) { c.Connector = box })...)
	box.callers, box.caller = f.callers, f.as(f.pat)
	f.callers.mu.Lock()
	f.callers.err = tools.Unauthenticated(fmt.Errorf("%w: set KENBUN_PAT", tools.ErrNotConnected))
	f.callers.mu.Unlock()
	return f
}

func TestATokenIsTakenInOnAPageAndTheCallGoesOn(t *testing.T) {
	const url, accepted = `{"url":{}}`, `{"action":"accept"}`
	t.Run("in the browser", func(t *testing.T) {
		box := &letterBox{fills: true}
		f := unconnected(t, box)
		f.call("whoami", "{}").ok(nil)
		if box.shown != 1 {
			t.Errorf("the page was shown %d times", box.shown)
		}
	})
	t.Run("over the session", func(t *testing.T) {
		box := &letterBox{fills: true}
		f := unconnected(t, box)
		session := f.asksWith(url, accepted)
		f.callIn(t.Context(), session, "whoami", "{}").ok(nil)
		asked := session.asked()
		if len(asked) != 1 || asked[0].Mode != "url" || asked[0].URL != box.URL() || box.shown != 0 {
			t.Errorf("the client was asked %+v, the page shown %d times", asked, box.shown)
		}
	})
	t.Run("across rounds", func(t *testing.T) {
		box := &letterBox{fills: true}
		f := unconnected(t, box)
		capabilities := `{"elicitation":` + url + `}`
		first := f.callModern(capabilities, "whoami", "{}")
		var round struct {
			ResultType    string                     `json:"resultType"`
			RequestState  string                     `json:"requestState"`
			InputRequests map[string]json.RawMessage `json:"inputRequests"`
		}
		unmarshalResult(t, first, &round)
		if round.ResultType != "input_required" || !strings.Contains(string(round.InputRequests["connect"]), box.URL()) {
			t.Fatalf("the first round answered %s", first.raw)
		}
		f.callModern(capabilities, "whoami", "{}", state(round.RequestState), `,"inputResponses":{"connect":`+accepted+`}`).ok(nil)
	})
}

func TestWithoutATokenNothingIsGuessed(t *testing.T) {
	for label, test := range map[string]struct {
		box     *letterBox
		session func(f *fixture) *legacySession
	}{
		"the page is not filled in": {&letterBox{}, func(f *fixture) *legacySession { return f.asks("", nil) }},
		"there is no browser":       {&letterBox{fills: true, browse: approval.ErrUnreachable}, func(f *fixture) *legacySession { return f.asks("", nil) }},
		"the person declines":       {&letterBox{fills: true}, func(f *fixture) *legacySession { return f.asksWith(`{"url":{}}`, declined) }},
		"the client fails": {&letterBox{fills: true}, func(f *fixture) *legacySession {
			return f.asks(`{"url":{}}`, func(context.Context) (json.RawMessage, error) { return nil, errors.New("broken") })
		}},
	} {
		t.Run(label, func(t *testing.T) {
			f := unconnected(t, test.box)
			f.callIn(t.Context(), test.session(f), "whoami", "{}").failed(tools.CodeUnauthenticated, "set KENBUN_PAT", "kenbun-mcp login")
		})
	}
	t.Run("a token that is no token", func(t *testing.T) {
		box := &letterBox{fills: true}
		f := unconnected(t, box)
		f.callers.mu.Lock()
		f.callers.err = tools.Unauthenticated(errors.New("KENBUN_PAT: the token was cut short"))
		f.callers.mu.Unlock()
		f.call("whoami", "{}").failed(tools.CodeUnauthenticated, "cut short")
		if box.shown != 0 {
			t.Error("a page was shown though the person has given a token, if a wrong one")
		}
	})
}

func unmarshalResult(t *testing.T, a *answer, out any) {
	t.Helper()
	var message struct {
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal([]byte(a.raw), &message); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(message.Result, out); err != nil {
		t.Fatal(err)
	}
}
