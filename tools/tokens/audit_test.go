package tokens_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/audit"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// auditLine is an entry as a reader of the log sees it.
type auditLine struct {
	Time        string `json:"time"`
	RequestID   string `json:"request_id"`
	Caller      string `json:"caller"`
	TokenPrefix string `json:"token_prefix"`
	Tool        string `json:"tool"`
	Action      string `json:"action"`
	Kind        string `json:"kind"`
	Target      string `json:"target"`
	Name        string `json:"name"`
	Changes     []struct {
		What, From, To string
	} `json:"changes"`
	Replaces   string   `json:"replaces"`
	Candidates []string `json:"candidates"`
	Road       string   `json:"road"`
	Because    string   `json:"because"`
	Decision   string   `json:"decision"`
	AskedBy    string   `json:"asked_by"`
	Outcome    string   `json:"outcome"`
	Left       string   `json:"left"`
}

// auditBook is an audit log in memory. What is written in it has left the
// toolbox.
type auditBook struct {
	left *record

	mu      sync.Mutex
	lines   []string
	closed  error // what Ready answers
	entered func()
}

func (b *auditBook) Ready() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

func (b *auditBook) close(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = err
}

func (b *auditBook) Record(entry audit.Entry) {
	line, err := json.Marshal(entry)
	if err != nil {
		panic(err)
	}
	if b.entered != nil {
		b.entered()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, string(line))
	_, _ = b.left.Write(line) // it never fails
}

func (b *auditBook) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.lines, "\n")
}

// newAuditedFixture is a fixture with an audit log, which is searched for values
// with everything else when the test ends.
func newAuditedFixture(t *testing.T, options ...option) (*fixture, *auditBook) {
	t.Helper()
	book := &auditBook{}
	f := newFixture(t, append(options, func(c *toolsets.Config) { c.Auditor = book })...)
	book.left = f.left
	return f, book
}

// parsed are the lines, after what all lines have in common was checked.
func (b *auditBook) parsed(t *testing.T, f *fixture) []auditLine {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines []auditLine
	for _, text := range b.lines {
		var line auditLine
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&line); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		at, err := time.Parse("2006-01-02T15:04:05.000Z", line.Time)
		if err != nil || time.Since(at).Abs() > time.Minute {
			t.Errorf("the time is %q", line.Time)
		}
		if line.Kind != "token" {
			t.Errorf("the entry is about a %q", line.Kind)
		}
		if len(line.RequestID) != 16 {
			t.Errorf("the request's id is %q", line.RequestID)
		}
		if prefix := client.NewSecret(f.pat).Prefix(); line.Caller != "caller-"+prefix || line.TokenPrefix != prefix {
			t.Errorf("the caller is %q with %q", line.Caller, line.TokenPrefix)
		}
		lines = append(lines, line)
	}
	return lines
}

// String tells a line without what is checked of every line. A decision that
// nobody was asked for is left out.
func (l auditLine) String() string {
	text := l.Action
	for _, part := range [][2]string{
		{"target", l.Target}, {"name", l.Name}, {"replaces", l.Replaces}, {"candidates", strings.Join(l.Candidates, "+")},
		{"road", l.Road}, {"because", l.Because},
	} {
		if part[1] != "" {
			text += " " + part[0] + "=" + part[1]
		}
	}
	for _, change := range l.Changes {
		text += fmt.Sprintf(" %s from %q to %q", change.What, change.From, change.To)
	}
	if l.Decision != "not_asked" {
		text += " " + l.Decision
		if l.AskedBy != "" {
			text += " by " + l.AskedBy
		}
	}
	return fmt.Sprintf("%s: %s, %s", text, l.Outcome, l.Left)
}

// expect fails the test unless the log holds exactly these entries of tool. OLD
// stands for the token that the call was about, NEW for every other one.
func (b *auditBook) expect(t *testing.T, f *fixture, tool, old string, want ...string) {
	t.Helper()
	var got []string
	requests := map[string]bool{}
	for _, line := range b.parsed(t, f) {
		if line.Tool != tool {
			t.Errorf("the tool is %q, want %q", line.Tool, tool)
		}
		requests[line.RequestID] = true
		for _, id := range append([]*string{&line.Target, &line.Replaces}, pointers(line.Candidates)...) {
			switch {
			case *id == old && old != "":
				*id = "OLD"
			case strings.HasPrefix(*id, "pat_") && *id != "pat_unknown":
				*id = "NEW"
			}
		}
		got = append(got, line.String())
	}
	if a, b := strings.Join(got, "\n"), strings.Join(want, "\n"); a != b {
		t.Errorf("the audit log holds\n%s\nwant\n%s", a, b)
	}
	if len(requests) > 1 {
		t.Errorf("one call has the request ids %v", requests)
	}
}

func pointers(values []string) []*string {
	var all []*string
	for i := range values {
		all = append(all, &values[i])
	}
	return all
}

func TestA19_AnEntryIsOneLineWhateverNamesHold(t *testing.T) {
	value := "kbn" + "_pat_" + strings.Repeat("q", 46)
	hostile := "a\n{\"time\":\"forged\"}\r\u2028\u202e\x1b[31m\x00 " + value + strings.Repeat(" long", 100)
	line, err := json.Marshal(audit.Entry{
		Time: time.Date(2026, 1, 2, 4, 4, 5, 6_000_000, time.FixedZone("", 3600)), Action: audit.ActionRevoke,
		RequestID: hostile, Caller: hostile, TokenPrefix: hostile, Tool: hostile, Target: hostile, Name: hostile, Replaces: hostile,
		Candidates: []string{hostile, hostile}, Claim: hostile, Owner: hostile, Method: hostile,
		Outcome: audit.OutcomeDone, Left: audit.LeftRevoked,
	})
	if err != nil {
		t.Fatal(err)
	}
	text := string(line)
	if strings.ContainsAny(text, "\n\r\u2028\u202e\x1b\x00") || strings.Contains(text, value[16:]) {
		t.Errorf("the line holds what it should not: %q", text)
	}
	if !strings.HasPrefix(text, `{"time":"2026-01-02T03:04:05.006Z",`) || !strings.Contains(text, `"decision":"not_asked"`) {
		t.Errorf("the line is %s", text)
	}
	// Several processes write to one file, in calls of this size.
	if len(text) > 4000 {
		t.Errorf("the line has %d bytes", len(text))
	}
}

func TestR34_AnEntryIsWrittenBeforeTheAnswerGoesOut(t *testing.T) {
	f, book := newAuditedFixture(t)
	answered := false
	book.entered = func() {
		if answered {
			t.Error("an entry came after the answer")
		}
	}
	f.call("create_token", createArguments("x", "1d")).ok(nil)
	answered = true
	if book.text() == "" {
		t.Error("there is no entry")
	}
}

func TestR34_WhatChangesNothingLeavesNoEntry(t *testing.T) {
	f, book := newAuditedFixture(t)
	token := f.token30("import")
	f.call("whoami", "{}").ok(nil)
	f.call("list_tokens", "{}").ok(nil)
	f.call("create_token", createArguments("x", "30")).failed(tools.CodeInvalidArgument)
	f.call("create_token", createArguments("", "30d")).failed(tools.CodeInvalidArgument)
	f.call("revoke_token", id("pat/1")).failed(tools.CodeInvalidArgument)
	f.call("rotate_token", `{"id":`+quoted(f.pat)+`}`).failed(tools.CodeInvalidArgument)
	f.callModern(canAsk, "revoke_token", id(token.ID)).asking()
	if got := book.text(); got != "" {
		t.Errorf("the audit log holds %s", got)
	}
}

// The value without its beginning looks like an id.
func TestR1_A4_AValueGivenAsAnIDIsNotInTheAuditLog(t *testing.T) {
	f, book := newAuditedFixture(t)
	for _, tool := range []string{"revoke_token", "rotate_token"} {
		f.call(tool, id(f.pat[len("kbn_pat_"):])).failed(tools.CodeNotFound)
	}
	if got := book.text(); strings.Count(got, "not_found") != 2 {
		t.Errorf("the audit log holds %s", got)
	}
}

func TestR34_WhatCannotBeWrittenDownIsNotDone(t *testing.T) {
	f, book := newAuditedFixture(t)
	token := f.token30("import")
	book.close(errors.New("the disk is full"))
	session := f.asksWith(`{}`, agreed)
	requests := f.proxy.count()
	for tool, arguments := range map[string]string{
		"create_token": createArguments("x", "1d"), "revoke_token": id(token.ID), "rotate_token": id(token.ID),
	} {
		f.callIn(t.Context(), session, tool, arguments).failed(tools.CodeUnavailable, "audit log cannot be written", "nothing is changed")
	}
	if n := requests(); n != 0 || len(session.asked()) != 0 || book.text() != "" {
		t.Errorf("%d requests, %d questions, entries %q", n, len(session.asked()), book.text())
	}
	f.call("list_tokens", "{}").ok(nil)

	// It breaks while the person thinks.
	book.close(nil)
	thinking := f.asks(`{}`, func(context.Context) (json.RawMessage, error) {
		book.close(errors.New("the disk is full"))
		return json.RawMessage(agreed), nil
	})
	f.callIn(t.Context(), thinking, "revoke_token", id(token.ID)).failed(tools.CodeUnavailable, "nothing is changed")
	f.mustBeLive(token.ID)
	book.close(nil)
	f.callIn(t.Context(), session, "revoke_token", id(token.ID)).ok(nil)
	f.mustBeRevoked(token.ID)
}

func TestR34_WhatWasLeftBehindIsInTheAuditLog(t *testing.T) {
	journal := &toldJournal{recovered: []tokens.Recovered{
		{TokenID: "pat_1", Name: "a", Outcome: tokens.RecoveredRevoked}, {TokenID: "pat_2", Name: "b", Outcome: tokens.RecoveredGone},
		{TokenID: "pat_3", Name: "c", Outcome: tokens.RecoveredInUse}, {Name: "d", Outcome: tokens.RecoveredNotMade},
		{Name: "e", Outcome: tokens.RecoveredUnclear},
	}}
	f, book := newAuditedFixture(t, withJournal(journal))
	f.call("list_tokens", "{}").ok(nil)
	f.call("list_tokens", "{}").ok(nil)
	book.expect(t, f, "", "",
		"revoke target=NEW name=a because=left_behind: done, revoked",
		"revoke target=NEW name=b because=left_behind: unchanged, revoked",
		"revoke target=NEW name=c because=left_behind: unchanged, live",
		"revoke name=d because=left_behind: unchanged, nothing",
		"revoke name=e because=left_behind: outcome_unknown, unknown",
	)
}
