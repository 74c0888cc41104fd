package tokens

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
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/audit"
)

func revokeToken(m *Manager) *tools.Tool {
	return &tools.Tool{
		Name:  "revoke_token",
		Title: "Revoke a personal access token",
		Description: "Revokes one of the user's tokens. Everything that uses it loses access at once, for good. The user is asked first and " +
			"decides. No argument replaces that. Find the id with list_tokens.",
		Effect: tools.Destroys,
		Needs:  []tools.Need{tools.NeedDecision},
		Parameters: []tools.Parameter{
			{Name: "id", Kind: tools.Text, Required: true, MaxLength: 64,
				Description: "The token's id from list_tokens, not its name or its value."},
		},
		OutputSchema: json.RawMessage(`{"type":"object","properties":{` +
			`"id":{"type":"string"},"name":{"type":"string"},"prefix":{"type":"string"},` +
			`"outcome":{"type":"string","enum":["revoked","already_revoked"]}` +
			`},"required":["id","name","prefix","outcome"]}`),
		Run: m.run(runRevokeToken),
	}
}

type revokedToken struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Prefix  string `json:"prefix"`
	Outcome string `json:"outcome"`
}

func runRevokeToken(ctx context.Context, c *call) (*tools.Result, error) {
	id := c.Args.Text("id")
	if err := CheckID(id); err != nil {
		return nil, err
	}
	if err := c.Attempt(audit.Entry{Kind: audit.Token, Action: audit.ActionRevoke, Target: unknownID(id), Left: audit.LeftUnknown}); err != nil {
		return nil, err
	}
	token, unread, err := c.tokenToRevoke(ctx, id)
	if err != nil {
		return nil, err
	}
	if token.RevokedAt != nil {
		c.Trail.Acted(audit.OutcomeUnchanged, audit.LeftRevoked)
		return revokedResult(token, c.Now, "already_revoked"), nil
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
		// The user may have taken minutes: what is revoked must still be what was shown.
		asked := tokenFingerprint(token)
		now, gone, err := c.tokenToRevoke(ctx, id)
		switch {
		case gone || isRateLimited(err): // the list is; the token was seen, and no id is given to another
		case err != nil:
			return nil, err
		case now.RevokedAt != nil:
			c.Trail.Acted(audit.OutcomeUnchanged, audit.LeftRevoked)
			return revokedResult(now, c.Now, "already_revoked"), nil
		case tokenFingerprint(now) != asked:
			return nil, tools.NewError(tools.CodeDeclined, "the token was changed after the user was asked; it was not revoked").
				Advise("Call the tool again; the user is asked again.")
		}
	}
	if err := c.countChange(ctx); err != nil {
		return nil, err
	}
	c.Trail.InDoubt()
	err = c.Caller.API.RevokeToken(ctx, id)
	c.revoked(err)
	switch {
	case errors.Is(err, client.ErrNotFound) && unread:
		return nil, tokenNotFound().Because(err)
	case errors.Is(err, client.ErrNotFound):
		// It was alive a moment ago: somebody else revoked it.
		return revokedResult(token, c.Now, "already_revoked"), nil
	case err != nil:
		return nil, c.notRevoked(err, token)
	}
	c.Log.Info("token revoked", "id", id, "prefix", publicPrefix(token))
	return revokedResult(token, c.Now, "revoked"), nil
}

// lookTimeout bounds how long a revocation waits for the list, which only describes the
// token.
const lookTimeout = 10 * time.Second

// tokenToRevoke finds the token id. A revocation does not wait for a list that fails, is out
// of bounds or slow: unread means that only the id is known. It does wait if the API is
// called too often: a model could cause that, and the user would decide about a token that
// they are not shown.
func (c *call) tokenToRevoke(ctx context.Context, id string) (token *client.Token, unread bool, err error) {
	looking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	token, err = c.token(looking, id)
	if err == nil {
		c.about(token)
		return token, false, nil
	}
	if failed, ok := tools.AsError(err); ok && ctx.Err() == nil {
		switch failed.Code {
		case tools.CodeUnavailable, tools.CodeForbidden:
			c.Log.Warn("a token is revoked without a look at it", "id", id, "cause", err)
			return &client.Token{ID: id}, true, nil
		case tools.CodeRateLimited:
			failed.Message += "; the token was not revoked"
			failed.Next = fmt.Sprintf("Wait, then call again. If it cannot wait, the user can revoke it in kenbun under Settings > Integrations > Personal Tokens.%s", tools.NoNewToken)
			return nil, false, failed
		}
	}
	return nil, false, err
}

func isRateLimited(err error) bool {
	e, ok := tools.AsError(err)
	return ok && e.Code == tools.CodeRateLimited
}

// mayRevoke refuses to revoke the token in use if the operator does not allow it. If the
// list was unread, the question says that it may be the one in use.
func (c *call) mayRevoke(token *client.Token, unread bool) error {
	if c.Policy().AllowSelfRevoke {
		return nil
	}
	const howto = "If the user wants it gone: `kenbun-mcp tokens revoke %s%s` in a terminal."
	switch {
	case !unread && c.inUse(token):
		return tools.NewError(tools.CodeForbidden, "%s; it was not revoked", c.ownToken(token)).
			Advise(howto, token.ID, c.TerminalFlags())
	case unread && c.Policy().Approval != tools.ApprovalAsk:
		return tools.NewError(tools.CodeUnavailable, "the list of tokens cannot be read, and without it this may be the token that the server itself runs on; it was not revoked").
			Advise(howto, token.ID, c.TerminalFlags())
	}
	return nil
}

// ownToken says that token is, or may be, the one that the call runs on.
func (c *call) ownToken(token *client.Token) string {
	if isNamedBy(token, c.Caller.TokenPrefix) {
		return publicPrefix(token) + " is the token that this server itself runs on"
	}
	return "this may be the token that this server itself runs on (the API shows too little of its beginning to tell)"
}

// notRevoked says why a token was not revoked, or that it may still be live.
func (c *call) notRevoked(err error, token *client.Token) *tools.Error {
	e := upstream(err, "revoke the token")
	var unknown *client.RevokeError
	if !errors.As(err, &unknown) {
		return e
	}
	e.Code, e.RetryAfter = tools.CodeOutcomeUnknown, unknown.RetryAfter()
	e.Message = fmt.Sprintf("it is not certain that the token %s is revoked: %s. %s", token.ID, whatIsListed(unknown), e.Message)
	if prefix := publicPrefix(token); prefix != "" {
		e.Message = strings.Replace(e.Message, token.ID, prefix+" (id "+token.ID+")", 1)
	}
	return e.Advise("Do not say that the token is revoked: it may be alive. Look with list_tokens and its status \"all\"; if the token is still active there, call again. "+
		"The user can look in kenbun under Settings > Integrations > Personal Tokens, or run `kenbun-mcp tokens revoke %s%s`.", token.ID, c.TerminalFlags())
}

// whatIsListed says what is known of a token whose revocation is in doubt.
func whatIsListed(unknown *client.RevokeError) string {
	if unknown.Live {
		return "kenbun's list still shows it as not revoked"
	}
	return "kenbun's list could not show it"
}

func revokedResult(token *client.Token, now time.Time, outcome string) *tools.Result {
	row := NewRow(token, now, "")
	text := "Token revoked: whatever used it has no access any more."
	if outcome == "already_revoked" {
		text = "The token was revoked before; nothing was changed."
	}
	if token.Name == "" && token.Prefix == "" {
		text += "\nIts name and prefix are not known, since the list of tokens could not be read."
	}
	return &tools.Result{
		Structured: revokedToken{ID: row.ID, Name: row.Name, Prefix: row.Prefix, Outcome: outcome},
		Text:       fmt.Sprintf("%s\nid: %s\nname: %s\nprefix: %s", text, row.ID, row.Name, row.Prefix),
	}
}

// CheckID refuses what cannot be a token's id, with advice for common mistakes.
func CheckID(id string) error {
	const howto = `list_tokens shows the ids; they look like "pat_abc123".`
	if id == "" {
		return tools.InvalidArgument(`"id" is empty`).Advise(howto)
	}
	if slices.ContainsFunc(redact.Literals(), func(literal string) bool { return strings.HasPrefix(id, literal) }) {
		return tools.InvalidArgument(`"id" is a token's value or prefix, not its id`).Advise(howto + " Never give a token's value to a tool.")
	}
	for _, r := range id {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_' && r != '-' {
			return tools.InvalidArgument(`"id" can only have letters, digits, "_" and "-"`).Advise(howto)
		}
	}
	return nil
}

// tokenFingerprint changes when the token is no longer what the user was shown.
func tokenFingerprint(token *client.Token) string {
	return tools.Digest(tools.MustMarshal([]string{token.ID, token.Name, token.Prefix, tools.Timestamp(&token.CreatedAt), tools.Timestamp(token.ExpiresAt), tools.Timestamp(token.ValidFrom), narrowing(token.Permissions)}))
}

func (c *call) revocation(token *client.Token) approval.Decision {
	return approval.Decision{
		Kind:        audit.Token,
		Target:      token.ID,
		Fingerprint: tokenFingerprint(token),
		Question:    revokeQuestion(token, c.Now, c.Caller.TokenPrefix),
		Instead:     approval.InTerminal("kenbun-mcp tokens revoke " + token.ID + c.TerminalFlags()),
	}
}

// revocationUnseen is the decision about a token of which only the id is known.
func (c *call) revocationUnseen(id string) approval.Decision {
	return approval.Decision{
		Kind:        audit.Token,
		Target:      id,
		Fingerprint: tools.Digest([]byte("unseen " + id)),
		Question: approval.Question{
			Title: "Revoke this kenbun token without a look at it?",
			Facts: []approval.Fact{
				{Label: "Id", Value: id, Outside: true},
				{Label: "Details", Value: "not known, since the list of tokens cannot be read right now"},
				{Label: "In use", Value: "perhaps: it may be the token that is in use here, without which nothing more can be done"},
			},
			Consequence: "Whatever uses it loses access at once. This cannot be undone.",
			Agree:       "Revoke " + id + " for good",
			Unchanged:   "the token was not revoked",
		},
		Instead: approval.InTerminal("kenbun-mcp tokens revoke " + id + c.TerminalFlags()),
	}
}

// revokeQuestion returns the question whether to revoke token. prefixInUse is the public
// part of the caller's token.
func revokeQuestion(token *client.Token, now time.Time, prefixInUse string) approval.Question {
	row := NewRow(token, now, prefixInUse)
	return approval.Question{
		Title:       "Revoke this kenbun token?",
		Facts:       tokenFacts(token, row, now),
		Consequence: "Whatever uses it loses access at once. This cannot be undone.",
		Agree:       "Revoke " + row.Prefix + " for good",
		Unchanged:   "the token was not revoked",
	}
}

// tokenFacts returns what identifies a token and shows how much depends on it.
func tokenFacts(token *client.Token, row Row, now time.Time) []approval.Fact {
	expires := "never"
	if token.ExpiresAt != nil {
		expires = humantime.Relative(*token.ExpiresAt, now)
	}
	facts := []approval.Fact{
		approval.NameFact("Name", row.Name),
		{Label: "Begins with", Value: row.Prefix},
		{Label: "Created", Value: humantime.Relative(token.CreatedAt, now)},
		{Label: "Last used", Value: usedWords(token, now)},
		{Label: "Expires", Value: expires},
	}
	if row.Status == string(client.StatusNotYetValid) {
		facts = append(facts, approval.Fact{Label: "Valid from", Value: humantime.Relative(*token.ValidFrom, now)})
	}
	if row.Permissions != nil {
		facts = append(facts, approval.Fact{Label: "Permissions", Value: row.PermissionWords(), Outside: true})
	}
	switch {
	case row.InUse:
		facts = append(facts, approval.Fact{Label: "In use", Value: "this is the token that is in use here; without it nothing more can be done"})
	case row.MayBeInUse:
		facts = append(facts, approval.Fact{Label: "In use", Value: "this may be the token that is in use here: kenbun shows too little of it to tell"})
	}
	return facts
}

// usedWords says when token was last used. A use of a recent token may not be recorded yet.
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
