package human

import (
	"context"

	"github.com/kenbun/kenbun-mcp/client"
)

// SweepDue looks once for claims that came due.
func (c *Claims) SweepDue(ctx context.Context) error { return c.sweepDue(ctx) }

// WithAPI is the same claims with another way to the API.
func (c *Claims) WithAPI(api *client.Client) *Claims {
	return &Claims{store: c.store, aead: c.aead, api: api, server: c.server, lifetime: c.lifetime, audit: c.audit, log: c.log, observe: c.observe, now: c.now}
}
