package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/humantime"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

func createToken() *Tool {
	return &Tool{
		Name:  "create_token",
		Title: "Create a personal access token",
		Description: "Creates a personal access token for the user and brings its value to the person by a road that the assistant " +
			"cannot read; the answer says where the person finds it. The value itself is never in the answer, so do not " +
			"look for it or ask for it. Ask the person how long the token shall live if they have not said.",
		Toolset: ToolsetTokens,
		Effect:  Adds,
		Needs:   []Need{NeedDelivery},
		Parameters: []Parameter{
			{Name: "name", Kind: Text, Required: true, MaxLength: maxNameLength,
				Description: `What the token is for and where it is used, such as "Nightly import - build server". 1 to 100 characters.`},
			{Name: "expires", Kind: Text, Required: true, MaxLength: 64,
				Description: `When it ends: days from now such as "7d" or "30d", an RFC 3339 time with zone, or "never" (only where the operator allows it, and a person agrees).`},
		},
		OutputSchema: json.RawMessage(`{"type":"object","properties":{` +
			`"id":{"type":"string"},"name":{"type":"string"},"prefix":{"type":"string"},` +
			`"created_at":{"type":"string"},` +
			`"expires_at":{"type":"string","description":"Absent: never expires."},` +
			`"delivery":` + receiptSchema +
			`},"required":["id","name","prefix","created_at","delivery"]}`),
		run: runCreateToken,
	}
}

type createdToken struct {
	ID        string  `json:"id"`
	Name      string  `json:"name"`
	Prefix    string  `json:"prefix"`
	CreatedAt string  `json:"created_at"`
	ExpiresAt string  `json:"expires_at,omitempty"`
	Delivery  Receipt `json:"delivery"`
}

// runCreateToken checks everything that can be checked before anything is made,
// and leaves no token behind that nobody holds.
func runCreateToken(ctx context.Context, c *call) (*result, error) {
	name := c.args.text("name")
	if err := checkName(name); err != nil {
		return nil, err
	}
	expires, err := ParseExpires(c.args.text("expires"), c.now)
	if err != nil {
		return nil, err
	}
	if err := c.attempt(AuditEntry{Action: ActionCreate, Name: name, Left: LeftNothing}); err != nil {
		return nil, err
	}
	if err := c.policy.checkLifetime(expires, c.now); err != nil {
		return nil, err
	}
	if err := c.mayChange(); err != nil {
		return nil, err
	}
	if err := c.deliverer.Check(ctx); err != nil {
		return nil, cannotDeliver(err, "no token was made")
	}
	if err := c.decideOnCreation(ctx, name, expires); err != nil {
		return nil, err
	}

	if err := c.countChange(); err != nil {
		return nil, err
	}
	created, receipt, err := c.mint(ctx, client.NewToken{Name: name, ExpiresAt: expires}, c.deliver)
	if err != nil {
		return nil, err
	}
	return createdResult(created, receipt, c.now), nil
}

func createdResult(created *client.CreatedToken, receipt Receipt, now time.Time) *result {
	row := NewTokenRow(&created.Token, now, "")
	answer := createdToken{
		ID: row.ID, Name: row.Name, Prefix: row.Prefix,
		CreatedAt: row.CreatedAt, ExpiresAt: row.ExpiresAt, Delivery: receipt,
	}
	ends := "It never expires."
	if created.ExpiresAt != nil {
		ends = fmt.Sprintf("It expires %s (%s).", humantime.Relative(*created.ExpiresAt, now), row.ExpiresAt)
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
	return &result{structured: answer, text: text}
}

// checkName refuses names that a person could not read later as they were
// written.
func checkName(name string) error {
	const howto = `Give a name that says what the token is for, such as "Nightly import - build server".`
	switch {
	case strings.TrimSpace(name) == "":
		return invalidArgument(`"name" is empty`).next(howto)
	case !utf8.ValidString(name) || !plaintext.Visible(name):
		return invalidArgument(`"name" has characters that cannot be seen (line breaks, control or direction characters)`).next(howto)
	case holdsValue(name):
		return invalidArgument(`"name" holds a token's value, and everybody who lists tokens can read names`).next(howto)
	case strings.TrimSpace(name) != name:
		return invalidArgument(`"name" begins or ends with a space`).next("Leave the outer spaces out.")
	}
	return nil
}

func (p Policy) checkLifetime(expires *time.Time, now time.Time) error {
	shorter := fmt.Sprintf(`Give at most "%dd".`, int(p.MaxTokenLifetime/day))
	if p.MaxTokenLifetime < day {
		shorter = fmt.Sprintf("Give a time at most %s away.", humantime.Span(p.MaxTokenLifetime))
	}
	switch {
	case expires == nil && !p.AllowNeverExpiring:
		return newError(CodeForbidden, "the operator of this server does not allow tokens that never expire").next("%s", shorter)
	case expires != nil && expires.Sub(now) > p.MaxTokenLifetime:
		return newError(CodeForbidden, "the operator of this server allows tokens for at most %s", days(p.MaxTokenLifetime)).
			next("%s", shorter)
	}
	return nil
}

// decideOnCreation asks the person about what a new token brings with it that
// cannot be undone by revoking it.
func (c *call) decideOnCreation(ctx context.Context, name string, expires *time.Time) error {
	lost := ""
	if road, ok := c.deliverer.(Overwriting); ok {
		var err error
		if lost, err = road.Overwrites(ctx); err != nil {
			return cannotDeliver(err, "no token was made")
		}
	}
	var d decision
	switch {
	case expires == nil:
		d = c.neverExpiring(name)
	case lost != "":
		d = c.overwriting(name)
	default:
		return nil
	}
	if lost != "" {
		d.question.Facts = append(d.question.Facts, Fact{"It takes the place of", lost})
	}
	return c.decide(ctx, d)
}

func (c *call) overwriting(name string) decision {
	return decision{
		target:      name,
		fingerprint: digest([]byte(name)),
		question: Question{
			Title:       "Create a kenbun token and put it in the place of another value?",
			Facts:       []Fact{{"Name", strconv.Quote(name)}},
			Consequence: "What stands there now is lost. If it is a token, it is not revoked by this.",
			Agree:       "Create it and overwrite what is there",
			Unchanged:   "no token was made",
		},
		command: "kenbun-mcp tokens create" + c.terminalFlags,
	}
}

func (c *call) neverExpiring(name string) decision {
	return decision{
		target:      name,
		fingerprint: digest([]byte(name)),
		question: Question{
			Title:       "Create a kenbun token that never expires?",
			Facts:       []Fact{{"Name", strconv.Quote(name)}},
			Consequence: "It stays valid until somebody revokes it. A token with an end is safer.",
			Agree:       "Create a token that never expires",
			Unchanged:   "no token was made",
		},
		command: "kenbun-mcp tokens create --expires never" + c.terminalFlags,
	}
}
