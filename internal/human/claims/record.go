package claims

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/audit"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// claimState is where a claim is on its way.
type claimState string

const (
	// claimWaiting: the person can fetch it.
	claimWaiting claimState = "waiting"
	// claimFetched: it was given out, to the only one who gets it.
	claimFetched claimState = "fetched"
	// claimEnded: nobody fetched it in time, and its token has to be revoked.
	claimEnded claimState = "ended"
	// claimRevoked: its token was revoked, or is not accepted any more (Unseen).
	claimRevoked claimState = "revoked"
)

// claim is a token on its way to its user. In the store it is encrypted as a
// whole.
type claim struct {
	State    claimState `json:"state"`
	Deadline time.Time  `json:"deadline"`
	// Gone is why it cannot be fetched any more; empty while it waits.
	Gone GoneReason `json:"gone,omitempty"`
	// Unseen tells that kenbun does not accept the token any more, and that the list
	// has not shown it as revoked.
	Unseen bool `json:"unseen,omitempty"`
	// Sealed is the token, sealed for its user (package claimkey). It is empty
	// once the claim cannot be fetched any more.
	Sealed []byte `json:"sealed,omitempty"`
	// ProofKey is the key with which the user proves that the claim is theirs.
	ProofKey []byte `json:"proof_key,omitempty"`
	// ToRevoke is the value, encrypted to the revokers that were there when the
	// claim was made (see revokers).
	ToRevoke []byte `json:"to_revoke,omitempty"`
	// CallerPrefix is the public part of the token that made the claim.
	CallerPrefix string `json:"caller_prefix,omitempty"`

	TokenID   string     `json:"token_id"`
	Name      string     `json:"name"`
	Prefix    string     `json:"prefix"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	ValidFrom *time.Time `json:"valid_from,omitempty"`
	// Permissions are nil if the token is not narrowed.
	Permissions []string `json:"permissions,omitzero"`
}

// isSeenRevoked reports whether the list has shown the token as revoked, or no longer.
func (c *claim) isSeenRevoked() bool { return c.State == claimRevoked && !c.Unseen }

func (c *claim) token() client.Token {
	return client.Token{
		ID: c.TokenID, Name: c.Name, Prefix: c.Prefix, CreatedAt: c.CreatedAt,
		ExpiresAt: c.ExpiresAt, ValidFrom: c.ValidFrom, Permissions: c.Permissions,
	}
}

// owner is the caller for whom the claim waits, as the audit log names them. It
// cannot act on the API.
func (c *claim) owner(id string) tools.Caller {
	return tools.Caller{ID: id, TokenPrefix: c.CallerPrefix}
}

// revocable is when the token can be revoked with itself, if nobody fetches it:
// not before the API accepts it.
func (c *claim) revocable() time.Time {
	if c.ValidFrom != nil && c.ValidFrom.After(c.Deadline) {
		return *c.ValidFrom
	}
	return c.Deadline
}

// envelope is a claim in the store.
type envelope struct {
	// Owner is the caller for whom it waits: a keyed hash of their token.
	Owner string `json:"owner"`
	Box   []byte `json:"box"`
}

// boundTo is what a box is bound to: it cannot be opened as another claim, nor
// for another owner.
func boundTo(id, owner string) []byte {
	return []byte("kenbun-mcp claim v2\x00" + id + "\x00" + owner)
}

func (c *Claims) seal(id, owner string, held *claim) ([]byte, error) {
	plain, err := json.Marshal(held)
	if err != nil {
		return nil, fmt.Errorf("seal a claim: %w", err)
	}
	// The AEAD draws the nonce itself.
	sealed, err := json.Marshal(envelope{Owner: owner, Box: c.aead.Seal(nil, nil, plain, boundTo(id, owner))}) //nolint:gosec // see above
	if err != nil {
		return nil, fmt.Errorf("seal a claim: %w", err)
	}
	return sealed, nil
}

var errDamaged = errors.New("a claim in the store was altered, or encrypted under another key")

func (c *Claims) unseal(id string, sealed []byte) (held *claim, owner string, err error) {
	var e envelope
	if err := json.Unmarshal(sealed, &e); err != nil {
		return nil, "", errDamaged
	}
	plain, err := c.aead.Open(nil, nil, e.Box, boundTo(id, e.Owner))
	if err != nil {
		return nil, "", errDamaged
	}
	held = &claim{}
	if err := json.Unmarshal(plain, held); err != nil {
		return nil, "", errDamaged
	}
	return held, e.Owner, nil
}

// auditable reports an error while the operator could not read later to whom a
// value was given.
func (c *Claims) auditable(id string, caller tools.Caller) error {
	if c.audit == nil {
		return nil
	}
	if err := c.audit.Ready(); err != nil {
		c.log.Warn("a claim was not given out, since the audit log cannot be written", "claim", id, "caller", caller.ID, "cause", err)
		return errUnavailable
	}
	return nil
}

// record writes what happened to a claim, for whom, to the audit log.
func (c *Claims) record(ctx context.Context, id string, held *claim, caller tools.Caller, entry audit.Entry) {
	if c.audit == nil {
		return
	}
	entry.Kind = audit.Token
	entry.Time, entry.RequestID = c.now(), tools.RequestID(ctx)
	entry.Caller, entry.TokenPrefix = caller.ID, caller.TokenPrefix
	entry.Claim, entry.Target, entry.Name = id, held.TokenID, held.Name
	c.audit.Record(entry)
}

// recordFetch writes that caller came for a claim.
func (c *Claims) recordFetch(ctx context.Context, id string, held *claim, caller tools.Caller, outcome audit.Outcome, left audit.Left) {
	c.record(ctx, id, held, caller, audit.Entry{Action: audit.ActionFetch, Outcome: outcome, Left: left})
}

// recordStranger writes that caller came for a claim of owner's.
func (c *Claims) recordStranger(ctx context.Context, id string, held *claim, caller tools.Caller, owner string) {
	c.record(ctx, id, held, caller, audit.Entry{
		Action: audit.ActionFetch, Owner: owner, Outcome: audit.Outcome(tools.CodeForbidden), Left: held.left(),
	})
}

// recordRevocation writes that the token of a claim was revoked, or err.
func (c *Claims) recordRevocation(ctx context.Context, id string, held *claim, caller tools.Caller, because audit.Reason, err error) {
	c.record(ctx, id, held, caller, audit.Entry{
		Action: audit.ActionRevoke, Because: because, Outcome: tools.OutcomeOf(err), Left: tokens.LeftAfter(err),
	})
}

// left is what is there of a claim's token, as far as the claim tells.
func (c *claim) left() audit.Left {
	switch {
	case c.State == claimWaiting:
		return audit.LeftWaiting
	case c.isSeenRevoked():
		return audit.LeftRevoked
	default:
		return audit.LeftUnknown
	}
}

// reasonToRevoke is why the token of a claim is revoked that cannot be fetched.
func reasonToRevoke(gone GoneReason) audit.Reason {
	if gone == GoneFetched {
		return audit.ReasonFetchedTwice
	}
	return audit.ReasonNeverFetched
}
