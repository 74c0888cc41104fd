package tools_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/tools"
)

func TestA1_ASpreeIsStoppedByTheClock(t *testing.T) {
	clock := &settableClock{now: time.Now()}
	f := newFixture(t, withPolicy(func(p *tools.Policy) { p.MaxChangesPerMinute = 5 }), withClock(clock))
	session := f.asksWith(`{}`, agreed)
	create := func(i int) *answer {
		return f.callIn(t.Context(), session, "create_token", createArguments(fmt.Sprintf("token %d", i), "2d"))
	}
	// What does not change anything does not count.
	for range 10 {
		f.call("list_tokens", "{}").ok(nil)
		f.call("create_token", createArguments("x", "30")).failed(tools.CodeInvalidArgument)
	}
	var made struct{ ID string }
	for i := range 4 {
		create(i).ok(&made)
	}
	f.callIn(t.Context(), session, "revoke_token", id(made.ID)).ok(nil)
	asked := len(session.asked())

	create(5).failed(tools.CodeRateLimited, "5 changes a minute", "\nWait: ")
	f.callIn(t.Context(), session, "revoke_token", id(made.ID)).ok(nil) // revoked before: nothing changes
	other := f.token("other")
	f.callIn(t.Context(), session, "revoke_token", id(other.ID)).failed(tools.CodeRateLimited)
	f.callIn(t.Context(), session, "rotate_token", `{"id":`+quoted(other.ID)+`,"expires":"2d"}`).failed(tools.CodeRateLimited)
	if len(session.asked()) != asked {
		t.Error("the person was asked about what could not be done")
	}
	f.mustBeLive(other.ID)

	clock.advance(61 * time.Second)
	create(6).ok(nil)
}

// Two callers do not use up each other's changes.
func TestChangesAreCountedPerCaller(t *testing.T) {
	f := newFixture(t, withPolicy(func(p *tools.Policy) { p.MaxChangesPerMinute = 1 }), withClock(&settableClock{now: time.Now()}))
	f.call("create_token", createArguments("one", "2d")).ok(nil)
	f.call("create_token", createArguments("two", "2d")).failed(tools.CodeRateLimited)
	f.callers.set(f.as(f.token("another caller").Value))
	f.call("create_token", createArguments("three", "2d")).ok(nil)
}
