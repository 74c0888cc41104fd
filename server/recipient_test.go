package server_test

import (
	"encoding/json"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/server/identity"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// sealingHouse delivers new tokens encrypted in the answer.
func sealingHouse(t *testing.T) *httpHouse {
	t.Helper()
	h := newHouse(t, byRequest)
	toolbox, err := toolsets.New(toolsets.Config{
		Callers: identity.RequestCallers(), Deliverer: delivery.Sealed{}, Policy: unhurriedPolicy(), APIAddress: h.api.URL,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Server = server.New(server.Config{Version: "1.2.3", Toolbox: toolbox})
	handler, err := h.HTTPHandler(server.HTTPConfig{API: h.api.Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	return listen(t, h, handler)
}

func TestA5_RecipientComesFromTheHeaderAlone(t *testing.T) {
	h := sealingHouse(t)
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	recipient := identity.Recipient().String()
	create := func(header headers, more map[string]any) (string, toolAnswer) {
		t.Helper()
		arguments := map[string]any{"name": "nightly", "expires": "7d"}
		for name, value := range more {
			arguments[name] = value
		}
		answer := h.modern(t, header, 1, "tools/call", map[string]any{"name": "create_token", "arguments": arguments})
		return answer.body, answer.message(t).tool(t)
	}

	body, made := create(bearer(h.pat).with(delivery.RecipientHeader, recipient), nil)
	if made.IsError {
		t.Fatal(made.text())
	}
	var token struct {
		Delivery tokens.Receipt `json:"delivery"`
	}
	if err := json.Unmarshal(made.Structured, &token); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"the structured answer": token.Delivery.Sealed, "the text": made.text()} {
		opened, err := delivery.OpenSealed(text, strings.NewReader(identity.String()))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !h.works(t, opened.Value.Reveal()) {
			t.Errorf("what %s held does not work", name)
		}
		if strings.Contains(body, opened.Value.Reveal()[16:]) {
			t.Error("the answer holds the value as it is")
		}
		if facts, ok := opened.Facts(); !ok || facts.Server != strings.TrimPrefix(h.url, "http://") || facts.Name != "nightly" || !strings.Contains(body, facts.ID) {
			t.Errorf("%s says %+v of what is sealed", name, facts)
		}
		if !opened.IsSealedWith(client.NewSecret(h.pat)) || opened.IsSealedWith(client.NewSecret(randomToken())) {
			t.Errorf("%s is not bound to the user's token", name)
		}
	}

	for name, c := range map[string]struct {
		header headers
		more   map[string]any
	}{
		"no header":   {bearer(h.pat), nil},
		"two headers": {bearer(h.pat).with(delivery.RecipientHeader, recipient, delivery.RecipientHeader, recipient), nil},
		"an argument": {bearer(h.pat), map[string]any{"recipient": recipient}},
		"both":        {bearer(h.pat).with(delivery.RecipientHeader, recipient), map[string]any{"recipient": recipient}},
	} {
		if _, refused := create(c.header, c.more); !refused.IsError {
			t.Errorf("%s: a token was made", name)
		}
	}
	tokens, err := h.api.As(t, h.pat).ListTokens(t.Context())
	if err != nil || len(tokens) != 2 {
		t.Errorf("there are %d tokens, want the first and the sealed one, %v", len(tokens), err)
	}
}
