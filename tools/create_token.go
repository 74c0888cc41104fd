package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/humantime"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

// revokeTimeout bounds how long a token that reached nobody is tried to be
// revoked, also when the call itself was cancelled meanwhile.
const revokeTimeout = 15 * time.Second

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
			`"delivery":{"type":"object","description":"Where the person finds the value.","properties":{` +
			`"road":{"type":"string"},"where":{"type":"string"},"note":{"type":"string"},` +
			`"value":{"type":"string","description":"Only where the operator chose to deliver inline."}` +
			`},"required":["road","note"]}` +
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
	if err := c.policy.checkLifetime(expires, c.now); err != nil {
		return nil, err
	}
	if err := c.deliverer.Check(ctx); err != nil {
		return nil, cannotDeliver(err, "no token was made")
	}
	if expires == nil {
		if err := c.decide(ctx, c.neverExpiring(name)); err != nil {
			return nil, err
		}
	}

	created, err := c.caller.API.CreateToken(ctx, client.NewToken{Name: name, ExpiresAt: expires})
	if err != nil {
		return nil, creationFailed(err)
	}
	c.logger.Info("token created", "id", created.ID, "prefix", publicPrefix(&created.Token), "road", c.deliverer.Road())

	// What was made is seen through to its end, even if nobody waits any more.
	ctx = context.WithoutCancel(ctx)
	receipt, err := c.deliver(ctx, created)
	if err != nil {
		return nil, c.undelivered(ctx, created, err)
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

func (c *call) neverExpiring(name string) decision {
	return decision{
		target:      name,
		fingerprint: digest([]byte(name)),
		question: fmt.Sprintf("Create a kenbun token that never expires?\n\nName: %q\n\nIt stays valid until somebody revokes it. "+
			"A token with an end is safer.", name),
		agree:     "Create a token that never expires",
		unchanged: "no token was made",
		command:   "kenbun-mcp tokens create --expires never" + c.terminalFlags,
	}
}

// deliver keeps a road that breaks down from leaving the new token behind.
func (c *call) deliver(ctx context.Context, created *client.CreatedToken) (receipt Receipt, err error) {
	defer func() {
		if r := recover(); r != nil {
			c.logger.Error("the road of delivery panicked", "cause", fmt.Sprintf("panic: %v\n%s", r, debug.Stack()))
			err = errors.New("something went wrong on the way to the person")
		}
	}()
	return c.deliverer.Deliver(ctx, c.caller, created)
}

// cannotDeliver tells why no value can reach the person, and what is left.
func cannotDeliver(err error, left string) *Error {
	if e, ok := asError(err); ok {
		return newError(e.Code, "%s; %s", e.Message, left).next("%s", e.Next).because(err)
	}
	return newError(CodeCannotDeliver, "%s; %s", err, left).
		next("The person or the operator has to mend this; then call again.").because(err)
}

// creationFailed tells what is left of a token whose creation did not succeed
// plainly.
func creationFailed(err error) error {
	var outcome *client.CreateError
	if !errors.As(err, &outcome) {
		// A plain refusal, or the request never left.
		e := upstream(err, "create the token")
		e.Message += "; no token was made"
		if e.Code == CodeInvalidArgument {
			e.Next = "Check the name (1 to 100 characters) and the expiry (in the future)."
		}
		return e
	}
	switch outcome.Outcome {
	case client.OutcomeRevoked:
		return newError(CodeUnavailable, "kenbun's answer was lost or not as asked, and with it the token's value; the token was revoked, nothing is left of it").
			next("It is safe to call again.").because(err)
	case client.OutcomeNotCreated:
		return newError(CodeUnavailable, "kenbun did not answer; no token was made").
			next("It is safe to call again.").because(err)
	default:
		e := newError(CodeOutcomeUnknown, "kenbun did not answer, and it cannot be found out whether a token was made").because(err)
		look := fmt.Sprintf("Do not call again. Look with list_tokens for the name %q", shown(outcome.Name, maxNameLength))
		if len(outcome.TokenIDs) > 0 {
			look += " (id " + strings.Join(outcome.TokenIDs, ", ") + ")"
		}
		return e.next("%s; if it is there, nobody holds its value: have it revoked.", look)
	}
}

// undelivered revokes a token whose value reached nobody.
func (c *call) undelivered(ctx context.Context, created *client.CreatedToken, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	if err := c.caller.API.RevokeToken(ctx, created.ID); err != nil {
		c.logger.Error("a token was neither delivered nor revoked", "id", created.ID, "prefix", publicPrefix(&created.Token), "cause", err)
		return newError(CodeOutcomeUnknown, "the token %s (%s) was made, its value could not be delivered (%s), and it could not be revoked: it lives and nobody holds it",
			created.ID, publicPrefix(&created.Token), cause).
			next("Have it revoked: `kenbun-mcp tokens revoke %s%s`.", created.ID, c.terminalFlags).because(errors.Join(cause, err))
	}
	c.logger.Warn("a token could not be delivered and was revoked", "id", created.ID, "prefix", publicPrefix(&created.Token), "cause", cause)
	return cannotDeliver(cause, "the token that was made was revoked at once, nothing is left of it")
}
