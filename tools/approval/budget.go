// Package approval asks users for decisions and keeps their budget of questions. At most two
// questions of an account are open at once, one about each target. After a no the target is
// not asked about for minutes, twice as long after each further no. The budget is in a
// [Store], which several processes may share.
package approval

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// The budget of an account.
const (
	// MaxOpen is how many questions may be open at once.
	MaxOpen = 2
	// SilenceAfterNo is how long a target is not asked about after a no. Each further no
	// doubles it, up to MaxSilence.
	SilenceAfterNo = 5 * time.Minute
	// SilenceAfterNothing is the same after a question that nobody answered.
	SilenceAfterNothing = time.Minute
	// MaxSilence is the longest silence.
	MaxSilence = 24 * time.Hour

	// remembered is how long a no counts when the next one comes.
	remembered = 24 * time.Hour
	// maxTargets bounds the targets remembered for one account. While as many are silent,
	// nothing else is asked.
	maxTargets = 64
	// maxTries bounds the retries of a change because another process was faster.
	maxTries = 100
)

// Outcome is how a question ended.
type Outcome int

// The outcomes.
const (
	Agreed Outcome = iota
	// Declined is a no: the user said so, closed the question or left the box empty.
	Declined
	// Unanswered is a question that expired, was withdrawn, or had an unreadable answer.
	Unanswered
	// Unreachable is a question that could not be put.
	Unreachable
	// Withdrawn is a question whose target changed, so that no answer counts. It has no
	// effect.
	Withdrawn
)

// Ask is a question that is to be put to a user.
type Ask struct {
	// Account is whose budget it is: a user's, or that of a token whose user is not known.
	Account string
	// Key names the question: the same call about the same target has the same.
	Key string
	// Target names what it is about, whatever is to be done with it.
	Target string
}

// Why a question is held back.
type Why int

// The reasons.
const (
	// AlreadyOpen means that the same question waits for its answer.
	AlreadyOpen Why = iota
	// TargetOpen means that another question about the same target does.
	TargetOpen
	// TooManyOpen means that the account has MaxOpen questions open.
	TooManyOpen
	// SaidNo means that the user said no to a question about the target.
	SaidNo
	// NotAnswered means that nobody answered the last one.
	NotAnswered
	// NotReached means that the last one could not be put.
	NotReached
	// TooManySilent means that too many targets are silent to remember one more.
	TooManySilent
)

// HeldBackError is a question that is not put.
type HeldBackError struct {
	Why Why
	// At is when the user said no, or did not answer. It is zero for an open question.
	At time.Time
	// Until is when it may be put at the earliest.
	Until time.Time
}

// Error implements error.
func (e *HeldBackError) Error() string {
	return fmt.Sprintf("the question is held back until %s", e.Until.UTC().Format(time.RFC3339))
}

// ErrNotOpen means that a question was answered before, or has run out.
var ErrNotOpen = errors.New("the question is not open any more")

// errBusy means that other processes changed the budget all the time.
var errBusy = errors.New("the budget of questions changes too fast")

// Budget holds questions back. Its methods may be called at the same time.
type Budget struct {
	store Store
	clock func() time.Time
}

// NewBudget returns the budget in store.
func NewBudget(store Store, clock func() time.Time) *Budget {
	return &Budget{store: store, clock: clock}
}

// record is the stored budget of one account. Times are in Unix milliseconds.
type record struct {
	// Revision makes each stored value another.
	Revision string   `json:"r"`
	Open     []open   `json:"o,omitempty"`
	Silent   []silent `json:"s,omitempty"`
}

type open struct {
	ID     string `json:"i"`
	Key    string `json:"k"`
	Target string `json:"t"`
	Ends   int64  `json:"e"`
}

type silent struct {
	Target  string  `json:"t"`
	Outcome Outcome `json:"o"`
	Count   int     `json:"n"`
	At      int64   `json:"a"`
	Until   int64   `json:"u"`
}

// Begin opens a question for at most limit, and returns the id for [Budget.Settle]. It fails
// with a *[HeldBackError] if the question must not be asked, and with another error if that
// is not known.
func (b *Budget) Begin(ctx context.Context, q Ask, limit time.Duration) (id string, err error) {
	id = rand.Text()
	err = b.change(ctx, q.Account, func(r *record, now time.Time) error {
		if held := r.holdsBack(q, now); held != nil {
			return held
		}
		r.Open = append(r.Open, open{ID: id, Key: q.Key, Target: q.Target, Ends: now.Add(limit + time.Millisecond - 1).UnixMilli()})
		return nil
	})
	return id, err
}

// IsOpen reports whether the question id of account waits for its answer.
func (b *Budget) IsOpen(ctx context.Context, account, id string) (is bool, err error) {
	err = b.change(ctx, account, func(r *record, _ time.Time) error {
		is = slices.ContainsFunc(r.Open, func(o open) bool { return o.ID == id })
		return errUnchanged
	})
	return is, err
}

// Settle ends the question id of account, exactly once. It returns [ErrNotOpen] if it has
// ended or expired, whatever the clock says now.
func (b *Budget) Settle(ctx context.Context, account, id string, outcome Outcome) error {
	return b.change(ctx, account, func(r *record, now time.Time) error {
		i := slices.IndexFunc(r.Open, func(o open) bool { return o.ID == id })
		if i < 0 {
			return ErrNotOpen
		}
		target := r.Open[i].Target
		r.Open = slices.Delete(r.Open, i, i+1)
		r.note(target, outcome, now)
		return nil
	})
}

// Touch fails with a *[HeldBackError] while the user of account wants nothing done with
// target after a no. It is for what needs no question, and opens none.
func (b *Budget) Touch(ctx context.Context, account, target string) error {
	return b.change(ctx, account, func(r *record, now time.Time) error {
		if held := r.silence(target, now); held != nil && held.Why == SaidNo {
			return held
		}
		return errUnchanged
	})
}

// Note counts a no that was not the answer to a question, such as discarding a new token.
func (b *Budget) Note(ctx context.Context, account, target string, outcome Outcome) error {
	return b.change(ctx, account, func(r *record, now time.Time) error {
		r.note(target, outcome, now)
		return nil
	})
}

// errUnchanged ends a change that only looks.
var errUnchanged = errors.New("nothing to store")

// change applies do to the budget of account. Nothing is stored if do fails.
func (b *Budget) change(ctx context.Context, account string, do func(r *record, now time.Time) error) error {
	key := "questions:" + account
	for range maxTries {
		old, ok, err := b.store.Get(ctx, key)
		if err != nil {
			return err
		}
		var r record
		if !ok {
			old = nil
		} else if err := json.Unmarshal(old, &r); err != nil {
			return fmt.Errorf("read the budget of questions: %w", err)
		}
		now := b.clock()
		r.expire(now)
		if err := do(&r, now); err != nil {
			if errors.Is(err, errUnchanged) {
				return nil
			}
			return err
		}
		r.Revision = rand.Text()
		next, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("write the budget of questions: %w", err)
		}
		swapped, err := b.store.Swap(ctx, key, old, next, MaxSilence+remembered)
		if err != nil {
			return err
		}
		if swapped {
			return nil
		}
	}
	return errBusy
}

// expire counts questions that have run out, and forgets what counts no more.
func (r *record) expire(now time.Time) {
	for i := 0; i < len(r.Open); {
		o := r.Open[i]
		if now.UnixMilli() < o.Ends {
			i++
			continue
		}
		r.Open = slices.Delete(r.Open, i, i+1)
		r.note(o.Target, Unanswered, time.UnixMilli(o.Ends))
	}
	r.Silent = slices.DeleteFunc(r.Silent, func(s silent) bool {
		return now.UnixMilli() >= s.Until && now.Sub(time.UnixMilli(s.At)) >= remembered
	})
}

// note counts how a question about target ended.
func (r *record) note(target string, outcome Outcome, at time.Time) {
	if outcome == Withdrawn {
		return
	}
	i := slices.IndexFunc(r.Silent, func(s silent) bool { return s.Target == target })
	if outcome == Agreed {
		if i >= 0 {
			r.Silent = slices.Delete(r.Silent, i, i+1)
		}
		return
	}
	if i < 0 {
		if len(r.Silent) >= maxTargets {
			r.forgetOne()
		}
		r.Silent = append(r.Silent, silent{Target: target})
		i = len(r.Silent) - 1
	}
	s := &r.Silent[i]
	silence := SilenceAfterNothing
	if outcome == Declined {
		silence = SilenceAfterNo
	}
	if outcome != Unreachable {
		s.Count++
		for range min(s.Count-1, 20) {
			silence = min(2*silence, MaxSilence)
		}
	}
	s.Outcome, s.At, s.Until = outcome, at.UnixMilli(), max(s.Until, at.Add(silence).UnixMilli())
}

// forgetOne makes room among the silent targets by removing the first to end.
func (r *record) forgetOne() {
	first := 0
	for i, s := range r.Silent {
		if s.Until < r.Silent[first].Until {
			first = i
		}
	}
	r.Silent = slices.Delete(r.Silent, first, first+1)
}

// silence returns why target is not asked about now, nil if it may be. Open questions do not
// count.
func (r *record) silence(target string, now time.Time) *HeldBackError {
	i := slices.IndexFunc(r.Silent, func(s silent) bool { return s.Target == target && now.UnixMilli() < s.Until })
	if i < 0 {
		return nil
	}
	s := r.Silent[i]
	why := SaidNo
	switch s.Outcome {
	case Unanswered:
		why = NotAnswered
	case Unreachable:
		why = NotReached
	}
	return &HeldBackError{Why: why, At: time.UnixMilli(s.At), Until: time.UnixMilli(s.Until)}
}

// holdsBack returns why q must not be put now, nil if it may be.
func (r *record) holdsBack(q Ask, now time.Time) *HeldBackError {
	if held := r.silence(q.Target, now); held != nil {
		return held
	}
	for _, o := range r.Open {
		switch {
		case o.Key == q.Key:
			return &HeldBackError{Why: AlreadyOpen, Until: time.UnixMilli(o.Ends)}
		case o.Target == q.Target:
			return &HeldBackError{Why: TargetOpen, Until: time.UnixMilli(o.Ends)}
		}
	}
	if len(r.Open) >= MaxOpen {
		ends := r.Open[0].Ends
		for _, o := range r.Open {
			ends = min(ends, o.Ends)
		}
		return &HeldBackError{Why: TooManyOpen, Until: time.UnixMilli(ends)}
	}
	full := 0
	var soonest int64
	for _, s := range r.Silent {
		if now.UnixMilli() >= s.Until {
			continue
		}
		full++
		if soonest == 0 || s.Until < soonest {
			soonest = s.Until
		}
	}
	if full >= maxTargets-MaxOpen {
		return &HeldBackError{Why: TooManySilent, Until: time.UnixMilli(soonest)}
	}
	return nil
}

// Store keeps one value for each account. Processes that share one share the budget.
type Store interface {
	// Get returns the value at key. ok is false if there is none.
	Get(ctx context.Context, key string) (value []byte, ok bool, err error)
	// Swap stores next at key for keep if the present value is old, and reports whether it
	// did. A nil old stands for no value.
	Swap(ctx context.Context, key string, old, next []byte, keep time.Duration) (swapped bool, err error)
}

// maxMemoryEntries bounds the values of a [Memory]. A value has a few kilobytes at most.
const maxMemoryEntries = 10_000

// Memory is a Store in this process. When it is full, the value that expires first makes
// room.
type Memory struct {
	mu      sync.Mutex
	entries map[string]memoryEntry
}

type memoryEntry struct {
	value []byte
	ends  time.Time
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{entries: map[string]memoryEntry{}} }

// Get implements [Store].
func (m *Memory) Get(_ context.Context, key string) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value := m.current(key)
	return bytes.Clone(value), value != nil, nil
}

func (m *Memory) current(key string) []byte {
	e, ok := m.entries[key]
	if !ok || !time.Now().Before(e.ends) {
		return nil
	}
	return e.value
}

// Swap implements [Store].
func (m *Memory) Swap(_ context.Context, key string, old, next []byte, keep time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	is := m.current(key)
	if (is == nil) != (old == nil) || !bytes.Equal(is, old) {
		return false, nil
	}
	if _, known := m.entries[key]; !known && len(m.entries) >= maxMemoryEntries {
		m.makeRoom()
	}
	m.entries[key] = memoryEntry{value: bytes.Clone(next), ends: time.Now().Add(keep)}
	return true, nil
}

func (m *Memory) makeRoom() {
	var first string
	for key, e := range m.entries {
		if first == "" || e.ends.Before(m.entries[first].ends) {
			first = key
		}
	}
	delete(m.entries, first)
}
