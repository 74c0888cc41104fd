package tools

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
)

// Auditor keeps what was changed, and what was to be changed, for the operator.
type Auditor interface {
	// Ready reports whether entries can be written. While it fails nothing is
	// asked or changed. The error is for the operator's log.
	Ready() error
	// Record writes an entry, before the answer goes out that it is about. What
	// cannot be written is kept and written later: the change has happened.
	Record(entry AuditEntry)
}

// AuditEntry is one change to one token, made or not made. It holds no token's
// value; as JSON, all text in it is cleaned and cut, so that one entry is one
// line.
type AuditEntry struct {
	Time time.Time
	// RequestID is empty where nobody asked, as for what a server does by itself.
	RequestID string
	// Caller is whose change it is: [Caller.ID].
	Caller string
	// TokenPrefix is the public part of the token that the caller uses.
	TokenPrefix string
	// Tool is empty for what happens to a token after the call that made it.
	Tool   string
	Action AuditAction
	// Target is the id of the token that the entry is about; empty where there
	// is none, or it is not known.
	Target string
	// Name is the token's.
	Name string
	// Replaces is the id of the old token in a rotation.
	Replaces string
	// Changes are what was to become another of a token that was there.
	Changes []AuditChange
	// Candidates are ids out of which one may be the token, where it cannot be
	// told which.
	Candidates []string
	// Claim is the id of the claim by which the token is fetched.
	Claim string
	// Owner is whose claim it is, where somebody else tried to fetch it.
	Owner string
	// Road is how the value of a new token was brought to the person.
	Road string
	// Because is why a token was revoked that nobody asked to have revoked.
	Because AuditReason
	// Decision is what the person said, if they were asked. Empty: VerdictNotAsked.
	Decision Verdict
	// AskedBy is how they were asked.
	AskedBy Way
	Outcome AuditOutcome
	// Left is what is there of the token afterwards.
	Left Left
}

// AuditChange is one thing about a token that was, or was to be, another
// afterwards: a name; a time, "never" or "at once"; permissions with a space
// between, or "all".
type AuditChange struct{ What, From, To string }

// MarshalJSON implements json.Marshaler.
func (c AuditChange) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		What string `json:"what"`
		From string `json:"from"`
		To   string `json:"to"`
	}{shown(c.What, maxAuditWord), shown(c.From, maxAuditValue), shown(c.To, maxAuditValue)})
}

// AuditAction is what was done to a token, or was to be done.
type AuditAction string

// The actions.
const (
	ActionCreate  AuditAction = "create"
	ActionDeliver AuditAction = "deliver"
	ActionRevoke  AuditAction = "revoke"
	ActionUpdate  AuditAction = "update"
	// ActionFetch is a person's coming for a value that waits for them.
	ActionFetch AuditAction = "fetch"
)

// AuditOutcome is [OutcomeDone], [OutcomeUnchanged], or the [Code] of the error.
type AuditOutcome string

// The outcomes that are no errors.
const (
	OutcomeDone AuditOutcome = "done"
	// OutcomeUnchanged: it was so already.
	OutcomeUnchanged AuditOutcome = "unchanged"
)

// AuditReason is why a token was revoked that nobody asked to have revoked.
type AuditReason string

// The reasons.
const (
	// ReasonRotated: another one took its place.
	ReasonRotated AuditReason = "rotated"
	// ReasonUndelivered: its value reached nobody.
	ReasonUndelivered AuditReason = "undelivered"
	// ReasonOvertaken: it was made for a rotation while another one ended the old
	// token.
	ReasonOvertaken AuditReason = "overtaken"
	// ReasonNeverFetched: nobody came for it in time.
	ReasonNeverFetched AuditReason = "never_fetched"
	// ReasonFetchedTwice: its owner came for it, and somebody had been there.
	ReasonFetchedTwice AuditReason = "fetched_twice"
	// ReasonNotHandedOver: it was fetched, and the answer was lost.
	ReasonNotHandedOver AuditReason = "not_handed_over"
	// ReasonLeftBehind: the process that made it ended before it was delivered.
	ReasonLeftBehind AuditReason = "left_behind"
)

// Verdict is what a person said about a change.
type Verdict string

// The verdicts.
const (
	// VerdictNotAsked: nobody had to be asked, or it did not come to that.
	VerdictNotAsked Verdict = "not_asked"
	VerdictApproved Verdict = "approved"
	VerdictDeclined Verdict = "declined"
	// VerdictNoAnswer: none came in time, or none that counts.
	VerdictNoAnswer Verdict = "no_answer"
	// VerdictHeldBack: the user was not asked, since their questions are used up:
	// they said no of late, or others are open.
	VerdictHeldBack      Verdict = "held_back"
	VerdictNobodyToAsk   Verdict = "nobody_to_ask"
	VerdictTrustedClient Verdict = "trusted_client"
)

// Way is how a person is asked.
type Way string

// The ways.
const (
	WayElicitation Way = "elicitation"
	WayPage        Way = "page"
	WayTerminal    Way = "terminal"
)

// Left is what is there of a token.
type Left string

// What can be left.
const (
	LeftNothing Left = "nothing"
	LeftLive    Left = "live"
	// LeftWaiting: it lives, and its value waits for the person.
	LeftWaiting Left = "waiting"
	// LeftRevoked: it was revoked, or has expired.
	LeftRevoked Left = "revoked"
	LeftUnknown Left = "unknown"
)

// Limits of what stands in an entry, in characters.
const (
	maxAuditWord       = 64
	maxAuditValue      = 1000
	maxAuditCandidates = 10
)

// MarshalJSON implements json.Marshaler.
func (e AuditEntry) MarshalJSON() ([]byte, error) {
	word := func(s string) string { return shown(s, maxAuditWord) }
	var candidates []string
	for _, id := range e.Candidates[:min(len(e.Candidates), maxAuditCandidates)] {
		candidates = append(candidates, word(id))
	}
	decision := e.Decision
	if decision == "" {
		decision = VerdictNotAsked
	}
	return json.Marshal(struct {
		Time        string        `json:"time"`
		RequestID   string        `json:"request_id,omitempty"`
		Caller      string        `json:"caller"`
		TokenPrefix string        `json:"token_prefix,omitempty"`
		Tool        string        `json:"tool,omitempty"`
		Action      AuditAction   `json:"action"`
		Target      string        `json:"target,omitempty"`
		Name        string        `json:"name,omitempty"`
		Changes     []AuditChange `json:"changes,omitempty"`
		Replaces    string        `json:"replaces,omitempty"`
		Candidates  []string      `json:"candidates,omitempty"`
		Claim       string        `json:"claim,omitempty"`
		Owner       string        `json:"owner,omitempty"`
		Road        string        `json:"road,omitempty"`
		Because     AuditReason   `json:"because,omitempty"`
		Decision    Verdict       `json:"decision"`
		AskedBy     Way           `json:"asked_by,omitempty"`
		Outcome     AuditOutcome  `json:"outcome"`
		Left        Left          `json:"left"`
	}{
		e.Time.UTC().Format("2006-01-02T15:04:05.000Z07:00"), word(e.RequestID), word(e.Caller), word(e.TokenPrefix), word(e.Tool),
		e.Action, word(e.Target), shown(e.Name, maxNameLength), e.Changes, word(e.Replaces), candidates, word(e.Claim), word(e.Owner), word(e.Road),
		e.Because, decision, e.AskedBy, e.Outcome, e.Left,
	})
}

// AuditOutcomeOf is how an entry calls how something ended that asked the API or
// a road. That a token to be revoked is not there leaves things unchanged.
func AuditOutcomeOf(err error) AuditOutcome {
	if err == nil {
		return OutcomeDone
	}
	if e, ok := asError(err); ok {
		return AuditOutcome(e.Code)
	}
	switch {
	case errors.Is(err, client.ErrOutcomeUnknown):
		return AuditOutcome(CodeOutcomeUnknown)
	case errors.Is(err, client.ErrNotFound):
		return OutcomeUnchanged
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return AuditOutcome(CodeUnavailable)
	}
	return AuditOutcome(classify(err, "").Code)
}

// LeftAfter is what is left of a token after its revocation ended with err.
func LeftAfter(err error) Left {
	if errors.Is(err, client.ErrOutcomeUnknown) {
		return LeftUnknown
	}
	if err == nil || errors.Is(err, client.ErrNotFound) {
		return LeftRevoked
	}
	for _, refusal := range []error{client.ErrForbidden, client.ErrUnauthenticated, client.ErrRateLimited, client.ErrInvalid} {
		if errors.Is(err, refusal) {
			return LeftLive
		}
	}
	return LeftUnknown
}
