package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// slowDelivery delivers no token before it is closed.
type slowDelivery chan struct{}

func (slowDelivery) Method() string { return "slow" }

func (slowDelivery) Check(context.Context) error { return nil }

func (d slowDelivery) Deliver(context.Context, tools.Caller, *client.CreatedToken) (tokens.Receipt, error) {
	<-d
	return tokens.Receipt{Method: "slow", Note: "There."}, nil
}

func TestA22_CallsThatGoOnDoNotHoldTheirMessages(t *testing.T) {
	delivery := make(slowDelivery)
	h := newHouseWith(t, func(c *toolsets.Config) { c.Deliverer, c.Patience = delivery, shortPatience }, byRequest)
	handler, err := h.HTTPHandler(server.HTTPConfig{API: h.api.Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	served := listen(t, h, handler)
	header := bearer(h.pat).with("Mcp-Protocol-Version", modernVersion, "Mcp-Method", "tools/call", "Mcp-Name", "create_token")
	const calls, size = 16, 1000 << 10
	before := heapInUse()
	left := make(chan bool, calls)
	var all sync.WaitGroup
	room := make(chan struct{}, 8)
	for i := range calls {
		all.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			answer := served.post(t, header, request(t, i+1, "tools/call", map[string]any{
				"name": "create_token", "arguments": map[string]any{"name": fmt.Sprint("import ", i), "expires": "7d"},
				"_meta": map[string]any{
					"io.modelcontextprotocol/protocolVersion":    modernVersion,
					"io.modelcontextprotocol/clientInfo":         map[string]any{"name": "test", "version": "1"},
					"io.modelcontextprotocol/clientCapabilities": map[string]any{},
					"progressToken": json.RawMessage("1"),
					"padding":       strings.Repeat("y", size),
				},
			}))
			left <- strings.Contains(answer.body, "joins this call")
		})
	}
	all.Wait()
	for range calls {
		if !<-left {
			t.Fatal("a call did not go on: the test shows nothing")
		}
	}
	served.unhurried().CloseIdleConnections()
	// What connections and pools held is freed a moment later.
	held := heapInUse() - before
	for end := time.Now().Add(10 * time.Second); held > calls*size/4 && time.Now().Before(end); held = heapInUse() - before {
		time.Sleep(100 * time.Millisecond)
	}
	if held > calls*size/4 {
		t.Errorf("%d calls that go on hold %d KiB more", calls, held>>10)
	}
	close(delivery)
}

// A request waits for a place among those that are worked on. That is part of the
// time in which it is answered.
func TestP12_ManyCallsAtOnceAreAllAnsweredInTime(t *testing.T) {
	h := newHouse(t)
	stuck := make(chan struct{})
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stuck:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(api.Close)
	t.Cleanup(func() { close(stuck) })
	silent, err := client.New(client.WithBaseURL(api.URL))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(silent.CloseIdleConnections)
	caller := tools.Caller{API: silent.As(client.Credential{PAT: client.NewSecret(h.pat)}), ID: "ada"}
	h = newHouseWith(t, func(c *toolsets.Config) { c.Callers, c.Patience = always{caller}, shortPatience })
	p := startStdio(t, h)
	p.handshake(noCapabilities)
	const calls = 150
	began := time.Now()
	for i := range calls {
		p.send(call(t, i+1, "list_tokens", map[string]any{}))
	}
	for range calls {
		if m := p.next(); m.Error != nil {
			t.Fatalf("a call is answered with %s", m.Error.Message)
		}
	}
	if took := time.Since(began); took > shortPatience*3/2 {
		t.Errorf("the last of %d calls was answered after %s, want about %s", calls, took, shortPatience)
	}
}

// always has every call run as the same caller.
type always struct{ caller tools.Caller }

func (a always) Caller(context.Context) (tools.Caller, error) { return a.caller, nil }
