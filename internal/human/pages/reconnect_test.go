//go:build unix

package pages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// unconnected has no token.
type unconnected struct{}

func (unconnected) Caller(context.Context) (tools.Caller, error) {
	return tools.Caller{}, tools.Unauthenticated(fmt.Errorf("%w: set KENBUN_PAT", tools.ErrNotConnected))
}

func TestR37_APageThatHasEndedIsFollowedByAnother(t *testing.T) {
	h := newHouse(t)
	connector := NewConnector(h.Server, func(context.Context, client.Secret) error { return errors.New("kenbun does not know this token") })
	road, err := delivery.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	toolbox, err := toolsets.New(toolsets.Config{Callers: unconnected{}, Deliverer: road, Connector: connector, Policy: tools.DefaultPolicy(), Patience: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { toolbox.Stop(context.Background()) })
	s := server.NewMCPServer("test", "0")
	s.SetTools(toolbox.ServerTools()...)
	call := func() string {
		message := json.RawMessage(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}`)
		answer, err := json.Marshal(s.HandleMessage(t.Context(), message))
		if err != nil {
			t.Fatal(err)
		}
		return string(answer)
	}
	if answer := call(); !strings.Contains(answer, "not filled in yet") {
		t.Fatalf("the first call is answered with %s", answer)
	}
	first := h.address(t)
	if answer := call(); !strings.Contains(answer, "not filled in yet") || len(h.opened) != 0 {
		t.Errorf("%d more pages were opened: %s", len(h.opened), answer)
	}
	for range connectTries {
		post(t, first, formOf(t, first, "token", newToken().Value.Reveal()))
	}
	deadline := time.Now().Add(atLeisure)
	for h.openPages() != 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if answer := call(); !strings.Contains(answer, "not filled in yet") {
		t.Errorf("after the page has ended a call is answered with %s", answer)
	}
	if second := h.address(t); second == first {
		t.Error("the same page was opened again")
	}
}
