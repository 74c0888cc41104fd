package tokens

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/humantime"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/internal/redact"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/audit"
)

func createToken(m *Manager) *tools.Tool {
	return &tools.Tool{
		Name:  "create_token",
		Title: "Create a personal access token",
		Description: "Creates a personal access token for the user and delivers its value to them outside the conversation. " +
			"The answer says where they find it. It never holds the value itself, so do not " +
			"look for it or ask for it. Ask the user how long the token should live if they have not said.",
		Effect: tools.Adds,
		Needs:  []tools.Need{tools.NeedDelivery},
		Parameters: []tools.Parameter{
			{Name: "name", Kind: tools.Text, Required: true, MaxLength: maxNameLength,
				Description: `What the token is for and where it is used, such as "Nightly import - build server". 1 to 100 characters.`},
			{Name: "expires", Kind: tools.Text, Required: true, MaxLength: 64,
				Description: `When it expires: days from now such as "7d" or "30d", an RFC 3339 time with zone, or "never" (only if the operator allows it and the user agrees).`},
			{Name: "valid_from", Kind: tools.Text, MaxLength: 64, Extension: true,
				Description: `When it becomes valid: days from now, an RFC 3339 time with zone, or "now", the default.`},
			{Name: "permissions", Kind: tools.List, MaxLength: tools.MaxPermissionLength, MaxItems: tools.MaxPermissions, Extension: true,
				Description: `What it may do, such as ["read:leads"], from the list that whoami shows, and no more than it needs. Default: what the user's role allows.`},
		},
		OutputSchema: json.RawMessage(`{"type":"object","properties":{` +
			`"id":{"type":"string"},"name":{"type":"string"},"prefix":{"type":"string"},` +
			`"created_at":{"type":"string"},` +
			`"expires_at":{"type":"string","description":"Absent: never expires."},` +
			narrowingSchema + `,` +
			`"delivery":` + receiptSchema +
			`},"required":["id","name","prefix","created_at","delivery"]}`),
		Run: m.run(runCreateToken),
	}
}

type createdToken struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Prefix      string   `json:"prefix"`
	CreatedAt   string   `json:"created_at"`
	ExpiresAt   string   `json:"expires_at,omitempty"`
	ValidFrom   string   `json:"valid_from,omitempty"`
	Permissions []string `json:"permissions,omitzero"`
	Delivery    Receipt  `json:"delivery"`
}

// runCreateToken checks all that can be checked before it creates anything.
func runCreateToken(ctx context.Context, c *call) (*tools.Result, error) {
	want, err := c.wantedToken()
	if err != nil {
		return nil, err
	}
	if err := c.Attempt(audit.Entry{Kind: audit.Token, Action: audit.ActionCreate, Name: want.Name, Left: audit.LeftNothing}); err != nil {
		return nil, err
	}
	if err := checkLifetime(c.Policy(), want.ExpiresAt, c.Now); err != nil {
		return nil, err
	}
	if err := c.grantable(ctx, want.Permissions); err != nil {
		return nil, err
	}
	if err := c.deliverer.Check(ctx); err != nil {
		return nil, cannotDeliver(err, "no token was made")
	}
	if err := c.mayCreate(ctx); err != nil {
		return nil, err
	}
	if ctx, err = c.decideOnCreation(ctx, want); err != nil {
		return nil, err
	}

	if err := c.countCreation(ctx); err != nil {
		return nil, err
	}
	if ctx, err = c.receive(ctx, want); err != nil {
		return nil, err
	}
	defer c.closePickup()
	if err := c.checkCurrent(ctx); err != nil {
		return nil, err
	}
	created, receipt, err := c.mint(ctx, want, c.deliver)
	if err != nil {
		c.thrownAway(ctx, err)
		return nil, err
	}
	return createdResult(created, receipt, c.Now), nil
}

// wantedToken reads the arguments of a token to be made.
func (c *call) wantedToken() (client.NewToken, error) {
	want := client.NewToken{Name: c.Args.Text("name")}
	err := checkName(want.Name)
	if err != nil {
		return want, err
	}
	if want.ExpiresAt, err = ParseExpires(c.Args.Text("expires"), c.Now); err != nil {
		return want, err
	}
	if c.Args.Given("valid_from") {
		if want.ValidFrom, err = ParseValidFrom(c.Args.Text("valid_from"), c.Now); err != nil {
			return want, err
		}
	}
	permissions, err := c.wantedPermissions()
	want.Permissions = permissions.names
	if err != nil {
		return want, err
	}
	return want, startsBeforeExpiry(want.ValidFrom, want.ExpiresAt)
}

// startsBeforeExpiry refuses a token that could never be used.
func startsBeforeExpiry(validFrom, expires *time.Time) error {
	if validFrom != nil && expires != nil && !validFrom.Before(*expires) {
		return tools.InvalidArgument(`"valid_from" is not before the token expires, %s`, tools.Timestamp(expires)).
			Advise("Give an earlier start or a later expiry.")
	}
	return nil
}

func createdResult(created *client.CreatedToken, receipt Receipt, now time.Time) *tools.Result {
	row := NewRow(&created.Token, now, "")
	answer := createdToken{
		ID: row.ID, Name: row.Name, Prefix: row.Prefix,
		CreatedAt: row.CreatedAt, ExpiresAt: row.ExpiresAt, ValidFrom: row.ValidFrom, Permissions: row.Permissions, Delivery: receipt,
	}
	ends := "It never expires."
	if created.ExpiresAt != nil {
		ends = fmt.Sprintf("It expires %s (%s).", humantime.Relative(*created.ExpiresAt, now), row.ExpiresAt)
	}
	if row.Status == string(client.StatusNotYetValid) {
		ends += fmt.Sprintf(" It becomes valid %s (%s).", humantime.Relative(*created.ValidFrom, now), row.ValidFrom)
	}
	if row.Permissions != nil {
		ends += "\npermissions: " + row.PermissionWords()
	}
	text := fmt.Sprintf("Token created.\nid: %s\nname: %s\nprefix: %s\n%s\n%s", row.ID, row.Name, row.Prefix, ends, receipt.Note)
	if receipt.Where != "" {
		text += "\nwhere: " + receipt.Where
	}
	if receipt.Sealed != "" {
		text += "\nsealed:\n" + receipt.Sealed
	}
	if receipt.Value != "" {
		text += "\nvalue: " + receipt.Value
	}
	return &tools.Result{Structured: answer, Text: text}
}

// checkName refuses names that a user could not read later as they were written.
func checkName(name string) error {
	const howto = `Give a name that says what the token is for, such as "Nightly import - build server".`
	unseen, isUnseen := plaintext.FindUnseen(name)
	switch {
	case strings.TrimSpace(name) == "":
		return tools.InvalidArgument(`"name" is empty`).Advise(howto)
	case isUnseen:
		return tools.InvalidArgument(`"name" holds a character that cannot be seen: %v`, unseen).Advise("Leave it out.")
	case redact.Holds(name):
		return tools.InvalidArgument(`"name" holds a token's value, and everybody who lists tokens can read names`).Advise(howto)
	case strings.TrimSpace(name) != name:
		return tools.InvalidArgument(`"name" starts or ends with a space`).Advise("Leave the outer spaces out.")
	}
	return nil
}

func checkLifetime(p tools.Policy, expires *time.Time, now time.Time) error {
	shorter := fmt.Sprintf(`Give at most "%dd".`, int(p.MaxTokenLifetime/day))
	if p.MaxTokenLifetime < day {
		shorter = fmt.Sprintf("Give a time at most %s away.", humantime.Span(p.MaxTokenLifetime))
	}
	switch {
	case expires != nil && expires.Sub(now) < p.MinTokenLifetime:
		return tools.InvalidArgument(`"expires" is less than %s away; a token lives for at least that long`, humantime.Span(p.MinTokenLifetime)).
			Advise("Give a later time, or use a token that is there already.")
	case expires == nil && !p.AllowNeverExpiring:
		return tools.NewError(tools.CodeForbidden, "the operator of this server does not allow tokens that never expire").Advise("%s", shorter)
	case expires != nil && expires.Sub(now) > p.MaxTokenLifetime:
		return tools.NewError(tools.CodeForbidden, "the operator of this server allows tokens for at most %s", humantime.Days(p.MaxTokenLifetime)).
			Advise("%s", shorter)
	}
	return nil
}

// decideOnCreation asks the user about effects of a new token that revoking it does not
// undo.
func (c *call) decideOnCreation(ctx context.Context, want client.NewToken) (context.Context, error) {
	if err := c.lookAtCurrent(ctx); err != nil {
		return nil, cannotDeliver(err, "no token was made")
	}
	asks := true
	var d approval.Decision
	switch {
	case want.ExpiresAt == nil:
		d = c.asking(want, "Create a kenbun token that never expires?",
			"It stays valid until somebody revokes it. A token that expires is safer.", "Create a token that never expires")
	case c.overwrites():
		d = c.asking(want, "Create a kenbun token and put it in the place of another value?",
			"What stands there now is lost. If it is a token, it is not revoked by this.", "Create it and overwrite what is there")
	default:
		// It needs no question. The user may have thrown the last one away.
		d = newTokenDecision("")
		asks = false
	}
	return c.permit(ctx, c.withCurrent(d), asks)
}

// newTokenFacts are what a user should know of a token that is not there yet.
func newTokenFacts(want client.NewToken, now time.Time) []approval.Fact {
	facts := []approval.Fact{approval.NameFact("Name", want.Name)}
	if want.ValidFrom != nil {
		facts = append(facts, approval.Fact{Label: "Valid from", Value: humantime.Relative(*want.ValidFrom, now)})
	}
	if want.Permissions != nil {
		facts = append(facts, approval.Fact{Label: "Permissions", Value: tools.PermissionWords(want.Permissions), Outside: true})
	}
	return facts
}

// newTokenSubject is the subject of every question about a token that does not exist yet.
const newTokenSubject = "a new token"

// makeInKenbun is how a user makes a token without the assistant.
const makeInKenbun = "make one in kenbun under Settings > Integrations > Personal Tokens"

// newTokenDecision is the decision about a new token, without a question.
func newTokenDecision(name string) approval.Decision {
	return approval.Decision{
		Kind: audit.Token, Target: name, Subject: newTokenSubject,
		Question: approval.Question{Unchanged: "no token was made"}, Instead: makeInKenbun,
	}
}

// asking returns the decision about a new token that needs a question.
func (c *call) asking(want client.NewToken, title, consequence, agree string) approval.Decision {
	d := newTokenDecision(want.Name)
	d.Fingerprint = tools.Digest([]byte(want.Name))
	d.Question = approval.Question{
		Title: title, Facts: newTokenFacts(want, c.Now), Consequence: consequence, Agree: agree, Unchanged: d.Question.Unchanged,
	}
	return d
}
