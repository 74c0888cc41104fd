package audit

// Trail is what one call leaves in the audit log: an entry for each step. The last
// step may not have been done.
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

// Begin opens the first step: from here on the call leaves an entry, whatever
// becomes of it.
func (t *Trail) Begin(step Entry) { t.Step, t.open = step, true }

// Abandon closes the open step without an entry.
func (t *Trail) Abandon() { t.open = false }

// Next opens the following step, about the same kind of object. What is left is
// not known until it was done.
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
