package tokens

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
)

// A Deliverer is the delivery method by which the value of a new token reaches the user
// without passing through a model. The operator chooses it. No argument of a tool names a
// path or a recipient.
type Deliverer interface {
	// Method is the name of the delivery method, such as "file".
	Method() string
	// Check reports whether a secret could be delivered now. It is called before a token is
	// created. The error says what the user must change, and may be shown to a model.
	Check(ctx context.Context) error
	// Deliver delivers the token's value to the user. On an error nothing was delivered and
	// the caller revokes the token; the error may be shown to a model.
	Deliver(ctx context.Context, caller tools.Caller, token *client.CreatedToken) (Receipt, error)
}

// Receiver is implemented by a Deliverer whose user has to be present before a token is
// created.
type Receiver interface {
	// Waits is how long Expect waits for the user. Zero: the user need not be there.
	Waits() time.Duration
	// Expect opens the place where the user asks for the token.
	Expect(ctx context.Context, want client.NewToken) (Pickup, error)
}

// Pickup is the place where a user asks for one new token.
type Pickup interface {
	// Asked returns once the user asks for the token, which may be created then. Its error
	// may be shown to a model: an *[Error] with [CodeDeclined] if they do not want it, with
	// [CodeCannotDeliver] if they did not come in time. The place is closed then.
	Asked(ctx context.Context) error
	// Until is when the user has asked at the latest.
	Until() time.Time
	// Deliver gives the user the token, as [Deliverer] does.
	Deliver(ctx context.Context, caller tools.Caller, token *client.CreatedToken) (Receipt, error)
	// Close shows the user that there is no token. After Deliver it does nothing.
	Close()
}

// Awaiting is implemented by a Deliverer that keeps values until the user picks them up: its
// receipts are Pending.
type Awaiting interface{ AwaitsUser() bool }

// Claimed is implemented by a Deliverer that can list what waits for a user.
type Claimed interface {
	// Unclaimed returns the ids of the caller's tokens that nobody has come for yet.
	Unclaimed(ctx context.Context, caller tools.Caller) ([]string, error)
}

// Addressing is implemented by a Deliverer that delivers to whom the request names.
type Addressing interface {
	Addressee(ctx context.Context) string
}

// Overwriting is implemented by a Deliverer that overwrites the previous value.
type Overwriting interface {
	// Current returns the value that is there now.
	Current(ctx context.Context) (CurrentValue, error)
	// Overwrite delivers as [Deliverer] does. It changes nothing and fails with
	// [ErrCurrentChanged] if the value there is not current.
	Overwrite(ctx context.Context, caller tools.Caller, token *client.CreatedToken, current CurrentValue) (Receipt, error)
}

// CurrentValue stands for a value that a new one would take the place of.
type CurrentValue struct {
	// What describes what would be lost, "" for nothing. It may be shown to a model.
	What string
	// Digest is the same for the same value.
	Digest string
}

// ErrCurrentChanged indicates that the value to be overwritten changed during the call.
var ErrCurrentChanged = errors.New("the value that the new token was to take the place of changed meanwhile")

func awaits(deliverer Deliverer) bool {
	awaiting, ok := deliverer.(Awaiting)
	return ok && awaiting.AwaitsUser()
}

const receiptSchema = `{"type":"object","description":"Where the user finds the value.","properties":{` +
	`"road":{"type":"string"},"where":{"type":"string"},"note":{"type":"string"},` +
	`"sealed":{"type":"string","description":"The value, encrypted for the user. Show it to them unchanged."},` +
	`"value":{"type":"string","description":"Only if the operator chose inline delivery."}` +
	`},"required":["road","note"]}`

// Receipt says where a delivered secret is. A model may read all of it.
type Receipt struct {
	// Method is the name of the delivery method.
	Method string `json:"road"`
	// Where the user finds the value: the path of a file, an address.
	Where string `json:"where,omitempty"`
	// Note says in a sentence what the user does next.
	Note string `json:"note"`
	// Sealed is the secret encrypted to the user, as plain text. Only the method "sealed"
	// sets it.
	Sealed string `json:"sealed,omitempty"`
	// Value is the secret itself, and is set by the method "inline" alone.
	Value string `json:"value,omitempty"`
	// Pending means that the user has not picked up the value yet; see [JournalEntryFrom].
	Pending bool `json:"-"`
	// Held means that the user has taken the value in person.
	Held bool `json:"-"`
}

// onlyInAnswer reports whether the value is lost with the answer, or cannot be found without
// it.
func (r Receipt) onlyInAnswer() bool { return r.Value != "" || r.Sealed != "" || r.Pending }

// Keeper keeps the token that the server itself runs on, and can replace it.
type Keeper interface {
	// Replaceable reports where the token is kept, in words for a user, and whether Replace
	// could work. The error says why not, and what the user has to change instead.
	Replaceable(ctx context.Context) (place string, err error)
	// Replace replaces the current token. The next call runs on the new one. On an error,
	// whose text may be shown to a model, the current one is still in its place.
	Replace(ctx context.Context, token client.Secret) (place string, err error)
}

// StatusUnclaimed is the status of a token that has not reached its user yet. It is revoked
// if it never does.
const StatusUnclaimed = "waiting for pick-up"

// unclaimed are tokens that were made and have not reached their user yet.
type unclaimed struct {
	mu  sync.Mutex
	ids map[string]struct{}
}

// add records that the token id is on its way, until arrived is called.
func (u *unclaimed) add(id string) (arrived func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ids[id] = struct{}{}
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.ids, id)
	}
}

// has reports whether the token id is on its way.
func (u *unclaimed) has(id string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, is := u.ids[id]
	return is
}

// waitingForPickup returns a function that reports whether a token has not reached its user
// yet.
func (c *call) waitingForPickup(ctx context.Context) (waits func(id string) bool, err error) {
	claimed := map[string]bool{}
	if claims, ok := c.deliverer.(Claimed); ok {
		var ids []string
		ids, err = claims.Unclaimed(ctx, c.Caller)
		for _, id := range ids {
			claimed[id] = true
		}
	}
	return func(id string) bool { return claimed[id] || c.unclaimed.has(id) }, err
}
