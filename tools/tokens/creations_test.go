package tokens_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/tools"
)

// A model cannot fill the list of tokens, however slowly it goes about it.
func TestNewTokensAreCappedByTheDay(t *testing.T) {
	clock := &settableClock{now: time.Now()}
	f := newFixture(t, withPolicy(func(p *tools.Policy) { p.MaxTokensPerDay = 3 }), withClock(clock))
	made := f.call("create_token", createArguments("one", "30d"))
	made.ok(nil)
	f.callIn(t.Context(), f.asksWith(`{}`, agreed), "rotate_token", id(f.listedID("one"))).ok(nil)
	clock.advance(23 * time.Hour)
	f.call("create_token", createArguments("two", "30d")).ok(nil)
	for range 2 {
		f.call("create_token", createArguments("three", "30d")).failed(tools.CodeRateLimited, "3 new tokens in 24 hours", "Wait: 3600 seconds")
	}
	session := f.asksWith(`{}`, agreed)
	f.callIn(t.Context(), session, "rotate_token", id(f.listedID("two"))).failed(tools.CodeRateLimited, "3 new tokens in 24 hours")
	if len(session.asked()) != 0 {
		t.Error("the person was asked in vain")
	}
	// What ends tokens is not held up.
	f.callIn(t.Context(), f.asksWith(`{}`, agreed), "revoke_token", id(f.listedID("two"))).ok(nil)
	clock.advance(time.Hour)
	f.call("create_token", createArguments("three", "30d")).ok(nil)
}

func TestNewTokensLiveForFiveMinutesAtLeast(t *testing.T) {
	f := newFixture(t)
	for after, code := range map[time.Duration]tools.Code{time.Minute: tools.CodeInvalidArgument, 4 * time.Minute: tools.CodeInvalidArgument, 6 * time.Minute: ""} {
		ends := time.Now().Add(after).UTC().Format(time.RFC3339)
		answer := f.call("create_token", createArguments(fmt.Sprint(after), ends))
		if code == "" {
			answer.ok(nil)
		} else {
			answer.failed(code, "5 minutes")
		}
	}
	if n := len(f.listed()); n != 2 {
		t.Errorf("%d tokens, want 2", n)
	}
}
