// Package claims lets a new token wait, encrypted, until its user fetches it from
// an HTTP server, and revokes the tokens that nobody fetches.
package claims

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/claimkey"
	"github.com/kenbun/kenbun-mcp/internal/humantime"
	"github.com/kenbun/kenbun-mcp/internal/ratelimit"
	"github.com/kenbun/kenbun-mcp/internal/state"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/audit"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

const (
	// MaxLifetime bounds how long a claim waits: ten minutes, as NIST SP 800-63B-4,
	// section 3.1.3.2, gives secrets on their way to a user.
	MaxLifetime = 10 * time.Minute
	// rememberedFor is how long a finished claim is kept, to recognize a second try.
	rememberedFor = 24 * time.Hour
	// keptForRevoking is how long an unfetched claim is kept, to revoke its token.
	keptForRevoking = 7 * 24 * time.Hour

	idPrefix = "claim_"
	// Path precedes a claim's id in the address of its page.
	Path = "/claim/"
)

// Config configures [Claims].
type Config struct {
	// Store keeps the claims. Required.
	Store state.Store
	// Key encrypts them: 32 bytes, the same for all that share the store.
	Key []byte
	// API revokes tokens that nobody fetched. Required.
	API *client.Client
	// Lifetime is how long a claim waits, at most [MaxLifetime]. Zero: that.
	Lifetime time.Duration
	// Auditor records what happens to claims. Nil: nothing is recorded.
	Auditor audit.Log
	// Logger may be nil.
	Logger *slog.Logger
	// Observe is called for each event. It may be nil.
	Observe func(Event)
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Event is something that happens to a claim.
type Event string

// The events.
const (
	// EventMade: a token waits for its user.
	EventMade Event = "made"
	// EventFetched: the user has it.
	EventFetched Event = "fetched"
	// EventExpired: nobody fetched it in time.
	EventExpired Event = "expired"
	// EventTakenBack: it was fetched and could not be delivered.
	EventTakenBack Event = "taken_back"
	// EventContested: it was tried again after a fetch, so somebody else may have it.
	EventContested Event = "contested"
)

// Claims delivers a new token by keeping it until the user fetches it. The tool's answer
// holds the claim's id, which fetches nothing without a proof.
//
// The value is sealed under a key derived from the user's token (package claimkey), so
// that nobody else can open it, even with the store and its key.
//
// A claim is fetched once. A second try with the right proof means that somebody else may
// have the token, and revokes it, as does the deadline. That needs a process that ran when
// the claim was made (see revokers); without one, it happens at the user's next call.
type Claims struct {
	store    state.Store
	aead     cipher.AEAD
	api      *client.Client
	revokers *revokers
	server   string
	lifetime time.Duration
	audit    audit.Log
	log      *slog.Logger
	observe  func(Event)
	now      func() time.Time
	// wrongTries counts everybody's tries at this process.
	wrongTries *ratelimit.Table

	onTheirWay onTheirWay
}

// New returns claims in config.Store.
func New(config Config) (*Claims, error) {
	if config.Store == nil || config.API == nil {
		return nil, errors.New("claims need a store, and the API to revoke what nobody fetches")
	}
	if config.Lifetime < 0 || config.Lifetime > MaxLifetime {
		return nil, fmt.Errorf("a claim can wait for up to %s", humantime.Span(MaxLifetime))
	}
	block, err := aes.NewCipher(config.Key)
	if err != nil || len(config.Key) != 32 {
		return nil, errors.New("claims are encrypted under a key of 32 bytes")
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("prepare the encryption of claims: %w", err)
	}
	c := &Claims{
		store: config.Store, aead: aead, api: config.API, lifetime: cmp.Or(config.Lifetime, MaxLifetime),
		audit: config.Auditor, log: cmp.Or(config.Logger, slog.New(slog.DiscardHandler)), observe: config.Observe, now: config.Now,
		wrongTries: ratelimit.NewTable(1),
	}
	if c.revokers, err = newRevokers(); err != nil {
		return nil, err
	}
	if c.observe == nil {
		c.observe = func(Event) {}
	}
	if c.now == nil {
		c.now = time.Now
	}
	return c, nil
}

// ReachedAt sets the address of this server, such as "https://mcp.example.com". Without it,
// answers describe the page by its path. Call it before the first delivery.
func (c *Claims) ReachedAt(address string) { c.server = strings.TrimRight(address, "/") }

// Method implements tokens.Deliverer.
func (*Claims) Method() string { return "claim" }

// AwaitsUser implements tokens.Awaiting.
func (*Claims) AwaitsUser() bool { return true }

// Check implements tokens.Deliverer.
func (c *Claims) Check(ctx context.Context) error {
	if err := c.store.Ping(ctx); err != nil {
		c.log.Warn("new tokens cannot be delivered", "road", c.Method(), "cause", err)
		return errCannotKeep(err)
	}
	return nil
}

// errCannotKeep hides the details of a failure of the store, which are in the log.
func errCannotKeep(err error) error {
	why := "the store that keeps new tokens until they are fetched cannot be reached"
	if errors.Is(err, state.ErrFull) {
		why = "too many tokens are waiting to be fetched"
	}
	return &tools.Error{
		Code:    tools.CodeCannotDeliver,
		Message: why,
		Next:    "Try again in a minute; if it stays like this, tell the operator of the server. The user can make one in kenbun under Settings > Integrations > Personal Tokens.",
	}
}

// Deliver implements tokens.Deliverer.
func (c *Claims) Deliver(ctx context.Context, caller tools.Caller, token *client.CreatedToken) (tokens.Receipt, error) {
	if caller.ID == "" || caller.API == nil {
		return tokens.Receipt{}, errors.New("it is not known which user could claim the token")
	}
	id := idPrefix + rand.Text()
	keys, err := claimkey.Derive(caller.API, id)
	if err != nil {
		return tokens.Receipt{}, fmt.Errorf("it is not known which user could claim the token: %w", err)
	}
	forUser, err := keys.Seal(claimkey.Payload{
		ID: token.ID, Name: token.Name, CreatedAt: token.CreatedAt, ValidFrom: token.ValidFrom, ExpiresAt: token.ExpiresAt,
		Permissions: token.Permissions, Token: token.Value.Reveal(),
	})
	if err != nil {
		return tokens.Receipt{}, err
	}
	toRevoke, err := c.sealToRevoke(ctx, token.Value)
	if err != nil {
		c.log.Warn("a new token could not be kept for its user", "claim", id, "cause", err)
		return tokens.Receipt{}, errCannotKeep(err)
	}
	deadline := c.now().Add(c.lifetime)
	held := claim{
		State: claimWaiting, Deadline: deadline, Sealed: forUser, ProofKey: keys.Proof, ToRevoke: toRevoke, CallerPrefix: caller.TokenPrefix,
		TokenID: token.ID, Name: token.Name, Prefix: token.Prefix, CreatedAt: token.CreatedAt,
		ExpiresAt: token.ExpiresAt, ValidFrom: token.ValidFrom, Permissions: token.Permissions,
	}
	sealed, err := c.seal(id, caller.ID, &held)
	if err != nil {
		return tokens.Receipt{}, err
	}
	c.onTheirWay.add(id, tokens.JournalEntryFrom(ctx))
	// The deadline comes first: a claim without one would never be cleared away.
	err = c.store.Schedule(ctx, claimKey(id), held.revocable())
	if err == nil {
		err = c.noteFor(ctx, caller.ID, id)
	}
	kept := err == nil
	if kept {
		kept, err = c.store.Swap(ctx, claimKey(id), nil, sealed, c.lifetime+keptForRevoking)
	}
	if err == nil && !kept {
		err = errors.New("the claim's id is taken")
	}
	if err != nil {
		c.log.Warn("a new token could not be kept for its user", "claim", id, "cause", err)
		c.onTheirWay.take(id) // the caller revokes the token, and then updates the journal
		return tokens.Receipt{}, errCannotKeep(err)
	}
	if c.store.Shared() {
		// What happens to it from here on does not depend on this process.
		c.done(id)
	}
	c.observe(EventMade)
	c.log.Info("a token waits to be claimed", "claim", id, "id", token.ID, "caller", caller.ID, "until", deadline.UTC().Format(time.RFC3339))
	return c.receipt(id, deadline), nil
}

func (c *Claims) receipt(id string, deadline time.Time) tokens.Receipt {
	how := "by opening the page " + Path + id + " of this server, in place of /mcp in the address that the client has"
	where := "claim " + id
	if c.server != "" {
		where = c.server + Path + id
		how = "by opening that page in their browser"
	}
	return tokens.Receipt{
		Method: c.Method(), Where: where, Pending: true,
		Note: fmt.Sprintf("The value waits for the user for %s, until %s. They fetch it %s, and prove who they are with the kenbun token "+
			"that this client uses. It can be fetched once. If nobody fetches it in time, the token is revoked. "+
			"Tell the user where. Do not open the page, and do not ask for a token.",
			humantime.Span(c.lifetime), deadline.UTC().Format(time.RFC3339), how),
	}
}

// IsID reports whether id has the form of a claim's id.
func IsID(id string) bool {
	text, ok := strings.CutPrefix(id, idPrefix)
	return ok && len(text) == 26 && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

func claimKey(id string) string { return "claim:" + id }

// onTheirWay holds the journal's entries of waiting claims. Its zero value is ready.
type onTheirWay struct {
	mu      sync.Mutex
	entries map[string]tokens.JournalEntry // by claim id
}

func (o *onTheirWay) add(id string, entry tokens.JournalEntry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.entries == nil {
		o.entries = map[string]tokens.JournalEntry{}
	}
	o.entries[id] = entry
}

func (o *onTheirWay) take(id string) tokens.JournalEntry {
	o.mu.Lock()
	defer o.mu.Unlock()
	entry := o.entries[id]
	delete(o.entries, id)
	return entry
}

// done reports to the journal that a claim's token was fetched, or cannot be any more.
func (c *Claims) done(id string) {
	entry := c.onTheirWay.take(id)
	if entry == nil {
		return
	}
	if err := entry.Done(); err != nil {
		c.log.Error("the journal of tokens on their way could not be written", "claim", id, "cause", err)
	}
}
