package tokens_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
)

func TestEveryLogLineOfACallCarriesItsRequestID(t *testing.T) {
	f := newFixture(t)
	id := tools.NewRequestID()
	ctx := tools.WithRequestID(t.Context(), id)
	f.callIn(ctx, f.asks("", nil), "create_token", createArguments("x", "1d")).ok(nil)
	f.callIn(ctx, f.asks("", nil), "revoke_token", `{"id":"pat_unknown"}`).failed(tools.CodeNotFound)
	caller := f.as(f.pat)
	caller.API = f.panicking(http.MethodGet)
	f.callers.set(caller)
	f.callIn(ctx, f.asks("", nil), "list_tokens", `{}`).failed(tools.CodeInternal, "the number "+id+",")
	lines := 0
	for line := range strings.Lines(f.left.String()) {
		if strings.Contains(line, "level=") {
			lines++
			if !strings.Contains(line, " request_id="+id+" ") {
				t.Errorf("a line without the id: %s", line)
			}
		}
	}
	if lines != 3 {
		t.Errorf("%d lines, want one of each call", lines)
	}
}

func TestCallsOfATransportWithoutRequestIDsGetOneEach(t *testing.T) {
	f := newFixture(t, withDeliverer(&faultyRoad{check: client.ErrUnavailable}))
	f.call("create_token", createArguments("x", "1d")).failed(tools.CodeCannotDeliver)
	f.call("create_token", createArguments("x", "1d")).failed(tools.CodeCannotDeliver)
	ids := map[string]bool{}
	for line := range strings.Lines(f.left.String()) {
		if _, rest, found := strings.Cut(line, "request_id="); found {
			ids[rest[:16]] = true
		}
	}
	if len(ids) != 2 {
		t.Errorf("two calls have the ids %v", ids)
	}
}
