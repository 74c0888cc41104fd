package tokens

import (
	"context"
	"encoding/json"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
)

const (
	// usedLately is how long ago a token was used, or made, that counts as used.
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
	if c.inUse(token) && (update.narrows() || !isNamedBy(token, c.Caller.TokenPrefix)) {
		return true
	}
	if mayBeUsed(token, c.Now) {
		return true
	}
	// A name that the tool would not take could not be given back.
	if update.change.Name != "" && checkName(token.Name) != nil {
		return true
	}
	if token.Status(c.Now) == client.StatusExpired {
		return false
	}
	startsLater := update.narrowsIn(fieldValidFrom) && token.Status(c.Now) == client.StatusActive
	return startsLater || update.expires != nil && update.expires.Sub(c.Now) <= stopsSoon
}

// mayBeUsed reports whether something may use token. kenbun's documentation does
// not say how soon a use is recorded, and a new token may wait for its first one. So
// a token without a recorded use counts from when it was made, as it does in
// [Filter].
func mayBeUsed(token *client.Token, now time.Time) bool {
	return token.UsageUnknown || now.Sub(lastSign(token)) < usedLately
}

// lastSign is when token was last used, as far as that is recorded, or made.
func lastSign(token *client.Token) time.Time {
	if token.LastUsedAt != nil {
		return *token.LastUsedAt
	}
	return token.CreatedAt
}

// ends are the ends of a token around a change of it by a tool, as they are kept
// under its id. They only let the user decide about having the earlier one back,
// which the operator's limits would otherwise refuse.
type ends struct {
	// Had is the end that the token had, and Set is the one that it has since. Both
	// are a time, or never.
	Had string `json:"had"`
	Set string `json:"set"`
}

func endsKey(token *client.Token) string { return "earlier-end:" + tools.Digest([]byte(token.ID)) }

// endsOf returns what is kept of token, and the end that a tool can give back: the
// token's own, or a later one that it had. The latter counts only while the end is
// the one that the tool set. Otherwise, somebody has decided about it since.
func (c *call) endsOf(ctx context.Context, token *client.Token) (stored []byte, had string, err error) {
	own := timeOr(token.ExpiresAt, never)
	stored, ok, err := c.earlier.Get(ctx, endsKey(token))
	if err != nil || !ok {
		return nil, own, err
	}
	var kept ends
	if err := json.Unmarshal(stored, &kept); err == nil && kept.Set == own && endsLater(kept.Had, own) {
		return stored, kept.Had, nil
	}
	return stored, own, nil
}

// endsLater reports whether end a, a time or never, is later than b.
func endsLater(a, b string) bool {
	if a == never || b == never {
		return b != never
	}
	at, errA := time.Parse(time.RFC3339, a)
	than, errB := time.Parse(time.RFC3339, b)
	return errA == nil && errB == nil && at.After(than)
}

// rememberEnd notes that a tool has changed the end of token to that of updated.
func (c *call) rememberEnd(ctx context.Context, token, updated *client.Token) {
	set := timeOr(updated.ExpiresAt, never)
	if set == timeOr(token.ExpiresAt, never) {
		return
	}
	ctx = context.WithoutCancel(ctx)
	stored, had, err := c.endsOf(ctx, token)
	if err == nil {
		_, err = c.earlier.Swap(ctx, endsKey(token), stored, tools.MustMarshal(ends{Had: had, Set: set}), earlierEndKept)
	}
	if err != nil {
		c.Log.Warn("the earlier end of a token could not be noted; the operator's limits hold for giving it back", "id", token.ID, "cause", err)
	}
}

// hadEnd reports whether token ended at expires (nil: never) or later before a
// tool took from it, and nobody else has changed its end since.
func (c *call) hadEnd(ctx context.Context, token *client.Token, expires *time.Time) bool {
	_, had, err := c.endsOf(ctx, token)
	return err == nil && !endsLater(timeOr(expires, never), had)
}
