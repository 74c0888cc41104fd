package tokens

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/humantime"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/audit"
)

func updateToken(m *Manager) *tools.Tool {
	return &tools.Tool{
		Name:  "update_token",
		Title: "Change a personal access token",
		Description: "Changes the name, permissions, start or expiry of one of the user's tokens. Its value stays, and so does what you leave out. " +
			"The user decides about giving a token more, and about any change to one that is in use, was created or used within 30 days, or would expire within 7.",
		Effect:    tools.Alters,
		Needs:     []tools.Need{tools.NeedDecisionToWiden},
		Extension: true,
		Parameters: []tools.Parameter{
			{Name: "id", Kind: tools.Text, Required: true, MaxLength: 64,
				Description: "The token's id from list_tokens."},
			{Name: "name", Kind: tools.Text, MaxLength: maxNameLength,
				Description: "New name."},
			{Name: "valid_from", Kind: tools.Text, MaxLength: 64,
				Description: "When it becomes valid, as in create_token."},
			{Name: "expires", Kind: tools.Text, MaxLength: 64,
				Description: "When it expires, as in create_token."},
			{Name: "permissions", Kind: tools.List, MaxLength: tools.MaxPermissionLength, MaxItems: tools.MaxPermissions,
				Description: `What it may do, or ["all"] that the role allows.`},
		},
		OutputSchema: json.RawMessage(`{"type":"object","properties":{` +
			`"id":{"type":"string"},"name":{"type":"string"},"prefix":{"type":"string"},"status":{"type":"string"},` +
			`"expires_at":{"type":"string"},` + narrowingSchema + `,` +
			`"changed":{"type":"array","items":{"type":"string"}}` +
			`},"required":["id","name","prefix","status","changed"]}`),
		Run: m.run(runUpdateToken),
	}
}

type updatedToken struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Prefix      string   `json:"prefix"`
	Status      string   `json:"status"`
	ExpiresAt   string   `json:"expires_at,omitempty"`
	ValidFrom   string   `json:"valid_from,omitempty"`
	Permissions []string `json:"permissions,omitzero"`
	// Changed are the fields that are others than before.
	Changed []string `json:"changed"`
}

func runUpdateToken(ctx context.Context, c *call) (*tools.Result, error) {
	id := c.Args.Text("id")
	if err := CheckID(id); err != nil {
		return nil, err
	}
	wanted, err := c.wantedUpdate()
	if err != nil {
		return nil, err
	}
	if err := c.Attempt(audit.Entry{Kind: audit.Token, Action: audit.ActionUpdate, Target: unknownID(id), Left: audit.LeftUnknown}); err != nil {
		return nil, err
	}
	token, err := c.updatable(ctx, id)
	if err != nil {
		return nil, err
	}
	update := wanted.of(token)
	c.Trail.Step.Changes = update.audited()
	if len(update.differences) == 0 {
		c.Trail.Acted(audit.OutcomeUnchanged, leftOf(token, c.Now))
		return updatedResult(token, update, c.Now), nil
	}
	if err := c.mayUpdate(ctx, token, update); err != nil {
		return nil, err
	}
	if err := c.mayChange(ctx); err != nil {
		return nil, err
	}
	asks := update.widens() || c.disrupts(token, update)
	// A no to one change of a token is a no to the next one, too.
	if ctx, err = c.permit(ctx, c.updating(token, update), asks); err != nil {
		return nil, err
	}
	if asks {
		// The user may have taken minutes: what is changed must still be what was shown.
		asked := tokenFingerprint(token)
		if token, err = c.updatable(ctx, id); err != nil {
			return nil, err
		}
		if tokenFingerprint(token) != asked {
			return nil, tools.NewError(tools.CodeDeclined, "the token was changed by somebody else after the user was asked; it was not changed by this call").
				Advise("Call the tool again; the user is asked again.")
		}
	}
	if err := c.countChange(ctx); err != nil {
		return nil, err
	}
	updated, err := c.Caller.API.UpdateToken(ctx, id, update.change)
	if err != nil {
		return nil, updateFailed(err)
	}
	c.Trail.Acted(audit.OutcomeDone, leftOf(updated, c.Now))
	c.rememberExpiry(ctx, token, updated)
	c.Log.Info("token changed", "id", id, "prefix", publicPrefix(updated), "changed", update.changed())
	return updatedResult(updated, update, c.Now), nil
}

// updatable finds a token that can be changed.
func (c *call) updatable(ctx context.Context, id string) (*client.Token, error) {
	token, err := c.token(ctx, id)
	if err != nil {
		return nil, err
	}
	c.about(token)
	c.Trail.Step.Left = leftOf(token, c.Now)
	if token.RevokedAt != nil {
		return nil, tools.InvalidArgument("the token %s is revoked, for good; nothing was changed", publicPrefix(token)).
			Advise("Make a new one with create_token if it is still needed.")
	}
	return token, nil
}

// leftOf is what an entry says is left of a token that is there.
func leftOf(token *client.Token, now time.Time) audit.Left {
	if status := token.Status(now); status == client.StatusRevoked || status == client.StatusExpired {
		return audit.LeftRevoked
	}
	return audit.LeftLive
}

// mayUpdate checks the operator's limits and the caller's permissions, before the user is
// asked in vain.
func (c *call) mayUpdate(ctx context.Context, token *client.Token, update tokenUpdate) error {
	if err := startsBeforeExpiry(update.validFrom, update.expires); err != nil {
		return err
	}
	if update.widensIn(fieldExpires) {
		if err := checkExtension(c.Policy(), token, update.expires); err != nil && !c.hadExpiry(ctx, token, update.expires) {
			return err
		}
	}
	return c.grantable(ctx, update.change.Permissions)
}

// checkExtension refuses an expiry that is later than the operator allows, counted from the
// creation. Otherwise repeated extensions could keep a token alive for ever.
func checkExtension(p tools.Policy, token *client.Token, expires *time.Time) error {
	if expires == nil {
		if p.AllowNeverExpiring {
			return nil
		}
		return tools.NewError(tools.CodeForbidden, "the operator of this server does not allow tokens that never expire").
			Advise("Give an expiry. To go on for longer than that, replace the token with rotate_token.")
	}
	if expires.Sub(token.CreatedAt) <= p.MaxTokenLifetime {
		return nil
	}
	latest := token.CreatedAt.Add(p.MaxTokenLifetime)
	return tools.NewError(tools.CodeForbidden, "the operator of this server allows tokens for at most %s, counted from when they were made; this one was made at %s",
		humantime.Days(p.MaxTokenLifetime), tools.Timestamp(&token.CreatedAt)).
		Advise("Give %q at the latest if that is still to come, or replace the token with rotate_token.", tools.Timestamp(&latest))
}

// updateFailed says why a token was not changed, or that it may have been.
func updateFailed(err error) error {
	e := upstream(err, "change the token")
	switch {
	case errors.Is(err, client.ErrNotFound):
		// It was there a moment ago.
		return tools.NewError(tools.CodeUnavailable, "the API does not change this token, or no token at all; nothing was changed").
			Advise("The user should check that the API has such changes (--api-extensions).").Because(err)
	case errors.Is(err, client.ErrForbidden):
		e.Next = "A token that is narrowed changes tokens within its own permissions alone, and the user's role may not hold what was asked for."
	case errors.Is(err, client.ErrInvalid):
		e.Next = "Look with list_tokens what the token is now: it may have been revoked meanwhile. If it is there, check the arguments."
	case errors.Is(err, client.ErrUnavailable), errors.Is(err, client.ErrUnexpectedAnswer), errors.Is(err, context.Canceled):
		e.Message += "; it may have been changed all the same"
		var api *client.Error
		if errors.As(err, &api) && !api.MayPass() && !errors.Is(err, context.Canceled) {
			e.Next = "Look with list_tokens whether it was. " + e.Next
			break
		}
		e.Next = "Look with list_tokens. It is safe to call again with the same arguments."
	}
	return e
}

func updatedResult(token *client.Token, update tokenUpdate, now time.Time) *tools.Result {
	row := NewRow(token, now, "")
	answer := updatedToken{
		ID: row.ID, Name: row.Name, Prefix: row.Prefix, Status: row.Status,
		ExpiresAt: row.ExpiresAt, ValidFrom: row.ValidFrom, Permissions: row.Permissions,
		Changed: update.changed(),
	}
	text := "Token changed: " + strings.Join(answer.Changed, ", ") + "."
	if len(answer.Changed) == 0 {
		text = "The token was like that before; nothing was changed."
	}
	text += fmt.Sprintf("\nid: %s\nname: %s\nprefix: %s\nexpires: %s\npermissions: %s",
		row.ID, row.Name, row.Prefix, tools.ShortTime(row.ExpiresAt, now), row.PermissionWords())
	if row.ValidFrom != "" {
		text += "\nvalid from: " + tools.ShortTime(row.ValidFrom, now)
	}
	return &tools.Result{Structured: answer, Text: text}
}
