package tokens_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/audit"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// page is a person at a page of their own.
type page struct {
	decide    func(ctx context.Context) error
	questions []approval.Question
}

func (p *page) Decide(ctx context.Context, question approval.Question, _ time.Duration) error {
	p.questions = append(p.questions, question)
	return p.decide(ctx)
}

func (*page) Way() audit.Way { return audit.WayPage }

func TestR37_WhereTheClientCannotAskThePersonIsAskedDirectly(t *testing.T) {
	for label, test := range map[string]struct {
		decide error
		code   tools.Code // "" for a yes
		word   string
	}{
		"yes":         {nil, "", ""},
		"no":          {approval.ErrDeclined, tools.CodeDeclined, "the user said no"},
		"too late":    {context.DeadlineExceeded, tools.CodeDeclined, "nobody answered"},
		"no browser":  {approval.ErrUnreachable, tools.CodeNeedsPerson, "kenbun-mcp tokens revoke"},
		"broken down": {errors.New("the page fell over"), tools.CodeNeedsPerson, "kenbun-mcp tokens revoke"},
	} {
		for _, capabilities := range []string{`{}`, `{"elicitation":{"url":{}}}`} {
			t.Run(label+" "+capabilities, func(t *testing.T) {
				p := &page{decide: func(context.Context) error { return test.decide }}
				f := newFixture(t, func(c *toolsets.Config) { c.ApprovalMethod = p })
				legacy, modern := f.token("legacy"), f.token("modern")
				elicitation := ""
				if capabilities != `{}` {
					elicitation = `{"url":{}}`
				}
				for token, got := range map[string]*answer{
					legacy.ID: f.callIn(t.Context(), f.asks(elicitation, nil), "revoke_token", id(legacy.ID)),
					modern.ID: f.callModern(capabilities, "revoke_token", id(modern.ID)),
				} {
					if test.code == "" {
						got.ok(nil)
						f.mustBeRevoked(token)
						continue
					}
					got.failed(test.code, test.word)
					f.mustBeLive(token)
				}
				if len(p.questions) != 2 || p.questions[0].Title != "Revoke this kenbun token?" {
					t.Errorf("the person was asked %+v", p.questions)
				}
			})
		}
	}
}

// A client that can ask is the one that asks.
func TestThePageIsNotForClientsThatCanAsk(t *testing.T) {
	p := &page{decide: func(context.Context) error { return nil }}
	f := newFixture(t, func(c *toolsets.Config) { c.ApprovalMethod = p }, withoutSilence)
	token := f.token("kept")
	f.callIn(t.Context(), f.asksWith(`{}`, declined), "revoke_token", id(token.ID)).failed(tools.CodeDeclined)
	f.callIn(t.Context(), f.asks(`{}`, func(context.Context) (json.RawMessage, error) {
		return nil, errors.New("the client fell over")
	}), "revoke_token", id(token.ID)).failed(tools.CodeNeedsPerson)
	if len(p.questions) != 0 {
		t.Error("the person was asked a second time, past the client")
	}
	f.mustBeLive(token.ID)
}
