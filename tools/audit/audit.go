// Package audit describes changes for the operator's audit log: one entry for each change,
// done or refused, to an object of any kind.
package audit

import (
	"encoding/json"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/internal/redact"
)

// Log keeps entries for the operator.
type Log interface {
	// Ready reports whether entries can be written. While it fails, nothing is asked or
	// changed. The error is for the operator's log.
	Ready() error
	// Record writes an entry before the answer that it is about goes out. An entry that
	// cannot be written is kept and written later: the change has happened.
	Record(entry Entry)
}

// Entry is one change to one object, done or refused. It holds no secret. As JSON it is one
// line, its text cleaned and cut.
type Entry struct {
	Time time.Time
	// RequestID is empty where nobody asked, as for what a server does by itself.
	RequestID string
	// Caller is whose change it is: [Caller.ID].
	Caller string
	// TokenPrefix is the public part of the token that the caller uses.
	TokenPrefix string
	// Tool is empty for what happens to an object after the call that made it.
	Tool   string
	Action Action
	// Kind says what the object is, such as [Token].
	Kind Kind
	// Target is the object's id, empty if there is no object or the id is not known.
	Target string
	// Name is the object's.
	Name string
	// Replaces is the id of the old token in a rotation.
	Replaces string
	// Changes are the fields of an existing object that were to change.
	Changes []Change
	// Candidates are ids of which one may be the object's, if it is not known which.
	Candidates []string
	// Claim is the id of the claim by which the token is fetched.
	Claim string
	// Owner is whose claim it is, where somebody else tried to fetch it.
	Owner string
	// Method is how the value of a new token was delivered to the user.
	Method string
	// Because is why a token was revoked that nobody asked to revoke.
	Because Reason
	// Decision is what the user said, if they were asked. Empty: VerdictNotAsked.
	Decision Verdict
	// AskedBy is how they were asked.
	AskedBy Way
	Outcome Outcome
	// Left is what is left of the object afterwards.
	Left Left
}

// Kind is the kind of an object.
type Kind string

// Token is a personal access token.
const Token Kind = "token"

// Change is one field of an object before and after, or what it was to become.
type Change struct{ What, From, To string }

// MarshalJSON implements json.Marshaler.
func (c Change) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		What string `json:"what"`
		From string `json:"from"`
		To   string `json:"to"`
	}{show(c.What, maxWord), show(c.From, maxValue), show(c.To, maxValue)})
}

// Action is what was done to an object, or was to be done.
type Action string

// The actions.
const (
	ActionCreate  Action = "create"
	ActionDeliver Action = "deliver"
	ActionRevoke  Action = "revoke"
	ActionUpdate  Action = "update"
	// ActionFetch is a pick-up of a value that waits for them.
	ActionFetch Action = "fetch"
)

// Outcome is [OutcomeDone], [OutcomeUnchanged], or the code of the tool's error.
type Outcome string

// The outcomes that are no errors.
const (
	OutcomeDone Outcome = "done"
	// OutcomeUnchanged: it was so already.
	OutcomeUnchanged Outcome = "unchanged"
)

// Reason is why a token was revoked that nobody asked to have revoked.
type Reason string

// The reasons.
const (
	// ReasonRotated: another one took its place.
	ReasonRotated Reason = "rotated"
	// ReasonUndelivered: its value reached nobody.
	ReasonUndelivered Reason = "undelivered"
	// ReasonOvertaken: another rotation had already revoked the old token.
	ReasonOvertaken Reason = "overtaken"
	// ReasonNeverFetched: nobody came for it in time.
	ReasonNeverFetched Reason = "never_fetched"
	// ReasonFetchedTwice: its owner came for it, and somebody had been there.
	ReasonFetchedTwice Reason = "fetched_twice"
	// ReasonNotHandedOver: it was fetched, and the answer was lost.
	ReasonNotHandedOver Reason = "not_handed_over"
	// ReasonLeftBehind: the process that made it ended before it was delivered.
	ReasonLeftBehind Reason = "left_behind"
)

// Verdict is what a user said about a change.
type Verdict string

// The verdicts.
const (
	// VerdictNotAsked: nobody had to be asked, or it did not come to that.
	VerdictNotAsked Verdict = "not_asked"
	VerdictApproved Verdict = "approved"
	VerdictDeclined Verdict = "declined"
	// VerdictNoAnswer: none came in time, or none that counts.
	VerdictNoAnswer Verdict = "no_answer"
	// VerdictHeldBack: the user was not asked: they said no recently, or other questions are
	// open.
	VerdictHeldBack      Verdict = "held_back"
	VerdictNobodyToAsk   Verdict = "nobody_to_ask"
	VerdictTrustedClient Verdict = "trusted_client"
)

// Way is how a user is asked.
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
	// LeftWaiting: it lives, and its value waits for the user.
	LeftWaiting Left = "waiting"
	// LeftRevoked: it was revoked, or has expired.
	LeftRevoked Left = "revoked"
	LeftUnknown Left = "unknown"
)

// MaxCandidates is how many of an entry's Candidates are written.
const MaxCandidates = 10

// Limits of the texts in an entry, in characters.
const (
	maxWord  = 64
	maxName  = 100
	maxValue = 1000
)

// show cleans text, cuts it to limit characters, and removes secrets of kenbun.
func show(s string, limit int) string { return redact.Secrets(plaintext.Clean(s, limit)) }

// MarshalJSON implements json.Marshaler.
func (e Entry) MarshalJSON() ([]byte, error) {
	word := func(s string) string { return show(s, maxWord) }
	var candidates []string
	for _, id := range e.Candidates[:min(len(e.Candidates), MaxCandidates)] {
		candidates = append(candidates, word(id))
	}
	decision := e.Decision
	if decision == "" {
		decision = VerdictNotAsked
	}
	return json.Marshal(struct {
		Time        string   `json:"time"`
		RequestID   string   `json:"request_id,omitempty"`
		Caller      string   `json:"caller"`
		TokenPrefix string   `json:"token_prefix,omitempty"`
		Tool        string   `json:"tool,omitempty"`
		Action      Action   `json:"action"`
		Kind        Kind     `json:"kind,omitempty"`
		Target      string   `json:"target,omitempty"`
		Name        string   `json:"name,omitempty"`
		Changes     []Change `json:"changes,omitempty"`
		Replaces    string   `json:"replaces,omitempty"`
		Candidates  []string `json:"candidates,omitempty"`
		Claim       string   `json:"claim,omitempty"`
		Owner       string   `json:"owner,omitempty"`
		Method      string   `json:"road,omitempty"`
		Because     Reason   `json:"because,omitempty"`
		Decision    Verdict  `json:"decision"`
		AskedBy     Way      `json:"asked_by,omitempty"`
		Outcome     Outcome  `json:"outcome"`
		Left        Left     `json:"left"`
	}{
		e.Time.UTC().Format("2006-01-02T15:04:05.000Z07:00"), word(e.RequestID), word(e.Caller), word(e.TokenPrefix), word(e.Tool),
		e.Action, e.Kind, word(e.Target), show(e.Name, maxName), e.Changes, word(e.Replaces), candidates, word(e.Claim), word(e.Owner), word(e.Method),
		e.Because, decision, e.AskedBy, e.Outcome, e.Left,
	})
}

// Trail is what one call leaves in the audit log: an entry for each step.
type Trail struct {
	// Step is the open step. The tool keeps it up to date.
	Step Entry
	// Verdict is what the user said, and Way is how they were asked.
	Verdict Verdict
	Way     Way

	open   bool
	record func(Entry)
}

// NewTrail returns the trail of a call whose entries record takes.
func NewTrail(record func(Entry)) Trail { return Trail{record: record} }

// Begin opens the first step: from here on the call leaves an entry.
func (t *Trail) Begin(step Entry) { t.Step, t.open = step, true }

// Abandon closes the open step without an entry.
func (t *Trail) Abandon() { t.open = false }

// Next opens the following step, about the same kind of object. What is left is unknown
// until it is done.
func (t *Trail) Next(action Action, target string) {
	before := t.Step
	t.Begin(Entry{Action: action, Kind: before.Kind, Target: target, Name: before.Name, Replaces: before.Replaces, Left: LeftUnknown})
}

// Acted writes the open step, if there is one.
func (t *Trail) Acted(outcome Outcome, left Left) {
	if !t.open {
		return
	}
	t.open = false
	step := t.Step
	step.Outcome, step.Left = outcome, left
	step.Decision, step.AskedBy = t.Verdict, t.Way
	t.record(step)
}

// Decided notes what came of asking the user.
func (t *Trail) Decided(verdict Verdict, way Way) { t.Verdict, t.Way = verdict, way }

// InDoubt notes that from now on the API may have done the open step.
func (t *Trail) InDoubt() { t.Step.Left = LeftUnknown }
