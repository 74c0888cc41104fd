package tokens_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

func TestPolicyOffersNoMoreThanTheOperatorAllows(t *testing.T) {
	all := []string{"whoami", "list_tokens", "create_token", "revoke_token", "rotate_token"}
	for label, test := range map[string]struct {
		change func(*tools.Policy)
		want   []string
	}{
		"default":               {func(*tools.Policy) {}, all},
		"read only":             {func(p *tools.Policy) { p.ReadOnly = true }, []string{"whoami", "list_tokens"}},
		"no decisions":          {func(p *tools.Policy) { p.Approval = tools.ApprovalDeny }, []string{"whoami", "list_tokens", "create_token"}},
		"the client decides":    {func(p *tools.Policy) { p.Approval = tools.ApprovalClient }, all},
		"one toolset":           {func(p *tools.Policy) { p.Toolsets = []string{"account"} }, []string{"whoami"}},
		"both toolsets":         {func(p *tools.Policy) { p.Toolsets = []string{"tokens", "account"} }, all},
		"named":                 {func(p *tools.Policy) { p.Only = []string{"revoke_token", "whoami"} }, []string{"whoami", "revoke_token"}},
		"excluded":              {func(p *tools.Policy) { p.Exclude = []string{"create_token"} }, []string{"whoami", "list_tokens", "revoke_token", "rotate_token"}},
		"named and excluded":    {func(p *tools.Policy) { p.Only, p.Exclude = all, all }, nil},
		"named but read only":   {func(p *tools.Policy) { p.Only, p.ReadOnly = []string{"revoke_token"}, true }, nil},
		"named but denied":      {func(p *tools.Policy) { p.Only, p.Approval = []string{"revoke_token"}, tools.ApprovalDeny }, nil},
		"named, not in toolset": {func(p *tools.Policy) { p.Only, p.Toolsets = []string{"whoami"}, []string{"tokens"} }, nil},
	} {
		t.Run(label, func(t *testing.T) {
			policy := tools.DefaultPolicy()
			test.change(&policy)
			toolbox, err := toolsets.New(toolsets.Config{Callers: &switchedCallers{}, Deliverer: delivery.None{}, Policy: policy})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, offered := range toolbox.ServerTools() {
				got = append(got, offered.Tool.Name)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("offered (- want, + got):\n%s", diff)
			}
		})
	}
}

// A tool that is off is answered in the words for one that does not exist, and
// does nothing.
func TestToolThatIsOffLooksLikeNone(t *testing.T) {
	for label, change := range map[string]func(*tools.Policy){
		"denied":    func(p *tools.Policy) { p.Approval = tools.ApprovalDeny },
		"read only": func(p *tools.Policy) { p.ReadOnly = true },
		"excluded":  func(p *tools.Policy) { p.Exclude = []string{"revoke_token"} },
	} {
		t.Run(label, func(t *testing.T) {
			f := newFixture(t, withPolicy(change))
			token := f.token("old laptop")
			session := f.asksWith(`{}`, agreed)
			off := f.callIn(t.Context(), session, "revoke_token", id(token.ID))
			none := f.callIn(t.Context(), session, "xxxxxx_token", id(token.ID))
			if off.Error == nil || off.raw != strings.ReplaceAll(none.raw, "xxxxxx_token", "revoke_token") {
				t.Errorf("they differ:\n%s\n%s", off.raw, none.raw)
			}
			if len(session.asked()) != 0 {
				t.Error("the person was asked")
			}
			f.mustBeLive(token.ID)
		})
	}
}

func TestApprovalClientTrustsTheClientsPrompt(t *testing.T) {
	f := newFixture(t, withPolicy(func(p *tools.Policy) { p.Approval = tools.ApprovalClient }))
	token := f.token("old laptop")
	session := f.asksWith(`{}`, declined)
	f.callIn(t.Context(), session, "revoke_token", id(token.ID)).ok(nil)
	if len(session.asked()) != 0 {
		t.Error("the person was asked a second time")
	}
	f.mustBeRevoked(token.ID)
	// What nobody may do, a client may not either.
	f.call("revoke_token", id(f.listedID("first"))).failed(tools.CodeForbidden)
}

func TestPolicyThatMeansNothingIsRefused(t *testing.T) {
	for want, change := range map[string]func(*tools.Policy){
		`no toolset "token"; the toolsets are identity, tokens`: func(p *tools.Policy) { p.Toolsets = []string{"token"} },
		`no tool "revoke"; the tools are whoami, `:              func(p *tools.Policy) { p.Exclude = []string{"revoke"} },
		`no tool "Whoami"`: func(p *tools.Policy) { p.Only = []string{"Whoami"} },
		`no tool ""`:       func(p *tools.Policy) { p.Exclude = []string{""} },
		`approval cannot be ""; use ask, client or deny`: func(p *tools.Policy) { p.Approval = "" },
		`approval cannot be "ASK"`:                       func(p *tools.Policy) { p.Approval = "ASK" },
		`more than nothing`:                              func(p *tools.Policy) { p.MaxTokenLifetime = 0 },
		`must be more than nothing`:                      func(p *tools.Policy) { p.MaxTokenLifetime = -time.Hour },
	} {
		policy := tools.DefaultPolicy()
		change(&policy)
		if _, err := toolsets.New(toolsets.Config{Callers: &switchedCallers{}, Deliverer: delivery.None{}, Policy: policy}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
	if _, err := tools.DefaultPolicy().Validate(toolsets.All()); err != nil {
		t.Error(err)
	}
	if _, err := toolsets.New(toolsets.Config{Policy: tools.DefaultPolicy()}); err == nil {
		t.Error("a toolbox without callers and road was made")
	}
}
