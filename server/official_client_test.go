package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// eras are the protocol versions that the official client is made to speak:
// with 2026-07-28 it begins with server/discover, with others with initialize.
var eras = []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"}

// officialPeer is the official SDK's client, connected to a server.
type officialPeer struct {
	*house
	*mcp.ClientSession
}

// decider answers a question to the person.
type decider func(*mcp.ElicitRequest) (*mcp.ElicitResult, error)

// officialTransports connect the official client in each way that there is.
var officialTransports = map[string]func(t *testing.T) (*house, mcp.Transport){
	"stdio": func(t *testing.T) (*house, mcp.Transport) {
		h := newHouse(t)
		in, toServer := pipe(t)
		fromServer, out := pipe(t)
		ended := make(chan error, 1)
		go func() {
			err := h.ServeStdio(context.WithoutCancel(t.Context()), in, out)
			ended <- errors.Join(err, in.Close(), out.Close())
		}()
		t.Cleanup(func() {
			if err := <-ended; err != nil {
				t.Errorf("the server ended with %v", err)
			}
		})
		return h, &mcp.IOTransport{Reader: fromServer, Writer: toServer}
	},
	"HTTP": func(t *testing.T) (*house, mcp.Transport) {
		h := serveHTTP(t)
		return h.house, &mcp.StreamableClientTransport{
			Endpoint:   h.url + "/mcp",
			HTTPClient: &http.Client{Transport: tokenAdder{h.client.Transport, h.pat}},
		}
	},
	"the program": func(t *testing.T) (*house, mcp.Transport) {
		h := newHouse(t)
		command := exec.Command(kenbuntest.Binary(t), "stdio", "--api-url", h.api.URL, "--deliver", "file", "--deliver-dir", h.delivered)
		command.Env = kenbuntest.Environment(t, "KENBUN_PAT="+h.pat)
		command.Stderr = os.Stderr
		return h, &mcp.CommandTransport{Command: command, TerminateDuration: patience}
	},
}

// tokenAdder sends every request as the user of a token.
type tokenAdder struct {
	http.RoundTripper
	pat string
}

func (a tokenAdder) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+a.pat)
	return a.RoundTripper.RoundTrip(r)
}

// connect connects the official client; with a decider it can ask a person.
func connect(t *testing.T, transport, era string, decide decider) officialPeer {
	t.Helper()
	h, way := officialTransports[transport](t)
	options := &mcp.ClientOptions{Capabilities: &mcp.ClientCapabilities{}}
	if decide != nil {
		options.ElicitationHandler = func(_ context.Context, r *mcp.ElicitRequest) (*mcp.ElicitResult, error) { return decide(r) }
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "official", Version: "1"}, options)
	session, err := client.Connect(t.Context(), way, &mcp.ClientSessionOptions{ProtocolVersion: era})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := session.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return officialPeer{h, session}
}

// use calls a tool and returns its result, and everything in it as JSON.
func (p officialPeer) use(t *testing.T, tool string, arguments map[string]any) (*mcp.CallToolResult, string) {
	t.Helper()
	result, err := p.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	return result, marshal(t, result)
}

// everyWay runs a test with the official client over each transport and in each
// era.
func everyWay(t *testing.T, test func(t *testing.T, transport, era string)) {
	t.Helper()
	for _, transport := range []string{"stdio", "HTTP", "the program"} {
		for _, era := range eras {
			if transport == "the program" && era != eras[0] && era != eras[len(eras)-1] {
				continue // each start costs; the others differ in nothing that is the program's
			}
			t.Run(transport+" "+era, func(t *testing.T) { test(t, transport, era) })
		}
	}
}

func TestOfficialClient_UsesEveryTool(t *testing.T) {
	everyWay(t, func(t *testing.T, transport, era string) {
		p := connect(t, transport, era, func(*mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"approve": true}}, nil
		})
		hello := p.InitializeResult()
		if hello.ProtocolVersion != era || hello.ServerInfo == nil || hello.ServerInfo.Name != "kenbun-mcp" || !strings.Contains(hello.Instructions, "whoami") {
			t.Errorf("the server introduces itself as %s", marshal(t, hello))
		}
		list, err := p.ListTools(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, tool := range list.Tools {
			names = append(names, tool.Name)
			if tool.Annotations == nil || tool.OutputSchema == nil || tool.Description == "" {
				t.Errorf("the tool %s lacks something", tool.Name)
			}
		}
		for _, name := range []string{"whoami", "list_tokens", "create_token", "revoke_token"} {
			if !slices.Contains(names, name) {
				t.Errorf("the tools %v lack %s", names, name)
			}
		}

		if who, all := p.use(t, "whoami", nil); who.IsError || !strings.Contains(all, "ada@example.com") {
			t.Errorf("whoami: %s", all)
		}
		made, answer := p.use(t, "create_token", map[string]any{"name": "nightly", "expires": "7d"})
		if made.IsError {
			t.Fatalf("create_token: %s", answer)
		}
		value := p.deliveredValue(t)
		if secret := value[len("kbn_pat_")+8:]; strings.Contains(answer, secret) {
			t.Error("the answer holds the value")
		}
		if !p.works(t, value) {
			t.Error("the value that was delivered does not work")
		}
		var created struct{ ID, Prefix string }
		if err := json.Unmarshal([]byte(marshal(t, made.StructuredContent)), &created); err != nil || !strings.HasPrefix(value, created.Prefix) {
			t.Errorf("create_token: %s, %v", answer, err)
		}
		if listed, all := p.use(t, "list_tokens", map[string]any{"name": "night"}); listed.IsError || !strings.Contains(all, created.ID) {
			t.Errorf("list_tokens: %s", all)
		}
		if revoked, all := p.use(t, "revoke_token", map[string]any{"id": created.ID}); revoked.IsError || !strings.Contains(all, `"outcome":"revoked"`) {
			t.Errorf("revoke_token: %s", all)
		}
		if p.works(t, value) {
			t.Error("the revoked token still works")
		}
	})
}

func TestR37_OfficialClientsPersonDecides(t *testing.T) {
	type content = map[string]any
	everyWay(t, func(t *testing.T, transport, era string) {
		var answer *mcp.ElicitResult
		var failure error
		asked := 0
		var question string
		for _, c := range []struct {
			shows   string
			answer  *mcp.ElicitResult
			failure error
		}{
			{"decline", &mcp.ElicitResult{Action: "decline"}, nil},
			{"cancel", &mcp.ElicitResult{Action: "cancel"}, nil},
			{"decline with a tick", &mcp.ElicitResult{Action: "decline", Content: content{"approve": true}}, nil},
			{"accept without content", &mcp.ElicitResult{Action: "accept"}, nil},
			{"accept with an empty box", &mcp.ElicitResult{Action: "accept", Content: content{"approve": false}}, nil},
			{"accept with a string", &mcp.ElicitResult{Action: "accept", Content: content{"approve": "true"}}, nil},
			{"accept with a number", &mcp.ElicitResult{Action: "accept", Content: content{"approve": 1}}, nil},
			{"accept of something else", &mcp.ElicitResult{Action: "accept", Content: content{"confirm": true}}, nil},
			{"an action of its own", &mcp.ElicitResult{Action: "yes", Content: content{"approve": true}}, nil},
			{"a failure", nil, errors.New("no window to ask in")},
		} {
			// Each asks anew: what a client does not answer stays open for a while.
			p := connect(t, transport, era, func(r *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
				asked++
				question = r.Params.Message
				return answer, failure
			})
			issued := p.api.Token(t, "ada@example.com", "asked about: "+c.shows, nil)
			answer, failure, question = c.answer, c.failure, ""
			before := asked
			result, err := p.CallTool(t.Context(), &mcp.CallToolParams{Name: "revoke_token", Arguments: content{"id": issued.ID}})
			if asked == before || !strings.Contains(question, "asked about: "+c.shows) {
				t.Errorf("%s: the person was asked %q", c.shows, question)
			}
			// In protocol 2026-07-28 the client gives up by itself where it has
			// nothing to answer with.
			if err == nil && !result.IsError {
				t.Errorf("%s: %s", c.shows, marshal(t, result))
			}
			if !p.works(t, issued.Value) {
				t.Errorf("%s: the token was revoked", c.shows)
			}
		}
	})
}

func TestR37_OfficialClientWithoutAPersonIsRefused(t *testing.T) {
	everyWay(t, func(t *testing.T, transport, era string) {
		p := connect(t, transport, era, nil)
		issued := p.api.Token(t, "ada@example.com", "old", nil)
		result, all := p.use(t, "revoke_token", map[string]any{"id": issued.ID})
		if !result.IsError || !strings.Contains(all, "needs_person: ") || !strings.Contains(all, "kenbun-mcp tokens revoke "+issued.ID) {
			t.Errorf("revoke_token: %s", all)
		}
		if !p.works(t, issued.Value) {
			t.Error("the token was revoked")
		}
	})
}

func TestOfficialClient_ManyCallsAtOnce(t *testing.T) {
	for _, transport := range []string{"stdio", "HTTP"} {
		for _, era := range []string{"2025-11-25", modernVersion} {
			t.Run(transport+" "+era, func(t *testing.T) {
				p := connect(t, transport, era, nil)
				failed := make(chan error, 64)
				for range cap(failed) {
					go func() {
						result, err := p.CallTool(t.Context(), &mcp.CallToolParams{Name: "list_tokens"})
						if err == nil && result.IsError {
							err = errors.New(marshal(t, result))
						}
						failed <- err
					}()
				}
				for range cap(failed) {
					if err := <-failed; err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

func TestOfficialClient_DeliveredFileIsThePersonsAlone(t *testing.T) {
	p := connect(t, "stdio", modernVersion, nil)
	p.use(t, "create_token", map[string]any{"name": "nightly", "expires": "7d"})
	p.deliveredValue(t)
	files, err := filepath.Glob(filepath.Join(p.delivered, "*.token"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, p.delivered) {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", filepath.Base(file), info.Mode(), err)
		}
	}
}
