package tokens_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// audited is one call and the entries that it leaves.
type audited struct {
	options []option
	// before happens before the call. old is a token that lives for 30 days.
	before func(t *testing.T, f *fixture, old string)
	// call makes the call. Nil: the client asks by a form, and the person agrees.
	call func(t *testing.T, f *fixture, arguments string)
	// arguments, where they are not the usual ones.
	arguments func(old string) string
	want      []string
}

func runAudited(t *testing.T, tool string, arguments func(old string) string, cases map[string]audited) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f, book := newAuditedFixture(t, c.options...)
			old := f.idle("old").ID
			if c.before != nil {
				c.before(t, f, old)
			}
			if c.arguments == nil {
				c.arguments = arguments
			}
			if c.call == nil {
				f.callIn(t.Context(), f.asksWith(`{}`, agreed), tool, c.arguments(old))
			} else {
				c.call(t, f, c.arguments(old))
			}
			f.proxy.instead(nil)
			book.expect(t, f, tool, old, c.want...)
		})
	}
}

func road(deliver func() (tokens.Receipt, error)) option {
	return withDeliverer(&faultyRoad{deliver: func(context.Context, *client.CreatedToken) (tokens.Receipt, error) { return deliver() }})
}

var (
	brokenRoad  = road(func() (tokens.Receipt, error) { return tokens.Receipt{}, errors.New("the dog ate it") })
	openRoad    = road(func() (tokens.Receipt, error) { return tokens.Receipt{Method: "faulty", Note: "Look."}, nil })
	patientRoad = road(func() (tokens.Receipt, error) {
		return tokens.Receipt{Method: "faulty", Note: "Come.", Pending: true}, nil
	})
	panickyRoad  = road(func() (tokens.Receipt, error) { panic("the road") })
	closedRoad   = withDeliverer(&faultyRoad{check: errors.New("the road is closed")})
	allowNever   = withPolicy(func(p *tools.Policy) { p.AllowNeverExpiring = true })
	trustClients = withPolicy(func(p *tools.Policy) { p.Approval = tools.ApprovalClient })
)

func refused(method, path string, status int) func(*testing.T, *fixture, string) {
	return func(_ *testing.T, f *fixture, old string) {
		f.proxy.refuse(method, strings.ReplaceAll(path, "OLD", old), status)
	}
}

// losing has the API make a token and its answer be lost, and refuses what
// irrevocable says.
func losing(irrevocable bool) func(*testing.T, *fixture, string) {
	return func(_ *testing.T, f *fixture, _ string) {
		f.proxy.instead(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			switch {
			case r.Method == http.MethodPost:
				pass.ServeHTTP(&lostAnswer{ResponseWriter: w}, r)
				panic(http.ErrAbortHandler)
			case r.Method == http.MethodDelete && irrevocable:
				refuse(w, http.StatusForbidden)
			default:
				pass.ServeHTTP(w, r)
			}
		})
	}
}

// irrevocable refuses to revoke what is not the old token.
func irrevocable(status int) func(*testing.T, *fixture, string) {
	return func(_ *testing.T, f *fixture, old string) {
		f.proxy.instead(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			if r.Method == http.MethodDelete && !strings.HasSuffix(r.URL.Path, old) {
				refuse(w, status)
				return
			}
			pass.ServeHTTP(w, r)
		})
	}
}

// saying has the person answer the client's form with what is written.
func saying(tool, answer string) func(*testing.T, *fixture, string) {
	return func(t *testing.T, f *fixture, arguments string) {
		f.callIn(t.Context(), f.asksWith(`{}`, answer), tool, arguments)
	}
}

// unasked calls as a client that cannot be asked anything.
func unasked(tool string) func(*testing.T, *fixture, string) {
	return func(_ *testing.T, f *fixture, arguments string) { f.call(tool, arguments) }
}

func withPerson(err error) option {
	return func(c *toolsets.Config) { c.ApprovalMethod = &page{decide: func(context.Context) error { return err }} }
}

func TestR34_CreateTokenLeavesExactlyItsEntries(t *testing.T) {
	never := func(string) string { return createArguments("import", "never") }
	runAudited(t, "create_token", func(string) string { return createArguments("import", "7d") }, map[string]audited{
		"done": {want: []string{"create target=NEW name=import: done, live", "deliver target=NEW name=import road=file: done, live"}},
		"waiting for its person": {options: []option{patientRoad}, want: []string{
			"create target=NEW name=import: done, live", "deliver target=NEW name=import road=faulty: done, waiting"}},
		"agreed": {options: []option{allowNever}, arguments: never, want: []string{
			"create target=NEW name=import approved by elicitation: done, live",
			"deliver target=NEW name=import road=file approved by elicitation: done, live"}},
		"declined": {options: []option{allowNever}, arguments: never, call: saying("create_token", declined),
			want: []string{"create name=import declined by elicitation: declined, nothing"}},
		"nobody to ask": {options: []option{allowNever}, arguments: never, call: unasked("create_token"),
			want: []string{"create name=import nobody_to_ask: needs_person, nothing"}},
		"not allowed by the operator": {arguments: never, want: []string{"create name=import: forbidden, nothing"}},
		"the road is closed":          {options: []option{closedRoad}, want: []string{"create name=import: cannot_deliver, nothing"}},
		"the journal is closed":       {options: []option{withJournal(&toldJournal{begin: errors.New("full")})}, want: []string{"create name=import: cannot_deliver, nothing"}},
		"the API refuses":             {before: refused(http.MethodPost, "/settings/tokens", http.StatusForbidden), want: []string{"create name=import: forbidden, nothing"}},
		"the API knows nobody":        {before: refused(http.MethodGet, "/settings/tokens", http.StatusUnauthorized), want: []string{"create name=import: unauthenticated, nothing"}},
		"the API fails":               {before: refused(http.MethodPost, "/settings/tokens", http.StatusInternalServerError), want: []string{"create name=import: unavailable, nothing"}},
		"the answer is lost":          {before: losing(false), want: []string{"create target=NEW name=import: unavailable, revoked"}},
		"the answer is lost for good": {before: losing(true), want: []string{"create name=import candidates=NEW: outcome_unknown, unknown"}},
		"undeliverable": {options: []option{brokenRoad}, want: []string{
			"create target=NEW name=import: done, live",
			"deliver target=NEW name=import road=faulty: cannot_deliver, live",
			"revoke target=NEW name=import because=undelivered: done, revoked"}},
		"the road panics": {options: []option{panickyRoad}, want: []string{
			"create target=NEW name=import: done, live",
			"deliver target=NEW name=import road=faulty: cannot_deliver, live",
			"revoke target=NEW name=import because=undelivered: done, revoked"}},
		"undeliverable and irrevocable": {options: []option{brokenRoad}, before: irrevocable(http.StatusForbidden), want: []string{
			"create target=NEW name=import: done, live",
			"deliver target=NEW name=import road=faulty: cannot_deliver, live",
			"revoke target=NEW name=import because=undelivered: forbidden, live"}},
		"a panic": {before: func(_ *testing.T, f *fixture, _ string) {
			caller := f.as(f.pat)
			caller.API = f.panicking(http.MethodPost)
			f.callers.set(caller)
		}, want: []string{"create name=import: internal, unknown"}},
	})
}

func TestR34_RevokeTokenLeavesExactlyItsEntries(t *testing.T) {
	runAudited(t, "revoke_token", id, map[string]audited{
		"done":               {want: []string{"revoke target=OLD name=old approved by elicitation: done, revoked"}},
		"asked across calls": {want: []string{"revoke target=OLD name=old approved by elicitation: done, revoked"}, call: acrossCalls(agreed, func(s string) string { return s })},
		"an altered answer":  {want: []string{"revoke target=OLD name=old no_answer by elicitation: declined, live"}, call: acrossCalls(agreed, func(s string) string { return s + "A" })},
		"agreed on a page":   {options: []option{withPerson(nil)}, call: unasked("revoke_token"), want: []string{"revoke target=OLD name=old approved by page: done, revoked"}},
		"declined on a page": {options: []option{withPerson(approval.ErrDeclined)}, call: unasked("revoke_token"),
			want: []string{"revoke target=OLD name=old declined by page: declined, live"}},
		"no answer on a page": {options: []option{withPerson(context.DeadlineExceeded)}, call: unasked("revoke_token"),
			want: []string{"revoke target=OLD name=old no_answer by page: declined, live"}},
		"no browser":        {options: []option{withPerson(approval.ErrUnreachable)}, call: unasked("revoke_token"), want: []string{"revoke target=OLD name=old nobody_to_ask: needs_person, live"}},
		"nobody to ask":     {call: unasked("revoke_token"), want: []string{"revoke target=OLD name=old nobody_to_ask: needs_person, live"}},
		"declined":          {call: saying("revoke_token", declined), want: []string{"revoke target=OLD name=old declined by elicitation: declined, live"}},
		"an empty box":      {call: saying("revoke_token", `{"action":"accept","content":{"approve":false}}`), want: []string{"revoke target=OLD name=old declined by elicitation: declined, live"}},
		"an unknown answer": {call: saying("revoke_token", `{"action":"perhaps"}`), want: []string{"revoke target=OLD name=old no_answer by elicitation: declined, live"}},
		"a trusted client":  {options: []option{trustClients}, call: unasked("revoke_token"), want: []string{"revoke target=OLD name=old trusted_client: done, revoked"}},
		"hung up": {call: func(t *testing.T, f *fixture, arguments string) {
			ctx, hangUp := context.WithCancel(t.Context())
			f.callIn(ctx, f.asks(`{}`, func(context.Context) (json.RawMessage, error) {
				hangUp()
				return nil, ctx.Err()
			}), "revoke_token", arguments)
		}, want: []string{"revoke target=OLD name=old no_answer by elicitation: unavailable, live"}},
		"unknown": {arguments: func(string) string { return id("pat_unknown") }, want: []string{"revoke target=pat_unknown: not_found, unknown"}},
		"revoked before": {before: func(t *testing.T, f *fixture, old string) { revokeAtOnce(t, f, old) },
			want: []string{"revoke target=OLD name=old: unchanged, revoked"}},
		"revoked meanwhile": {before: func(t *testing.T, f *fixture, old string) {
			f.proxy.instead(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				if r.Method == http.MethodDelete {
					revokeAtOnce(t, f, old)
				}
				pass.ServeHTTP(w, r)
			})
		}, want: []string{"revoke target=OLD name=old approved by elicitation: unchanged, revoked"}},
		"the token in use": {call: func(_ *testing.T, f *fixture, _ string) { f.call("revoke_token", id(f.listedID("first"))) },
			want: []string{"revoke target=NEW name=first: forbidden, live"}},
		"the list fails":  {before: refused(http.MethodGet, "/settings/tokens", http.StatusInternalServerError), want: []string{"revoke target=OLD approved by elicitation: outcome_unknown, unknown"}},
		"the API refuses": {before: refused(http.MethodDelete, "/settings/tokens/OLD", http.StatusForbidden), want: []string{"revoke target=OLD name=old approved by elicitation: forbidden, live"}},
		"the API fails":   {before: refused(http.MethodDelete, "/settings/tokens/OLD", http.StatusInternalServerError), want: []string{"revoke target=OLD name=old approved by elicitation: outcome_unknown, unknown"}},
	})
}

func revokeAtOnce(t *testing.T, f *fixture, token string) {
	t.Helper()
	if err := f.api.As(t, f.pat).RevokeToken(context.Background(), token); err != nil {
		t.Error(err)
	}
}

// acrossCalls has the person answer between two calls, and the client change
// the state on its way.
func acrossCalls(answer string, change func(string) string) func(*testing.T, *fixture, string) {
	return func(_ *testing.T, f *fixture, arguments string) {
		sealed := f.callModern(canAsk, "revoke_token", arguments).asking()
		f.callModern(canAsk, "revoke_token", arguments, state(change(sealed)), response(answer))
	}
}

func TestR34_RotateTokenLeavesExactlyItsEntries(t *testing.T) {
	const (
		made      = "create target=NEW name=old replaces=OLD approved by elicitation: done, live"
		delivered = "deliver target=NEW name=old replaces=OLD road=faulty approved by elicitation: done, live"
		lost      = "deliver target=NEW name=old replaces=OLD road=faulty approved by elicitation: cannot_deliver, live"
	)
	runAudited(t, "rotate_token", id, map[string]audited{
		"done": {options: []option{openRoad}, want: []string{made, delivered,
			"revoke target=OLD name=old replaces=OLD because=rotated approved by elicitation: done, revoked"}},
		"waiting for its person": {options: []option{patientRoad}, want: []string{made, strings.Replace(delivered, ", live", ", waiting", 1)}},
		"declined": {call: saying("rotate_token", declined), want: []string{
			"create name=old replaces=OLD declined by elicitation: declined, nothing"}},
		"nobody to ask":      {call: unasked("rotate_token"), want: []string{"create name=old replaces=OLD nobody_to_ask: needs_person, nothing"}},
		"unknown":            {arguments: func(string) string { return id("pat_unknown") }, want: []string{"create replaces=pat_unknown: not_found, nothing"}},
		"revoked before":     {before: revokeAtOnce, want: []string{"create replaces=OLD: invalid_argument, nothing"}},
		"the road is closed": {options: []option{closedRoad}, want: []string{"create name=old replaces=OLD: cannot_deliver, nothing"}},
		"the API fails": {before: refused(http.MethodPost, "/settings/tokens", http.StatusInternalServerError),
			want: []string{"create name=old replaces=OLD approved by elicitation: unavailable, nothing"}},
		"the answer is lost for good": {before: losing(true),
			want: []string{"create name=old replaces=OLD candidates=NEW approved by elicitation: outcome_unknown, unknown"}},
		"undeliverable": {options: []option{brokenRoad}, want: []string{made, lost,
			"revoke target=NEW name=old replaces=OLD because=undelivered approved by elicitation: done, revoked"}},
		"the old one cannot be revoked": {options: []option{openRoad}, before: refused(http.MethodDelete, "/settings/tokens/OLD", http.StatusInternalServerError),
			want: []string{made, delivered, "revoke target=OLD name=old replaces=OLD because=rotated approved by elicitation: outcome_unknown, unknown"}},
		"overtaken": {options: []option{openRoad}, before: func(t *testing.T, f *fixture, old string) {
			f.proxy.instead(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				if r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, old) {
					revokeAtOnce(t, f, old)
				}
				pass.ServeHTTP(w, r)
			})
		}, want: []string{made, delivered,
			"revoke target=OLD name=old replaces=OLD because=rotated approved by elicitation: unchanged, revoked",
			"revoke target=NEW name=old replaces=OLD because=overtaken approved by elicitation: done, revoked"}},
	})
}

func TestR34_WhatIsTooMuchIsInTheAuditLog(t *testing.T) {
	f, book := newAuditedFixture(t, withPolicy(func(p *tools.Policy) { p.MaxChangesPerMinute = 1 }), withClock(&settableClock{now: time.Now()}))
	f.call("create_token", createArguments("x", "7d")).ok(nil)
	token := f.token30("old").ID
	for _, call := range [][2]string{{"create_token", createArguments("x", "7d")}, {"revoke_token", id(token)}, {"rotate_token", id(token)}} {
		f.call(call[0], call[1]).failed(tools.CodeRateLimited)
	}
	lines := book.parsed(t, f)
	var got []string
	for _, line := range lines[2:] {
		got = append(got, line.Tool+" "+line.String())
	}
	want := "create_token create name=x: rate_limited, nothing\n" +
		"revoke_token revoke target=" + token + " name=old: rate_limited, live\n" +
		"rotate_token create name=old replaces=" + token + ": rate_limited, nothing"
	if all := strings.Join(got, "\n"); all != want {
		t.Errorf("the audit log holds\n%s\nwant\n%s", all, want)
	}
}

func TestR34_RotationOfTheTokenInUseTellsWhereItIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		fails bool
		want  []string
	}{
		"done": {false, []string{
			"deliver target=NEW name=first replaces=OLD road=in place approved by elicitation: done, live",
			"revoke target=OLD name=first replaces=OLD because=rotated approved by elicitation: done, revoked"}},
		"its place cannot be changed": {true, []string{
			"deliver target=NEW name=first replaces=OLD road=in place approved by elicitation: cannot_deliver, live",
			"revoke target=NEW name=first replaces=OLD because=undelivered approved by elicitation: done, revoked"}},
	} {
		t.Run(name, func(t *testing.T) {
			v := &vault{fails: c.fails}
			f, book := newAuditedFixture(t, func(c *toolsets.Config) { c.Keeper = v })
			v.callers, v.as = f.callers, f.as
			own := f.listedID("first")
			f.callIn(t.Context(), f.asksWith(`{}`, agreed), "rotate_token", `{"id":`+quoted(own)+`,"expires":"30d"}`)
			book.expect(t, f, "rotate_token", own,
				append([]string{"create target=NEW name=first replaces=OLD approved by elicitation: done, live"}, c.want...)...)
		})
	}
}
