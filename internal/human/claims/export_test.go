package claims

import (
	"context"
	"encoding/json"

	"github.com/kenbun/kenbun-mcp/client"
)

// SweepDue looks once for claims that came due.
func (c *Claims) SweepDue(ctx context.Context) error { return c.sweepDue(ctx) }

// OpenRecord is what the key of the store opens of a claim: all of it as JSON, and
// after that its binary fields as they are.
func (c *Claims) OpenRecord(ctx context.Context, id string) (string, error) {
	held, _, _, err := c.look(ctx, id)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(held)
	return string(text) + string(held.Sealed) + string(held.ToRevoke) + string(held.ProofKey), err
}

// OpenToRevoke opens the copy of a value that is for revoking it.
func (c *Claims) OpenToRevoke(ctx context.Context, id string) (client.Secret, error) {
	held, _, _, err := c.look(ctx, id)
	if err != nil {
		return client.Secret{}, err
	}
	return c.revokers.open(held.ToRevoke)
}

// WithAPI is the same claims with another way to the API.
func (c *Claims) WithAPI(api *client.Client) *Claims {
	return &Claims{store: c.store, aead: c.aead, api: api, revokers: c.revokers, server: c.server, lifetime: c.lifetime, audit: c.audit, log: c.log, observe: c.observe, now: c.now}
}
