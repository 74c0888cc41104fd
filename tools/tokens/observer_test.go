package tokens_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// toolCalls collects what an Observer is told.
type toolCalls struct {
	mu   sync.Mutex
	told []string
}

func (c *toolCalls) ToolCalled(_ context.Context, tool, outcome string, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if took <= 0 {
		outcome += " in no time"
	}
	if !slices.Contains(tools.Outcomes(), outcome) {
		outcome += ", which is no outcome"
	}
	c.told = append(c.told, tool+" "+outcome)
}

func TestObserver_IsToldHowEachCallEnded(t *testing.T) {
	var seen toolCalls
	f := newFixture(t, func(c *toolsets.Config) { c.Observer = &seen })
	f.call("list_tokens", `{}`).ok(nil)
	f.call("list_tokens", `{"limit":0}`).failed(tools.CodeInvalidArgument)
	f.call("revoke_token", `{"id":"pat_unknown"}`).failed(tools.CodeNotFound)
	f.callModern(`{"elicitation":{}}`, "revoke_token", `{"id":"`+f.token("x").ID+`"}`).asking()
	caller := f.as(f.pat)
	caller.API = f.panicking(http.MethodGet)
	f.callers.set(caller)
	f.call("list_tokens", `{}`).failed(tools.CodeInternal)
	want := []string{
		"list_tokens ok", "list_tokens invalid_argument", "revoke_token not_found", "revoke_token input_required", "list_tokens internal",
	}
	if !slices.Equal(seen.told, want) {
		t.Errorf("told of %q, want %q", seen.told, want)
	}
}

// The set of outcomes is what labels are made from.
func TestOutcomes_HaveEveryCode(t *testing.T) {
	outcomes := tools.Outcomes()
	for _, code := range tools.Codes() {
		if !slices.Contains(outcomes, string(code)) {
			t.Errorf("%q is not among the outcomes", code)
		}
	}
	if slices.Sort(outcomes); len(slices.Compact(outcomes)) != 14 {
		t.Errorf("the outcomes are %q", outcomes)
	}
}
