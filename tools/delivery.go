package tools

import (
	"context"

	"github.com/kenbun/kenbun-mcp/client"
)

// A Deliverer is the road by which the value of a new token reaches the person
// without passing through a model. The operator chooses it; no argument of a
// tool names a path or a recipient.
type Deliverer interface {
	// Road is the road's name, such as "file".
	Road() string
	// Check reports whether a secret could be delivered now. It is called
	// before anything is made. Its error says what the person must change; it
	// may be shown to a model.
	Check(ctx context.Context) error
	// Deliver brings the token's value to the person. On an error nothing was
	// delivered and the caller revokes the token; the error may be shown to a
	// model.
	Deliver(ctx context.Context, caller Caller, token *client.CreatedToken) (Receipt, error)
}

// Awaiting is implemented by a Deliverer that keeps values until the person comes
// for them: its receipts are Pending.
type Awaiting interface{ AwaitsPerson() bool }

// Overwriting is implemented by a Deliverer that may put a new value in the place
// of another, which is lost then.
type Overwriting interface {
	// Overwrites tells in words what would be lost, "" for nothing. Its text may
	// be shown to a model.
	Overwrites(ctx context.Context) (what string, err error)
}

func awaits(road Deliverer) bool {
	awaiting, ok := road.(Awaiting)
	return ok && awaiting.AwaitsPerson()
}

const receiptSchema = `{"type":"object","description":"Where the person finds the value.","properties":{` +
	`"road":{"type":"string"},"where":{"type":"string"},"note":{"type":"string"},` +
	`"sealed":{"type":"string","description":"The value, encrypted to the person; show it to them unchanged."},` +
	`"value":{"type":"string","description":"Only where the operator chose to deliver inline."}` +
	`},"required":["road","note"]}`

// Receipt tells where a delivered secret is to be found. All of it may be read
// by a model.
type Receipt struct {
	// Road is the road's name.
	Road string `json:"road"`
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
}

// onlyInAnswer reports whether the value is lost with the answer.
func (r Receipt) onlyInAnswer() bool { return r.Value != "" || r.Sealed != "" }
