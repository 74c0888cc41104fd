package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/humantime"
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
	token, err := c.token(ctx, id)
	if err != nil {
		return nil, err
	}
	if token.RevokedAt != nil {
		return revokedResult(token, c.now, "already_revoked"), nil
	}
	if c.inUse(token) && !c.policy.AllowSelfRevoke {
		return nil, newError(CodeForbidden, "%s is the token that this server itself runs on; it was not revoked", publicPrefix(token)).
			next("If the person wants it gone: `kenbun-mcp tokens revoke %s%s` in a terminal.", id, c.terminalFlags)
	}
	if err := c.decide(ctx, c.revocation(token)); err != nil {
		return nil, err
	}

	// The person may have thought for minutes: what is revoked must still be
	// what was shown.
	asked := tokenFingerprint(token)
	if token, err = c.token(ctx, id); err != nil {
		return nil, err
	}
	if token.RevokedAt != nil {
		return revokedResult(token, c.now, "already_revoked"), nil
	}
	if tokenFingerprint(token) != asked {
		return nil, newError(CodeDeclined, "the token was changed after the person was asked; it was not revoked").
			next("Call the tool again; the person is asked anew.")
	}
	if err := c.caller.API.RevokeToken(ctx, id); errors.Is(err, client.ErrNotFound) {
		return nil, tokenNotFound().because(err)
	} else if err != nil {
		return nil, upstream(err, "revoke the token")
	}
	c.logger.Info("token revoked", "id", id, "prefix", publicPrefix(token))
	return revokedResult(token, c.now, "revoked"), nil
}

func revokedResult(token *client.Token, now time.Time, outcome string) *result {
	row := NewTokenRow(token, now, "")
	text := "Token revoked: whatever used it has no access any more."
	if outcome == "already_revoked" {
		text = "The token was revoked before; nothing was changed."
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
	if strings.HasPrefix(id, "kbn_pat_") {
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
	return digest(mustMarshal([]string{token.ID, token.Name, token.Prefix, timestamp(&token.CreatedAt), timestamp(token.ExpiresAt)}))
}

func (c *call) revocation(token *client.Token) decision {
	row := NewTokenRow(token, c.now, c.caller.TokenPrefix)
	return decision{
		target:      token.ID,
		fingerprint: tokenFingerprint(token),
		question:    RevokeQuestion(token, c.now, c.caller.TokenPrefix),
		agree:       "Revoke " + row.Prefix + " for good",
		unchanged:   "the token was not revoked",
		command:     "kenbun-mcp tokens revoke " + row.ID + c.terminalFlags,
	}
}

// RevokeQuestion tells what a person needs to know to decide well whether to
// revoke token. prefixInUse is the public part of the token that asks.
func RevokeQuestion(token *client.Token, now time.Time, prefixInUse string) string {
	row := NewTokenRow(token, now, prefixInUse)
	used := "never"
	if token.LastUsedAt != nil {
		used = humantime.Relative(*token.LastUsedAt, now)
	}
	expires := "never"
	if token.ExpiresAt != nil {
		expires = humantime.Relative(*token.ExpiresAt, now)
	}
	var b strings.Builder
	b.WriteString("Revoke this kenbun token?\n\n")
	fmt.Fprintf(&b, "Name: %q\n", row.Name)
	fmt.Fprintf(&b, "Begins with: %s\n", row.Prefix)
	fmt.Fprintf(&b, "Created: %s\n", humantime.Relative(token.CreatedAt, now))
	fmt.Fprintf(&b, "Last used: %s\n", used)
	fmt.Fprintf(&b, "Expires: %s\n", expires)
	if row.InUse {
		b.WriteString("This is the token in use here: afterwards nothing more can be done with it.\n")
	}
	b.WriteString("\nWhatever uses it loses access at once. This cannot be undone.")
	return b.String()
}
