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

// claimState is the state of a claim.
type claimState string

const (
	// claimWaiting: the user can fetch it.
	claimWaiting claimState = "waiting"
	// claimFetched: it was fetched.
	claimFetched claimState = "fetched"
	// claimEnded: nobody fetched it in time, and its token must be revoked.
	claimEnded claimState = "ended"
	// claimRevoked: its token was revoked, or is not accepted any more (Unseen).
	claimRevoked claimState = "revoked"
)

// claim is a token on its way to its user. The store has it encrypted.
type claim struct {
	State    claimState `json:"state"`
	Deadline time.Time  `json:"deadline"`
	// Gone is why it cannot be fetched any more; empty while it waits.
	Gone GoneReason `json:"gone,omitempty"`
	// Unseen means that kenbun refuses the token, but was not seen to have it revoked.
	Unseen bool `json:"unseen,omitempty"`
	// Sealed is the token, sealed for its user (package claimkey), while it can be fetched.
	Sealed []byte `json:"sealed,omitempty"`
	// ProofKey verifies the user's proof.
	ProofKey []byte `json:"proof_key,omitempty"`
	// ToRevoke is the value, encrypted to the processes that can revoke it (see revokers).
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

// isSeenRevoked reports whether the token is certainly revoked.
func (c *claim) isSeenRevoked() bool { return c.State == claimRevoked && !c.Unseen }

// GoneReason is why a claim cannot be fetched by its owner.
type GoneReason string

// The reasons.
const (
	// GoneFetched: it was fetched before.
	GoneFetched GoneReason = "fetched"
	// GoneExpired: nobody fetched it in time.
	GoneExpired GoneReason = "expired"
	// GoneRevoked: its token is revoked already.
	GoneRevoked GoneReason = "revoked"
)

// GoneError indicates that the caller's claim cannot be fetched any more.
type GoneError struct {
	Reason  GoneReason
	TokenID string
	// Revoked reports whether the token is certainly revoked. It may be live otherwise.
	Revoked bool
}

// reasonGone returns why c cannot be fetched any more, or otherwise if nothing is recorded.
func (c *claim) reasonGone(otherwise GoneReason) GoneReason {
	if c.Gone == "" {
		return otherwise
	}
	return c.Gone
}

// Error implements error.
func (e *GoneError) Error() string {
	var what string
	switch e.Reason {
	case GoneFetched:
		what = "this claim was fetched already"
	case GoneExpired:
		what = "this claim was not fetched in time"
	default:
		what = "this claim has ended"
	}
	switch {
	case !e.Revoked:
		return fmt.Sprintf("%s, and it is not certain that its token is revoked: run `kenbun-mcp tokens revoke %s` now", what, e.TokenID)
	case e.Reason == GoneRevoked:
		return "the token of this claim was revoked; create another one if it is still needed"
	}
	return what + "; its token was revoked, so that it is of no use to anybody. Create another one if it is still needed"
}

func (c *claim) token() client.Token {
	return client.Token{
		ID: c.TokenID, Name: c.Name, Prefix: c.Prefix, CreatedAt: c.CreatedAt,
		ExpiresAt: c.ExpiresAt, ValidFrom: c.ValidFrom, Permissions: c.Permissions,
	}
}

// owner returns the owner as a caller for the audit log, without access to the API.
func (c *claim) owner(id string) tools.Caller {
	return tools.Caller{ID: id, TokenPrefix: c.CallerPrefix}
}

// revocable returns when an unfetched token can be revoked with itself, which the API must
// accept first.
func (c *claim) revocable() time.Time {
	if c.ValidFrom != nil && c.ValidFrom.After(c.Deadline) {
		return *c.ValidFrom
	}
	return c.Deadline
}

// envelope is a claim in the store.
type envelope struct {
	// Owner is a keyed hash of the owner's token.
	Owner string `json:"owner"`
	Box   []byte `json:"box"`
}

// boundTo binds a box to its claim and owner.
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

// auditable returns an error while the audit log cannot record who fetched a token.
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

// record writes an entry about a claim to the audit log.
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

// recordFetch records a try by caller.
func (c *Claims) recordFetch(ctx context.Context, id string, held *claim, caller tools.Caller, outcome audit.Outcome, left audit.Left) {
	c.record(ctx, id, held, caller, audit.Entry{Action: audit.ActionFetch, Outcome: outcome, Left: left})
}

// recordStranger records a try by caller at another owner's claim.
func (c *Claims) recordStranger(ctx context.Context, id string, held *claim, caller tools.Caller, owner string) {
	c.record(ctx, id, held, caller, audit.Entry{
		Action: audit.ActionFetch, Owner: owner, Outcome: audit.Outcome(tools.CodeForbidden), Left: held.left(),
	})
}

// recordRevocation records a revocation, or its failure.
func (c *Claims) recordRevocation(ctx context.Context, id string, held *claim, caller tools.Caller, because audit.Reason, err error) {
	c.record(ctx, id, held, caller, audit.Entry{
		Action: audit.ActionRevoke, Because: because, Outcome: tools.OutcomeOf(err), Left: tokens.LeftAfter(err),
	})
}

// left returns what remains of a claim's token, as far as the claim shows.
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

// reasonToRevoke returns the audit log's reason for a revocation.
func reasonToRevoke(gone GoneReason) audit.Reason {
	if gone == GoneFetched {
		return audit.ReasonFetchedTwice
	}
	return audit.ReasonNeverFetched
}
