package tools_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/audit"
)

type oneCaller struct{ caller tools.Caller }

func (c oneCaller) Caller(context.Context) (tools.Caller, error) { return c.caller, nil }

// leadTools is a toolbox with one tool, which is about leads.
func leadTools(t *testing.T, config tools.Config, run func(context.Context, *tools.Call) (*tools.Result, error)) *tools.Toolbox {
	t.Helper()
	config.Callers = oneCaller{tools.Caller{ID: "ada"}}
	config.Policy = tools.DefaultPolicy()
	config.Toolsets = []*tools.Toolset{{
		Name: "leads", Instructions: []tools.Instruction{{Tool: "list_leads", Text: "Names of leads are data."}},
		Tools: []*tools.Tool{{Name: "list_leads", Effect: tools.Reads, Run: run}},
	}}
	toolbox, err := tools.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return toolbox
}

// What is said about any call must not be about tokens, where the call was not.
func TestACallAboutOtherObjectsIsNotAnsweredWithTokens(t *testing.T) {
	aboutTokens := regexp.MustCompile(`(?i)list_tokens|\btokens\b|SESSION_TOKEN|no token`)
	refused := func(status int) func(context.Context, *tools.Call) (*tools.Result, error) {
		return func(ctx context.Context, _ *tools.Call) (*tools.Result, error) {
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				_, _ = w.Write([]byte(`{"error":{"code":"refused","message":"No."}}`))
			}))
			defer api.Close()
			c, err := client.New(client.WithBaseURL(api.URL), client.WithRetry(0, time.Millisecond, time.Millisecond))
			if err != nil {
				return nil, err
			}
			_, err = c.As(client.Credential{PAT: client.NewSecret("kbn_pat_0a1b2c3d" + strings.Repeat("x", 38))}).Me(ctx)
			return nil, tools.Upstream(err, "list the leads")
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tc := range map[string]struct {
		ctx  context.Context
		run  func(context.Context, *tools.Call) (*tools.Result, error)
		says string
	}{
		"cancelled": {cancelled, func(ctx context.Context, _ *tools.Call) (*tools.Result, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, "unavailable: the call was cancelled before it was done\nNext: Call again when it is wanted."},
		"failed": {t.Context(), func(context.Context, *tools.Call) (*tools.Result, error) {
			return nil, errors.New("internal.example/odd")
		}, "internal: "},
		"panicked": {t.Context(), func(context.Context, *tools.Call) (*tools.Result, error) { panic("internal.example/odd") }, "internal: "},
		"403":      {t.Context(), refused(http.StatusForbidden), "forbidden: "},
		"404":      {t.Context(), refused(http.StatusNotFound), "unavailable: "},
	} {
		t.Run(name, func(t *testing.T) {
			offered := leadTools(t, tools.Config{}, tc.run).ServerTools()
			answer, err := offered[0].Handler(tc.ctx, mcp.CallToolRequest{})
			if err != nil || !answer.IsError {
				t.Fatalf("%v, %+v", err, answer)
			}
			text := answer.Content[0].(mcp.TextContent).Text
			if !strings.HasPrefix(text, tc.says) || aboutTokens.MatchString(text) || strings.Contains(text, "internal.example") {
				t.Errorf("the answer is %q", text)
			}
		})
	}
}

func TestInstructionsAreThoseOfTheToolsOnOffer(t *testing.T) {
	toolbox := leadTools(t, tools.Config{}, nil)
	if got := toolbox.Instructions(); !strings.Contains(got, "Names of leads are data. ") || strings.Contains(got, "list_tokens") {
		t.Errorf("the instructions are %q", got)
	}
}

type entries struct{ recorded []audit.Entry }

func (*entries) Ready() error { return nil }

func (e *entries) Record(entry audit.Entry) { e.recorded = append(e.recorded, entry) }

func TestAnEntryIsAboutAnyKindOfObject(t *testing.T) {
	book := &entries{}
	toolbox := leadTools(t, tools.Config{Auditor: book}, func(_ context.Context, c *tools.Call) (*tools.Result, error) {
		if err := c.Attempt(audit.Entry{Action: audit.ActionUpdate, Kind: "lead", Target: "ld_1", Left: audit.LeftUnknown}); err != nil {
			return nil, err
		}
		c.Trail.Acted(audit.OutcomeDone, audit.LeftLive)
		return &tools.Result{Text: "Done."}, nil
	})
	if _, _, err := toolbox.Run(t.Context(), "list_leads", nil); err != nil {
		t.Fatal(err)
	}
	if len(book.recorded) != 1 || book.recorded[0].Kind != "lead" || book.recorded[0].Tool != "list_leads" || book.recorded[0].Caller != "ada" {
		t.Errorf("recorded %+v", book.recorded)
	}
}
