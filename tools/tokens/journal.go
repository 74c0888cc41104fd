package tokens

import (
	"context"
	"errors"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
)

// Journal remembers which tokens are on their way to a person, so that a crash
// leaves none behind that lives and that nobody holds.
type Journal interface {
	// Begin is called before a token is made. What it notes survives a crash; on
	// an error nothing is made. The error may be shown to a model.
	Begin(ctx context.Context, caller tools.Caller, intent Intent) (JournalEntry, error)
	// Recover deals with what processes that are no more left behind of this
	// caller's: it revokes what nobody holds. What it cannot deal with it keeps.
	// On an error it can be called again.
	Recover(ctx context.Context, caller tools.Caller) ([]Recovered, error)
}

// Intent is a token that is about to be made.
type Intent struct {
	Name string
	// ExpiresAt is nil for a token that never expires.
	ExpiresAt *time.Time
	BeganAt   time.Time
}

// JournalEntry is one token on its way. An entry that is never done is dealt
// with after the process has ended.
type JournalEntry interface {
	// Made notes the id of the token.
	Made(id string) error
	// MayHaveMade notes ids out of which one may be the token, where the API's
	// answer was lost. There may be none.
	MayHaveMade(ids []string) error
	// Done forgets the entry: a person holds the token, or it was revoked, or it
	// was never made.
	Done() error
}

type journalEntryKey struct{}

// JournalEntryFrom returns the entry of the token that a [Deliverer] delivers
// under ctx. A road on which the person comes later marks its receipt as
// pending and calls Done itself, once the person has come or the token was
// revoked. Without a journal the entry does nothing.
func JournalEntryFrom(ctx context.Context) JournalEntry {
	if entry, ok := ctx.Value(journalEntryKey{}).(JournalEntry); ok {
		return entry
	}
	return noEntry{}
}

type noEntry struct{}

func (noEntry) Made(string) error          { return nil }
func (noEntry) MayHaveMade([]string) error { return nil }
func (noEntry) Done() error                { return nil }

// RecoveryOutcome is what became of a token that a process left behind.
type RecoveryOutcome string

// The outcomes.
const (
	// RecoveredRevoked: nobody held it, and it was revoked.
	RecoveredRevoked RecoveryOutcome = "revoked"
	// RecoveredGone: it was revoked or had expired already.
	RecoveredGone RecoveryOutcome = "gone"
	// RecoveredInUse: it was used since, so that somebody holds it; it was left
	// alone.
	RecoveredInUse RecoveryOutcome = "in_use"
	// RecoveredNotMade: no such token was made.
	RecoveredNotMade RecoveryOutcome = "not_made"
	// RecoveredUnclear: it cannot be told which token it is, or whether there is
	// one; nothing was done, and a person should look.
	RecoveredUnclear RecoveryOutcome = "unclear"
	// RecoveredUnverified: the API shows such a token, but the entry was not
	// written with the caller's token, was altered, or is too old. Nothing was
	// done, and the user should look.
	RecoveredUnverified RecoveryOutcome = "unverified"
)

// Recovered is a token that a process left behind.
type Recovered struct {
	// TokenID is empty where it is not known.
	TokenID string
	// Name is as it was given, and has to be cleaned before it is shown.
	Name    string
	Outcome RecoveryOutcome
}

// begin notes that a token is about to be made.
func (c *call) begin(ctx context.Context, want client.NewToken) (journaled, error) {
	if c.journal == nil {
		return journaled{c: c, entry: noEntry{}}, nil
	}
	entry, err := c.journal.Begin(ctx, c.Caller, Intent{Name: want.Name, ExpiresAt: want.ExpiresAt, BeganAt: c.Clock()})
	if err != nil {
		return journaled{}, cannotDeliver(err, "no token was made")
	}
	return journaled{c: c, entry: entry}, nil
}

// journaled notes what becomes of a token. What cannot be noted is logged and
// stops nothing: the token exists, and to bring it to the person matters more.
type journaled struct {
	c     *call
	entry JournalEntry
}

func (j journaled) made(id string) { j.log(j.entry.Made(id)) }

func (j journaled) done() { j.log(j.entry.Done()) }

// delivered notes that the value is where the person finds it, unless the
// person has yet to come.
func (j journaled) delivered(receipt Receipt) {
	if !receipt.Pending {
		j.done()
	}
}

// failed notes how a creation failed.
func (j journaled) failed(err error) {
	var lost *client.CreateError
	if errors.As(err, &lost) && lost.Outcome == client.OutcomeUnknown {
		j.log(j.entry.MayHaveMade(lost.TokenIDs))
		return
	}
	j.done()
}

// within lets a road find the entry.
func (j journaled) within(ctx context.Context) context.Context {
	return context.WithValue(ctx, journalEntryKey{}, j.entry)
}

func (j journaled) log(err error) {
	if err != nil {
		j.c.Log.Error("the journal of tokens on their way could not be written", "cause", err)
	}
}
