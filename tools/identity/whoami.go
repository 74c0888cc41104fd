// Package identity is the toolset that shows which user the calls act as.
package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/humantime"
	"github.com/kenbun/kenbun-mcp/tools"
)

// warnDays is how many days before its expiry whoami warns about the token in use.
const warnDays = 7

// maxShownUnits is how many organizational units are shown.
const maxShownUnits = 50

// Toolset returns the toolset. notices, if not nil, returns further messages for the caller.
func Toolset(notices func(context.Context, *tools.Call) []string) *tools.Toolset {
	return &tools.Toolset{
		Name:        "identity",
		Aliases:     []string{"account"},
		Description: "Show the current user and token.",
		Tools:       []*tools.Tool{whoami(notices)},
		Instructions: []tools.Instruction{
			{Tool: "whoami", Text: "Call whoami first when it matters who the user is, and when a call is refused."},
		},
	}
}

func whoami(notices func(context.Context, *tools.Call) []string) *tools.Tool {
	return &tools.Tool{
		Name:  "whoami",
		Title: "Show the current kenbun user",
		Description: "Shows which kenbun user you are acting as, their role and organizational units, and the token in use: " +
			"prefix, name and expiry. Use it first, and when a call is refused.",
		Effect: tools.Reads,
		OutputSchema: json.RawMessage(`{"type":"object","properties":{` +
			`"user":{"type":"object","properties":{"id":{"type":"string"},"name":{"type":"string"},"email":{"type":"string"},"role":{"type":"string"}}},` +
			`"org_units":{"type":"array","items":{"type":"object","properties":{"id":{"type":"string"},"name":{"type":"string"},"is_default":{"type":"boolean"}},"required":["id","name"]}},` +
			`"token":{"type":"object","properties":{"id":{"type":"string"},"name":{"type":"string"},"prefix":{"type":"string"},"status":{"type":"string"},` +
			`"expires_at":{"type":"string","description":"Absent: never expires, or not known."},"days_left":{"type":"integer"},` +
			`"valid_from":{"type":"string"},"permissions":{"type":"array","items":{"type":"string"}},"source":{"type":"string"}}},` +
			`"api":{"type":"string"},"limits":{"type":"string","description":"What the operator allows at most."},` +
			`"warnings":{"type":"array","items":{"type":"string"}}` +
			`},"required":["token","api","limits"]}`),
		Run: func(ctx context.Context, c *tools.Call) (*tools.Result, error) {
			who, err := Identify(ctx, c.Caller, c.APIAddress(), c.Now)
			if err != nil {
				return nil, err
			}
			who.Limits = limits(c)
			if notices != nil {
				who.Warnings = append(who.Warnings, notices(ctx, c)...)
			}
			return &tools.Result{Structured: who, Text: who.Text(c.Now)}, nil
		},
	}
}

// Identity is the user that calls act as. Text from outside is cleaned.
type Identity struct {
	User     *identityUser  `json:"user,omitempty"`
	OrgUnits []identityUnit `json:"org_units,omitempty"`
	Token    identityToken  `json:"token"`
	API      string         `json:"api"`
	// Limits is what the operator allows at most; empty where nobody limits.
	Limits   string   `json:"limits,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

type identityUser struct {
	ID    string `json:"id,omitempty"`
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
	Role  string `json:"role,omitempty"`
}

type identityUnit struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	IsDefault bool   `json:"is_default,omitempty"`
}

type identityToken struct {
	ID          string   `json:"id,omitempty"`
	Name        string   `json:"name,omitempty"`
	Prefix      string   `json:"prefix,omitempty"`
	Status      string   `json:"status,omitempty"`
	ExpiresAt   string   `json:"expires_at,omitempty"`
	DaysLeft    *int     `json:"days_left,omitempty"`
	ValidFrom   string   `json:"valid_from,omitempty"`
	Permissions []string `json:"permissions,omitzero"`
	Source      string   `json:"source,omitempty"`
}

// Identify collects what the API at address says about caller. If GET /me refuses a PAT
// (kenbun documents it for sessions), the token's own row in the list has to do.
func Identify(ctx context.Context, caller tools.Caller, address string, now time.Time) (*Identity, error) {
	var (
		me                         *client.Me
		token                      *client.Token
		units                      []client.OrgUnit
		meErr, tokensErr, unitsErr error
		asking                     sync.WaitGroup
	)
	asking.Go(func() { me, meErr = caller.API.Me(ctx) })
	asking.Go(func() { token, tokensErr = tokenInUse(ctx, caller) })
	asking.Go(func() { units, unitsErr = caller.API.OrgUnits(ctx) })
	asking.Wait()

	if meErr != nil && tokensErr != nil {
		// Neither says who this is. The list's error is about the token itself, unless the
		// API was out of reach for the other.
		if errors.Is(meErr, client.ErrUnavailable) {
			tokensErr = meErr
		}
		return nil, tools.Upstream(tokensErr, "find out who the user is")
	}
	who := &Identity{
		Token: identityToken{Prefix: caller.TokenPrefix, Source: caller.TokenSource},
		API:   address,
	}
	who.describeUser(me, meErr)
	if unitsErr != nil && !refusedByKenbun(unitsErr) {
		who.Warnings = append(who.Warnings, notTold(unitsErr, "", "the organizational units could not be looked at")+".")
	}
	if unitsErr == nil {
		for _, unit := range units[:min(len(units), maxShownUnits)] {
			who.OrgUnits = append(who.OrgUnits, identityUnit{
				ID: tools.Shown(unit.ID, 64), Name: tools.Shown(unit.Name, 100), IsDefault: unit.IsDefault,
			})
		}
		if left := len(units) - len(who.OrgUnits); left > 0 {
			who.Warnings = append(who.Warnings, fmt.Sprintf("The user belongs to %d more organizational units, which are not shown.", left))
		}
	}
	who.describeToken(token, tokensErr, now)
	return who, nil
}

func (who *Identity) describeUser(me *client.Me, err error) {
	if err != nil {
		who.Warnings = append(who.Warnings, notTold(err, "kenbun did not tell this token who its user is", "it could not be found out who its user is")+"; the calls still run as that user.")
		return
	}
	who.User = &identityUser{
		ID:    tools.Shown(me.OrgMemberID, 64),
		Name:  tools.Shown(me.FirstName+" "+me.LastName, 100),
		Email: tools.Shown(me.Email, 200),
		Role:  tools.Shown(me.Role, 64),
	}
	// These count now: the token may be narrowed, and its user's role may hold less by now.
	who.Token.Permissions = tools.ShownPermissions(me.Permissions, tools.MaxPermissions)
}

// notTold says why something is not known: refused if kenbun itself refused, otherwise
// unasked with the cause.
func notTold(err error, refused, unasked string) string {
	if refusedByKenbun(err) {
		return refused
	}
	var api *client.Error
	_ = errors.As(err, &api) // it is one, or kenbun would have refused
	text := unasked + " (" + api.Reason
	if said := tools.SaidBy(api); said != "" {
		text += "; " + said
	}
	return text + ")"
}

// refusedByKenbun reports whether err is kenbun's own permanent refusal. An error without a
// cause counts as one.
func refusedByKenbun(err error) bool {
	var api *client.Error
	return !errors.As(err, &api) || api.Cause == client.CauseAPI && !errors.Is(err, client.ErrUnavailable) && !errors.Is(err, client.ErrRateLimited)
}

// tokenInUse finds the token that caller runs on, nil if the list has none such.
func tokenInUse(ctx context.Context, caller tools.Caller) (*client.Token, error) {
	var found *client.Token
	err := caller.API.ReadTokens(ctx, func() func(*client.Token) {
		found = nil
		return func(token *client.Token) {
			if found == nil && caller.TokenPrefix != "" && strings.HasPrefix(token.Prefix, caller.TokenPrefix) {
				found = token
			}
		}
	})
	return found, err
}

func (who *Identity) describeToken(token *client.Token, err error, now time.Time) {
	if err != nil {
		who.Warnings = append(who.Warnings, notTold(err, "kenbun did not let this token look at the user's tokens", "the user's tokens could not be looked at")+", so its name and expiry are not known.")
		return
	}
	if token == nil {
		return
	}
	status := token.Status(now)
	who.Token.ID, who.Token.Name, who.Token.Status = tools.Shown(token.ID, 64), tools.Shown(token.Name, 100), string(status)
	who.Token.ExpiresAt, who.Token.ValidFrom = tools.Timestamp(token.ExpiresAt), tools.Timestamp(token.ValidFrom)
	if who.Token.Permissions == nil {
		who.Token.Permissions = tools.ShownPermissions(token.Permissions, tools.MaxPermissions)
	}
	if status != client.StatusActive {
		who.Warnings = append(who.Warnings, "The token in use is "+string(status)+".")
	}
	if at := token.ExpiresAt; at != nil && at.After(now) {
		left := daysLeft(*at, now)
		who.Token.DaysLeft = &left
		if left <= warnDays {
			who.Warnings = append(who.Warnings, fmt.Sprintf("The token in use expires %s.", humantime.Relative(*at, now)))
		}
	}
}

// Text is the identity in lines for a user.
func (who *Identity) Text(now time.Time) string {
	var b strings.Builder
	if u := who.User; u != nil {
		fmt.Fprintf(&b, "user: %s\nemail: %s\nrole: %s\n", u.Name, u.Email, u.Role)
	} else {
		b.WriteString("user: not known\n")
	}
	for _, unit := range who.OrgUnits {
		fmt.Fprintf(&b, "org unit: %s (%s)", unit.Name, unit.ID)
		if unit.IsDefault {
			b.WriteString(", default")
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "token: %s", who.Token.Prefix)
	if who.Token.Name != "" {
		expires := "never"
		if who.Token.ExpiresAt != "" {
			expires = tools.ShortTime(who.Token.ExpiresAt, now)
		}
		fmt.Fprintf(&b, "\ntoken name: %s\ntoken expires: %s", who.Token.Name, expires)
	}
	if who.Token.Permissions != nil {
		b.WriteString("\ntoken permissions: " + tools.PermissionWords(who.Token.Permissions))
	}
	fmt.Fprintf(&b, "\napi: %s", who.API)
	if who.Limits != "" {
		b.WriteString("\nlimits: " + who.Limits)
	}
	for _, warning := range who.Warnings {
		b.WriteString("\nwarning: " + warning)
	}
	return b.String()
}

// daysLeft counts started days until at: a token that expires in an hour has one.
func daysLeft(at, now time.Time) int {
	return int(math.Ceil(at.Sub(now).Hours() / 24))
}

// limits says in a line what the operator allows at most.
func limits(c *tools.Call) string {
	p := c.Policy()
	deciding := "revoking"
	if slices.ContainsFunc(tools.Tools(c.Toolsets()), func(t *tools.Tool) bool { return t.HasNeed(tools.NeedDecisionToWiden) }) {
		deciding = "revoking and widening"
	}
	parts := []string{"tokens live at most " + humantime.Days(p.MaxTokenLifetime)}
	if p.ReadOnly {
		parts = append([]string{"read only"}, parts...)
	}
	if p.AllowNeverExpiring {
		parts = append(parts, "tokens that never expire only if the user agrees")
	} else {
		parts = append(parts, "no tokens that never expire")
	}
	switch p.Approval {
	case tools.ApprovalAsk:
		parts = append(parts, "the user decides about "+deciding)
	case tools.ApprovalClient:
		parts = append(parts, "the client decides about "+deciding)
	case tools.ApprovalDeny:
		parts = append(parts, "no "+deciding)
	}
	if p.MaxChangesPerMinute > 0 {
		parts = append(parts, fmt.Sprintf("at most %d changes a minute", p.MaxChangesPerMinute))
	}
	if p.MaxTokensPerDay > 0 {
		parts = append(parts, fmt.Sprintf("at most %d new tokens in 24 hours", p.MaxTokensPerDay))
	}
	if p.AllowSelfRevoke {
		parts = append(parts, "the token in use may be revoked")
	}
	var off []string
	for _, set := range c.Toolsets() {
		for _, tool := range set.Tools {
			if !p.Offers(set, tool) {
				off = append(off, tool.Name)
			}
		}
	}
	if len(off) > 0 {
		parts = append(parts, "not on offer: "+strings.Join(off, ", "))
	}
	if p.FromFile {
		parts = append(parts, "a policy file of this machine applies")
	}
	return strings.Join(parts, "; ")
}
