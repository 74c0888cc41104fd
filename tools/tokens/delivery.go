package tokens

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
)

// A Deliverer is the road by which the value of a new token reaches the person
// without passing through a model. The operator chooses it; no argument of a
// tool names a path or a recipient.
type Deliverer interface {
	// Method is the name of the delivery method, such as "file".
	Method() string
	// Check reports whether a secret could be delivered now. It is called
	// before anything is made. Its error says what the person must change; it
	// may be shown to a model.
	Check(ctx context.Context) error
	// Deliver brings the token's value to the person. On an error nothing was
	// delivered and the caller revokes the token; the error may be shown to a
	// model.
	Deliver(ctx context.Context, caller tools.Caller, token *client.CreatedToken) (Receipt, error)
}

// Receiver is implemented by a Deliverer that gives a value to the user in person. Its
// user has to be there before a token is made.
type Receiver interface {
	// Waits is how long Expect waits for the user. Zero: the user need not be there.
	Waits() time.Duration
	// Expect opens the place where the user asks for the token.
	Expect(ctx context.Context, want client.NewToken) (Pickup, error)
}

// Pickup is the place where a user asks for one new token.
type Pickup interface {
	// Asked returns once the user asks for the token, which may be made then. Its
	// error says that they do not, and may be shown to a model: an *[Error] with
	// [CodeDeclined] where they do not want it, with [CodeCannotDeliver] where they
	// did not come in time. The place is closed then.
	Asked(ctx context.Context) error
	// Until is when the user has asked at the latest.
	Until() time.Time
	// Deliver gives the user the token, as [Deliverer] does.
	Deliver(ctx context.Context, caller tools.Caller, token *client.CreatedToken) (Receipt, error)
	// Close tells the user that there is no token. After Deliver it does nothing.
	Close()
}

// Awaiting is implemented by a Deliverer that keeps values until the person comes
// for them: its receipts are Pending.
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

// Overwriting is implemented by a Deliverer that puts each new value in the same
// place, so that the value there is lost.
type Overwriting interface {
	// Current returns the value that is there now.
	Current(ctx context.Context) (CurrentValue, error)
	// Overwrite delivers as [Deliverer] does. It fails, and changes nothing, with
	// [ErrCurrentChanged] where another value than current is there by now.
	Overwrite(ctx context.Context, caller tools.Caller, token *client.CreatedToken, current CurrentValue) (Receipt, error)
}

// CurrentValue stands for a value that a new one would take the place of.
type CurrentValue struct {
	// What tells in words what would be lost, "" for nothing. It may be shown to a
	// model.
	What string
	// Digest is the same for the same value.
	Digest string
}

// ErrCurrentChanged means that the value in the place of delivery is not the one
// that it was when the call began.
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

// Receipt tells where a delivered secret is to be found. All of it may be read
// by a model.
type Receipt struct {
	// Method is the name of the delivery method.
	Method string `json:"road"`
	// Where the person finds the value: the path of a file, an address.
	Where string `json:"where,omitempty"`
	// Note says in a sentence what the person does next.
	Note string `json:"note"`
	// Sealed is the secret encrypted to the person, in lines of plain text, and
	// is set by the road "sealed" alone.
	Sealed string `json:"sealed,omitempty"`
	// Value is the secret itself, and is set by the road "inline" alone.
	Value string `json:"value,omitempty"`
	// Pending tells that the person has yet to come for the value; see
	// [JournalEntryFrom].
	Pending bool `json:"-"`
	// Held tells that the user has taken the value in person.
	Held bool `json:"-"`
}

// onlyInAnswer reports whether the value is lost with the answer, or cannot be found
// without it.
func (r Receipt) onlyInAnswer() bool { return r.Value != "" || r.Sealed != "" || r.Pending }

// Keeper keeps the token that the server itself runs on, and can put another in
// its place.
type Keeper interface {
	// Replaceable reports where the token is kept, in words for a person, and
	// whether Replace could put another there. The error says why not, and what
	// the person has to change instead.
	Replaceable(ctx context.Context) (place string, err error)
	// Replace puts token where the present one is kept. From the next call on
	// the server runs on it. On an error, whose text may be shown to a model, the
	// present one is still in its place.
	Replace(ctx context.Context, token client.Secret) (place string, err error)
}

// StatusUnclaimed is that of a token in a list that was made and has not reached its
// user yet. It may be used as soon as it does, and is revoked if it does not.
const StatusUnclaimed = "waiting for pick-up"

// unclaimed are tokens that were made and have not reached their user yet.
type unclaimed struct {
	mu  sync.Mutex
	ids map[string]struct{}
}

// add notes that the token id is on its way, until the function that it returns is
// called.
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

// waitingForPickup returns a function that reports whether a token of the caller's
// has not reached its user yet.
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
