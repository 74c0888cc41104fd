package tokens

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/humantime"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/audit"
)

func rotateToken(m *Manager) *tools.Tool {
	return &tools.Tool{
		Name:  "rotate_token",
		Title: "Rotate a personal access token",
		Description: "Replaces one of the user's tokens with a new one of the same name: creates it, delivers it to the user outside the conversation, " +
			"checks that it works, and only then revokes the old one. The user is asked first. If a step fails, the old token still works and " +
			"the answer says what was done. If the token is the one that the server itself uses, the server switches to the new one where it can.",
		Effect: tools.Replaces,
		Needs:  []tools.Need{tools.NeedDelivery, tools.NeedDecision},
		Parameters: []tools.Parameter{
			{Name: "id", Kind: tools.Text, Required: true, MaxLength: 64,
				Description: "The id of the token to replace, from list_tokens."},
			{Name: "expires", Kind: tools.Text, MaxLength: 64,
				Description: `When the new one expires, as in create_token. Default: the lifetime that the old one was created with.`},
		},
		OutputSchema: json.RawMessage(`{"type":"object","properties":{` +
			`"id":{"type":"string"},"name":{"type":"string"},"prefix":{"type":"string"},` +
			`"created_at":{"type":"string"},"expires_at":{"type":"string","description":"Absent: never expires."},` +
			narrowingSchema + `,` +
			`"delivery":` + receiptSchema + `,` +
			`"replaced":{"type":"object","description":"The old token.","properties":{"id":{"type":"string"},"prefix":{"type":"string"},` +
			`"status":{"type":"string","enum":["revoked","active","unknown"]}},"required":["id","prefix","status"]},` +
			`"next":{"type":"string","description":"What the user still has to do."}` +
			`},"required":["id","name","prefix","created_at","delivery","replaced"]}`),
		Run: m.run(runRotateToken),
	}
}

type rotatedToken struct {
	createdToken
	Replaced replacedToken `json:"replaced"`
	Next     string        `json:"next,omitempty"`
}

type replacedToken struct {
	ID     string `json:"id"`
	Prefix string `json:"prefix"`
	Status string `json:"status"`
}

// runRotateToken revokes the old token last, so that the user always has one that works.
func runRotateToken(ctx context.Context, c *call) (*tools.Result, error) {
	id := c.Args.Text("id")
	if err := CheckID(id); err != nil {
		return nil, err
	}
	if err := c.Attempt(audit.Entry{Kind: audit.Token, Action: audit.ActionCreate, Replaces: unknownID(id), Left: audit.LeftNothing}); err != nil {
		return nil, err
	}
	old, err := c.rotatable(ctx, id)
	if err != nil {
		return nil, err
	}
	c.Trail.Step.Replaces, c.Trail.Step.Name = old.ID, old.Name
	expires, err := c.successorExpiry(old)
	if err != nil {
		return nil, err
	}
	handOver, inPlace, keepsOld, err := c.methodFor(ctx, old)
	if err != nil {
		return nil, err
	}
	if err := c.mayCreate(ctx); err != nil {
		return nil, err
	}
	if !inPlace {
		if err := c.lookAtCurrent(ctx); err != nil {
			return nil, cannotDeliver(err, "no token was made, and the old one works as before")
		}
	}
	if ctx, err = c.decide(ctx, c.withCurrent(c.rotation(old, expires, inPlace, keepsOld || awaits(c.deliverer)))); err != nil {
		return nil, err
	}
	if err := c.countCreation(ctx); err != nil {
		return nil, err
	}
	want := client.NewToken{
		Name: keptName(old.Name), ExpiresAt: expires, ValidFrom: futureStart(old, c.Now), Permissions: old.Permissions,
	}
	if !inPlace {
		if ctx, err = c.receive(ctx, want); err != nil {
			return nil, err
		}
		defer c.closePickup()
	}

	release, err := c.rotations.Lock(ctx, c.Caller.ID+" "+id)
	if err != nil {
		return nil, err
	}
	defer release()
	// The user may have taken minutes, and another rotation may have come first.
	asked := tokenFingerprint(old)
	if old, err = c.rotatable(ctx, id); err != nil {
		return nil, err
	}
	if tokenFingerprint(old) != asked {
		return nil, tools.NewError(tools.CodeDeclined, "the token was changed after the user was asked; it was not rotated").
			Advise("Call the tool again; the user is asked again.")
	}
	if err := c.checkCurrent(ctx); err != nil {
		return nil, err
	}
	created, receipt, err := c.mint(ctx, want, handOver)
	if err != nil {
		return nil, err
	}
	// What was begun is brought to its end, even if nobody waits any more.
	return c.retire(context.WithoutCancel(ctx), old, created, receipt, keepsOld)
}

// keptName returns the old token's name, or its shown form if no new token may have that
// name.
func keptName(old string) string {
	if checkName(old) == nil {
		return old
	}
	return tools.Shown(old, maxNameLength)
}

// rotatable finds a token that can be rotated.
func (c *call) rotatable(ctx context.Context, id string) (*client.Token, error) {
	token, err := c.token(ctx, id)
	if err != nil {
		return nil, err
	}
	if status := token.Status(c.Now); status == client.StatusRevoked || status == client.StatusExpired {
		return nil, tools.InvalidArgument("the token %s is %s already; nothing was made", publicPrefix(token), status).
			Advise("Make a new one with create_token if it is still needed.")
	}
	return token, nil
}

// successorExpiry is what was asked for, or the lifetime of the old token again.
func (c *call) successorExpiry(old *client.Token) (*time.Time, error) {
	var expires *time.Time
	if asked := c.Args.Text("expires"); asked != "" {
		at, err := ParseExpires(asked, c.Now)
		if err != nil {
			return nil, err
		}
		expires = at
	} else if old.ExpiresAt != nil {
		at := c.Now.Add(old.ExpiresAt.Sub(old.CreatedAt)).UTC().Truncate(time.Second)
		expires = &at
	}
	if err := checkLifetime(c.Policy(), expires, c.Now); err != nil {
		var limit *tools.Error
		if errors.As(err, &limit) && c.Args.Text("expires") == "" {
			limit.Message += fmt.Sprintf(", and the token %s was made for longer; nothing was made", publicPrefix(old))
		}
		return nil, err
	}
	return expires, startsBeforeExpiry(futureStart(old, c.Now), expires)
}

// methodFor returns how the new token gets to where the old one is used. keepsOld means that
// the old one must stay: the server or the client runs on it, and only the user can replace
// it. inPlace means that the new one goes where the old one is kept, and not to the user.
func (c *call) methodFor(ctx context.Context, old *client.Token) (_ handOver, inPlace, keepsOld bool, _ error) {
	if c.inUse(old) && c.keeper != nil {
		if _, err := c.keeper.Replaceable(ctx); err == nil {
			return func(ctx context.Context, created *client.CreatedToken) (Receipt, error) {
				return c.switchOver(ctx, old, created)
			}, true, false, nil
		}
	}
	if err := c.deliverer.Check(ctx); err != nil {
		return nil, false, false, cannotDeliver(err, "no token was made, and the old one works as before")
	}
	return func(ctx context.Context, created *client.CreatedToken) (Receipt, error) {
		if err := c.prove(ctx, old, created); err != nil {
			return Receipt{}, err
		}
		return c.deliver(ctx, created)
	}, false, c.inUse(old), nil
}

// methodInPlace names the way of a token that takes the place of the one in use.
const methodInPlace = "in place"

// prove checks that the new token does what the old one did. One that is valid only later
// cannot be tried.
func (c *call) prove(ctx context.Context, old *client.Token, created *client.CreatedToken) error {
	if narrowing(created.Permissions) != narrowing(old.Permissions) {
		// The caller's own token may be narrowed, and then makes none that is not.
		return errors.New("the new token has fewer permissions than the old one, since the token in use here has; the old one works as before")
	}
	if futureStart(&created.Token, c.Now) != nil {
		return nil
	}
	api := c.Caller.With(created.Value)
	// Not the list of tokens first: that may be asked for with another credential.
	_, err := api.OrgUnits(ctx)
	if !client.AcceptsToken(err) {
		_, err = api.Me(ctx)
	}
	if client.AcceptsToken(err) {
		return nil
	}
	c.Log.Warn("a new token does not work", "id", created.ID, "cause", err)
	return errors.New("the new token does not work; the old one works as before")
}

// switchOver replaces the token in use where it is kept, so that the server goes on with the
// new one.
func (c *call) switchOver(ctx context.Context, old *client.Token, created *client.CreatedToken) (Receipt, error) {
	if err := c.prove(ctx, old, created); err != nil {
		return Receipt{}, err
	}
	c.Trail.Step.Method = methodInPlace
	place, err := c.keeper.Replace(ctx, created.Value)
	if err != nil {
		return Receipt{}, fmt.Errorf("the new token could not be put in the old one's place; the old one works as before: %w", err)
	}
	c.TokenReplaced(ctx)
	return Receipt{
		Method: methodInPlace,
		Where:  place,
		Note:   "The server goes on with the new token, which is kept where the old one was.",
	}, nil
}

// retire ends the old token, now that the new one is where it belongs and works.
func (c *call) retire(ctx context.Context, old *client.Token, created *client.CreatedToken, receipt Receipt, keepsOld bool) (*tools.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	if keepsOld {
		return c.rotatedResult(old, created, receipt, client.StatusActive, fmt.Sprintf(
			"The old token is the one in use here (from %s), so that it was not revoked. The user puts the new one in its place, "+
				"restarts what uses it, and then runs `kenbun-mcp tokens revoke %s%s` with the new one.",
			c.Caller.TokenSource, old.ID, c.TerminalFlags())), nil
	}
	// A value that stands in the answer alone is lost if nobody comes for the answer.
	if receipt.Pending || receipt.onlyInAnswer() && !c.Attended() {
		return c.rotatedResult(old, created, receipt, client.StatusActive, fmt.Sprintf(
			"The old token goes on working until the user has picked up the new one and put it in its place. They revoke it then: `kenbun-mcp tokens revoke %s%s`.",
			old.ID, c.TerminalFlags())), nil
	}
	c.Trail.Next(audit.ActionRevoke, old.ID)
	c.Trail.Step.Because = audit.ReasonRotated
	undo := c.Undo
	// Once the old one may be gone, the new one stays.
	c.Undo = nil
	err := c.successor(old, created).RevokeToken(ctx, old.ID)
	c.revoked(err)
	var unknown *client.RevokeError
	switch {
	case errors.As(err, &unknown):
		c.Log.Error("it is not certain that the old token of a rotation is revoked", "old", old.ID, "new", created.ID, "cause", err)
		status := statusUnknown
		if unknown.Live {
			status = client.StatusActive
		}
		return c.rotatedResult(old, created, receipt, status, fmt.Sprintf(
			"The new token is delivered and works. It is not certain that the old one is revoked: %s. Do not say that it is. The user looks at it and revokes it: `kenbun-mcp tokens revoke %s%s`.",
			whatIsListed(unknown), old.ID, c.TerminalFlags())), nil
	case err == nil:
		c.Log.Info("token rotated", "old", old.ID, "new", created.ID)
		return c.rotatedResult(old, created, receipt, client.StatusRevoked, ""), nil
	case errors.Is(err, client.ErrNotFound):
		if receipt.Method == methodInPlace {
			// The server runs on the new token: revoking it would leave none.
			return c.rotatedResult(old, created, receipt, client.StatusRevoked,
				"The old token was revoked by somebody else meanwhile, perhaps by another rotation: look with list_tokens whether there is another new one that nobody needs."), nil
		}
		// Another rotation may have been faster. One successor is enough, and theirs is in
		// use already.
		return nil, c.overtaken(ctx, old, created)
	default:
		c.Undo = undo
		c.Log.Error("the old token of a rotation could not be revoked", "old", old.ID, "new", created.ID, "cause", err)
		return c.rotatedResult(old, created, receipt, client.StatusActive, fmt.Sprintf(
			"The new token is delivered and works, but the old one could not be revoked and works too. The user revokes it: `kenbun-mcp tokens revoke %s%s`.",
			old.ID, c.TerminalFlags())), nil
	}
}

// statusUnknown is the status of an old token that may or may not be revoked.
const statusUnknown client.Status = "unknown"

// successor returns the API with a token that outlives the old one.
func (c *call) successor(old *client.Token, created *client.CreatedToken) *client.Caller {
	if c.inUse(old) || created.Permissions == nil && futureStart(&created.Token, c.Now) == nil {
		return c.Caller.With(created.Value)
	}
	// It may not look after tokens, or not yet.
	return c.Caller.API
}

func (c *call) overtaken(ctx context.Context, old *client.Token, created *client.CreatedToken) error {
	// The old token, which the caller may run on, is dead.
	if err := c.takeBack(ctx, c.successor(old, created), created, audit.ReasonOvertaken); err != nil {
		return tools.NewError(tools.CodeOutcomeUnknown, "the token %s was revoked by somebody else meanwhile; the new one, %s (%s), was made all the same, and it is not certain that it is revoked",
			publicPrefix(old), created.ID, publicPrefix(&created.Token)).
			Advise("Ask the user whether it is needed; if not: `kenbun-mcp tokens revoke %s%s`.", created.ID, c.TerminalFlags()).Because(err)
	}
	return tools.NewError(tools.CodeDeclined, "the token %s was revoked by somebody else meanwhile, perhaps by another rotation; the new one of this call was revoked, and what was delivered does not work",
		publicPrefix(old)).Advise("Look with list_tokens what is there.")
}

func (c *call) rotatedResult(old *client.Token, created *client.CreatedToken, receipt Receipt, oldStatus client.Status, next string) *tools.Result {
	made := createdResult(created, receipt, c.Now)
	answer := rotatedToken{
		createdToken: made.Structured.(createdToken),
		Replaced:     replacedToken{ID: old.ID, Prefix: publicPrefix(old), Status: string(oldStatus)},
		Next:         next,
	}
	text := made.Text + fmt.Sprintf("\nreplaces: %s, now %s", answer.Replaced.Prefix, oldStatus)
	if next != "" {
		text += "\nnext: " + next
	}
	return &tools.Result{Structured: answer, Text: text}
}

func (c *call) rotation(old *client.Token, expires *time.Time, inPlace, keepsOld bool) approval.Decision {
	question := rotateQuestion(old, expires, c.Now, c.Caller.TokenPrefix)
	switch {
	case inPlace:
		question.Consequence = "A new token is made and kept where the old one is, and this server goes on with it. Then the old one is revoked: whatever else uses it loses access. This cannot be undone."
	case keepsOld:
		question.Consequence = "A new token is made and delivered to you. The old one keeps working until you have put the new one in its place and revoke it."
	}
	return approval.Decision{
		Kind:        audit.Token,
		Target:      old.ID,
		Fingerprint: tokenFingerprint(old),
		Question:    question,
		Instead:     makeInKenbun + ", put it in the place of the old one, and revoke that there",
	}
}

// rotateQuestion returns the question whether to replace token by one that expires at
// expires (nil: never). prefixInUse is the public part of the caller's token.
func rotateQuestion(token *client.Token, expires *time.Time, now time.Time, prefixInUse string) approval.Question {
	row := NewRow(token, now, prefixInUse)
	ends := "never"
	if expires != nil {
		ends = humantime.Relative(*expires, now)
	}
	return approval.Question{
		Title:       "Replace this kenbun token with a new one?",
		Facts:       append(tokenFacts(token, row, now), approval.Fact{Label: "The new one expires", Value: ends}),
		Consequence: "The new token is delivered to you. Then the old one is revoked. Whatever still uses it loses access. This cannot be undone.",
		Agree:       "Rotate " + row.Prefix,
		Unchanged:   "the token was not rotated",
	}
}
