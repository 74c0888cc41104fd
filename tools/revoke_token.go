package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/humantime"
	"github.com/kenbun/kenbun-mcp/internal/redact"
)

func revokeToken() *Tool {
	return &Tool{
		Name:  "revoke_token",
		Title: "Revoke a personal access token",
		Description: "Revokes one of the user's tokens: whatever uses it loses access at once, for good. The person is asked first and " +
			"decides; no argument can stand for that. Find the id with list_tokens.",
		Toolset: ToolsetTokens,
		Effect:  Destroys,
		Needs:   []Need{NeedDecision},
		Parameters: []Parameter{
			{Name: "id", Kind: Text, Required: true, MaxLength: 64,
				Description: "The token's id from list_tokens; not its name and not its value."},
		},
		OutputSchema: json.RawMessage(`{"type":"object","properties":{` +
			`"id":{"type":"string"},"name":{"type":"string"},"prefix":{"type":"string"},` +
			`"outcome":{"type":"string","enum":["revoked","already_revoked"]}` +
			`},"required":["id","name","prefix","outcome"]}`),
		run: runRevokeToken,
	}
}

type revokedToken struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Prefix  string `json:"prefix"`
	Outcome string `json:"outcome"`
}

func runRevokeToken(ctx context.Context, c *call) (*result, error) {
	id := c.args.text("id")
	if err := CheckTokenID(id); err != nil {
		return nil, err
	}
	if err := c.attempt(AuditEntry{Action: ActionRevoke, Target: unknownID(id), Left: LeftUnknown}); err != nil {
		return nil, err
	}
	token, unread, err := c.tokenToRevoke(ctx, id)
	if err != nil {
		return nil, err
	}
	if token.RevokedAt != nil {
		c.acted(OutcomeUnchanged, LeftRevoked)
		return revokedResult(token, c.now, "already_revoked"), nil
	}
	if err := c.mayRevoke(token, unread); err != nil {
		return nil, err
	}
	if err := c.mayChange(ctx); err != nil {
		return nil, err
	}
	d := c.revocation(token)
	if unread {
		d = c.revocationUnseen(id)
	}
	if ctx, err = c.decide(ctx, d); err != nil {
		return nil, err
	}

	if !unread {
		// The person may have thought for minutes: what is revoked must still be
		// what was shown.
		asked := tokenFingerprint(token)
		now, gone, err := c.tokenToRevoke(ctx, id)
		switch {
		case gone || isRateLimited(err): // the list is; the token was seen, and no id is given to another
		case err != nil:
			return nil, err
		case now.RevokedAt != nil:
			c.acted(OutcomeUnchanged, LeftRevoked)
			return revokedResult(now, c.now, "already_revoked"), nil
		case tokenFingerprint(now) != asked:
			return nil, newError(CodeDeclined, "the token was changed after the person was asked; it was not revoked").
				next("Call the tool again; the person is asked anew.")
		}
	}
	if err := c.countChange(ctx); err != nil {
		return nil, err
	}
	c.inDoubt()
	err = c.caller.API.RevokeToken(ctx, id)
	c.revoked(err)
	switch {
	case errors.Is(err, client.ErrNotFound) && unread:
		return nil, tokenNotFound().because(err)
	case errors.Is(err, client.ErrNotFound):
		// It was alive a moment ago: somebody else revoked it.
		return revokedResult(token, c.now, "already_revoked"), nil
	case err != nil:
		return nil, c.notRevoked(err, token)
	}
	c.logger.Info("token revoked", "id", id, "prefix", publicPrefix(token))
	return revokedResult(token, c.now, "revoked"), nil
}

// lookTimeout bounds how long a revocation waits for the list, which only tells
// what the token is.
const lookTimeout = 10 * time.Second

// tokenToRevoke finds the token id. A token that has to be revoked does not wait
// for a list that fails, is out of bounds or slow: unread reports that nothing
// but the id is known. Where the API is asked too often it waits: the model could
// bring that about, and the user would decide about a token that they are not shown.
func (c *call) tokenToRevoke(ctx context.Context, id string) (token *client.Token, unread bool, err error) {
	looking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	token, err = c.token(looking, id)
	if err == nil {
		c.about(token)
		return token, false, nil
	}
	if failed, ok := asError(err); ok && ctx.Err() == nil {
		switch failed.Code {
		case CodeUnavailable, CodeForbidden:
			c.logger.Warn("a token is revoked without a look at it", "id", id, "cause", err)
			return &client.Token{ID: id}, true, nil
		case CodeRateLimited:
			failed.Message += "; the token was not revoked"
			failed.Next = fmt.Sprintf("Wait, then call again. If it cannot wait, the user can revoke it in kenbun under Settings > Integrations > Personal Tokens.%s", noNewToken)
			return nil, false, failed
		}
	}
	return nil, false, err
}

func isRateLimited(err error) bool {
	e, ok := asError(err)
	return ok && e.Code == CodeRateLimited
}

// mayRevoke keeps the token in use from being revoked where the operator does
// not allow it. Of a token that could not be looked at, the person is told that
// it may be the one in use, and decides.
func (c *call) mayRevoke(token *client.Token, unread bool) error {
	if c.policy.AllowSelfRevoke {
		return nil
	}
	const howto = "If the person wants it gone: `kenbun-mcp tokens revoke %s%s` in a terminal."
	switch {
	case !unread && c.inUse(token):
		return newError(CodeForbidden, "%s; it was not revoked", c.ownToken(token)).
			next(howto, token.ID, c.terminalFlags)
	case unread && c.policy.Approval != ApprovalAsk:
		return newError(CodeUnavailable, "the list of tokens cannot be read, and without it this may be the token that the server itself runs on; it was not revoked").
			next(howto, token.ID, c.terminalFlags)
	}
	return nil
}

// ownToken tells that token is, or may be, the one that the call runs on.
func (c *call) ownToken(token *client.Token) string {
	if isNamedBy(token, c.caller.TokenPrefix) {
		return publicPrefix(token) + " is the token that this server itself runs on"
	}
	return "this may be the token that this server itself runs on (the API shows too little of its beginning to tell)"
}

// notRevoked tells why a token was not revoked, or that it may be alive all the
// same.
func (c *call) notRevoked(err error, token *client.Token) *Error {
	e := upstream(err, "revoke the token")
	var unknown *client.RevokeError
	if !errors.As(err, &unknown) {
		return e
	}
	e.Code, e.RetryAfter = CodeOutcomeUnknown, unknown.RetryAfter()
	e.Message = fmt.Sprintf("it is not certain that the token %s is revoked: %s. %s", token.ID, whatIsListed(unknown), e.Message)
	if prefix := publicPrefix(token); prefix != "" {
		e.Message = strings.Replace(e.Message, token.ID, prefix+" (id "+token.ID+")", 1)
	}
	return e.next("Do not say that the token is revoked: it may be alive. Look with list_tokens and its status \"all\"; if the token is still active there, call again. "+
		"The user can look in kenbun under Settings > Integrations > Personal Tokens, or run `kenbun-mcp tokens revoke %s%s`.", token.ID, c.terminalFlags)
}

// whatIsListed says what is known of a token whose revocation is in doubt.
func whatIsListed(unknown *client.RevokeError) string {
	if unknown.Live {
		return "kenbun's list still shows it as not revoked"
	}
	return "kenbun's list could not show it"
}

func revokedResult(token *client.Token, now time.Time, outcome string) *result {
	row := NewTokenRow(token, now, "")
	text := "Token revoked: whatever used it has no access any more."
	if outcome == "already_revoked" {
		text = "The token was revoked before; nothing was changed."
	}
	if token.Name == "" && token.Prefix == "" {
		text += "\nIts name and prefix are not known, since the list of tokens could not be read."
	}
	return &result{
		structured: revokedToken{ID: row.ID, Name: row.Name, Prefix: row.Prefix, Outcome: outcome},
		text:       fmt.Sprintf("%s\nid: %s\nname: %s\nprefix: %s", text, row.ID, row.Name, row.Prefix),
	}
}

// CheckTokenID refuses what cannot be a token's id, and helps with what people
// give in its place.
func CheckTokenID(id string) error {
	const howto = `list_tokens shows the ids; they look like "pat_abc123".`
	if id == "" {
		return invalidArgument(`"id" is empty`).next(howto)
	}
	if slices.ContainsFunc(redact.Literals(), func(literal string) bool { return strings.HasPrefix(id, literal) }) {
		return invalidArgument(`"id" is a token's value or prefix, not its id`).next(howto + " Never give a token's value to a tool.")
	}
	for _, r := range id {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_' && r != '-' {
			return invalidArgument(`"id" can only have letters, digits, "_" and "-"`).next(howto)
		}
	}
	return nil
}

// tokenFingerprint changes when the token becomes something else than the
// person was shown.
func tokenFingerprint(token *client.Token) string {
	return digest(mustMarshal([]string{token.ID, token.Name, token.Prefix, timestamp(&token.CreatedAt), timestamp(token.ExpiresAt), timestamp(token.ValidFrom), narrowing(token.Permissions)}))
}

func (c *call) revocation(token *client.Token) decision {
	return decision{
		target:      token.ID,
		fingerprint: tokenFingerprint(token),
		question:    revokeQuestion(token, c.now, c.caller.TokenPrefix),
		instead:     inTerminal("kenbun-mcp tokens revoke " + token.ID + c.terminalFlags),
	}
}

// revocationUnseen is the decision about a token of which only the id is known.
func (c *call) revocationUnseen(id string) decision {
	return decision{
		target:      id,
		fingerprint: digest([]byte("unseen " + id)),
		question: Question{
			Title: "Revoke this kenbun token without a look at it?",
			Facts: []Fact{
				{Label: "Id", Value: id, Outside: true},
				{Label: "Details", Value: "not known, since the list of tokens cannot be read right now"},
				{Label: "In use", Value: "perhaps: it may be the token that is in use here, without which nothing more can be done"},
			},
			Consequence: "Whatever uses it loses access at once. This cannot be undone.",
			Agree:       "Revoke " + id + " for good",
			Unchanged:   "the token was not revoked",
		},
		instead: inTerminal("kenbun-mcp tokens revoke " + id + c.terminalFlags),
	}
}

// revokeQuestion tells what a person needs to know to decide well whether to
// revoke token. prefixInUse is the public part of the token that asks.
func revokeQuestion(token *client.Token, now time.Time, prefixInUse string) Question {
	row := NewTokenRow(token, now, prefixInUse)
	return Question{
		Title:       "Revoke this kenbun token?",
		Facts:       tokenFacts(token, row, now),
		Consequence: "Whatever uses it loses access at once. This cannot be undone.",
		Agree:       "Revoke " + row.Prefix + " for good",
		Unchanged:   "the token was not revoked",
	}
}

// tokenFacts are what identifies a token and tells how much hangs on it.
func tokenFacts(token *client.Token, row TokenRow, now time.Time) []Fact {
	expires := "never"
	if token.ExpiresAt != nil {
		expires = humantime.Relative(*token.ExpiresAt, now)
	}
	facts := []Fact{
		nameFact("Name", row.Name),
		{Label: "Begins with", Value: row.Prefix},
		{Label: "Created", Value: humantime.Relative(token.CreatedAt, now)},
		{Label: "Last used", Value: usedWords(token, now)},
		{Label: "Expires", Value: expires},
	}
	if row.Status == string(client.StatusNotYetValid) {
		facts = append(facts, Fact{Label: "Valid from", Value: humantime.Relative(*token.ValidFrom, now)})
	}
	if row.Permissions != nil {
		facts = append(facts, Fact{Label: "Permissions", Value: row.PermissionWords(), Outside: true})
	}
	switch {
	case row.InUse:
		facts = append(facts, Fact{Label: "In use", Value: "this is the token that is in use here; without it nothing more can be done"})
	case row.MayBeInUse:
		facts = append(facts, Fact{Label: "In use", Value: "this may be the token that is in use here: kenbun shows too little of it to tell"})
	}
	return facts
}

// usedWords says when token was last used. Of a token that was made lately, a use
// may not be recorded yet.
func usedWords(token *client.Token, now time.Time) string {
	switch {
	case token.UsageUnknown:
		return "not known"
	case token.LastUsedAt != nil:
		return humantime.Relative(*token.LastUsedAt, now)
	case mayBeUsed(token, now):
		return "no use is recorded, which can take a while"
	}
	return "never"
}
