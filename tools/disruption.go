package tools

import (
	"context"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
)

const (
	// usedLately is how long ago a token was used that counts as used.
	usedLately = 30 * day
	// stopsSoon is how soon a token stops that is asked about.
	stopsSoon = 7 * day
	// earlierEndKept is how long a tool can give back an end that it took.
	earlierEndKept = 30 * day
)

// disrupts reports whether update may put out of use what works with token, so
// that the user decides: the token is in use, here or elsewhere, it would stop
// soon, or how much hangs on it cannot be told.
func (c *call) disrupts(token *client.Token, update tokenUpdate) bool {
	if c.inUse(token) && (update.narrows() || !isNamedBy(token, c.caller.TokenPrefix)) {
		return true
	}
	if token.UsageUnknown || token.LastUsedAt != nil && c.now.Sub(*token.LastUsedAt) < usedLately {
		return true
	}
	// A name that the tool would not take could not be given back.
	if update.change.Name != "" && checkName(token.Name) != nil {
		return true
	}
	if token.Status(c.now) == client.StatusExpired {
		return false
	}
	startsLater := update.narrowsIn(fieldValidFrom) && token.Status(c.now) == client.StatusActive
	return startsLater || update.expires != nil && update.expires.Sub(c.now) <= stopsSoon
}

// The earlier end of a token is in the store under its id: a time, or never. It
// only lets the user decide about having it back, which the operator's limits
// would otherwise refuse.

func earlierEndKey(token *client.Token) string { return "earlier-end:" + digest([]byte(token.ID)) }

// rememberEnd notes the end that token had, if update takes from it. The latest
// one counts.
func (c *call) rememberEnd(ctx context.Context, token *client.Token, update tokenUpdate) {
	if !update.narrowsIn(fieldExpires) || c.hadEnd(ctx, token, token.ExpiresAt) {
		return
	}
	ctx = context.WithoutCancel(ctx)
	old, ok, err := c.earlier.Get(ctx, earlierEndKey(token))
	if !ok {
		old = nil
	}
	if err == nil {
		_, err = c.earlier.Swap(ctx, earlierEndKey(token), old, []byte(timeOr(token.ExpiresAt, never)), earlierEndKept)
	}
	if err != nil {
		c.logger.Warn("the earlier end of a token could not be noted; the operator's limits hold for giving it back", "id", token.ID, "cause", err)
	}
}

// hadEnd reports whether token ended at expires (nil: never) or later before a
// tool took from it.
func (c *call) hadEnd(ctx context.Context, token *client.Token, expires *time.Time) bool {
	value, ok, err := c.earlier.Get(ctx, earlierEndKey(token))
	if err != nil || !ok {
		return false
	}
	if string(value) == never {
		return true
	}
	had, err := time.Parse(time.RFC3339, string(value))
	return err == nil && expires != nil && !expires.After(had)
}
