package tokens_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
)

// panickingAPI panics with words that nobody should read.
type panickingAPI struct{ tools.API }

const panicText = "https://internal.example/settings?secret=1"

func (panickingAPI) ReadTokens(context.Context, func() func(*client.Token)) error { panic(panicText) }

// failingAPI fails with an error that is not one of the client's.
type failingAPI struct{ tools.API }

func (failingAPI) ReadTokens(context.Context, func() func(*client.Token)) error {
	return errors.New(panicText)
}

func TestR33_A49_APanicCostsOneCallAndShowsNothing(t *testing.T) {
	f := newFixture(t)
	caller := f.as(f.pat)
	caller.API = panickingAPI{caller.API}
	f.callers.set(caller)
	for _, call := range [][2]string{{"list_tokens", `{}`}, {"revoke_token", `{"id":"pat_1"}`}} {
		text := f.call(call[0], call[1]).failed(tools.CodeInternal, "Next: ", "the number ").text()
		if strings.Contains(text, "internal.example") || strings.Contains(text, "panic") || strings.Contains(text, ".go") || strings.Contains(text, "goroutine") {
			t.Errorf("the error shows what happened inside: %q", text)
		}
		number := regexp.MustCompile(`the number ([2-7A-Z]{16}),`).FindStringSubmatch(text)
		if number == nil || !strings.Contains(f.left.String(), "request_id="+number[1]) {
			t.Errorf("the number of %q is not in the log", text)
		}
	}
	if !strings.Contains(f.left.String(), panicText) {
		t.Error("the log does not tell what happened")
	}
	f.callers.set(f.as(f.pat))
	f.call("list_tokens", `{}`).ok(nil)
}

func TestR32_AnErrorThatNobodyForesawShowsNothing(t *testing.T) {
	f := newFixture(t)
	caller := f.as(f.pat)
	caller.API = failingAPI{caller.API}
	f.callers.set(caller)
	if text := f.call("list_tokens", `{}`).failed(tools.CodeInternal).text(); strings.Contains(text, "internal.example") {
		t.Errorf("the error shows what happened inside: %q", text)
	}
	f.callers.err = errors.New(panicText)
	if text := f.call("list_tokens", `{}`).failed(tools.CodeInternal).text(); strings.Contains(text, "internal.example") {
		t.Errorf("the error shows what happened inside: %q", text)
	}
}

func TestNobodyIsServedWithoutACaller(t *testing.T) {
	f := newFixture(t)
	f.callers.err = &tools.Error{Code: tools.CodeUnauthenticated, Message: "there is no token", Next: "Give one."}
	for _, call := range [][2]string{{"whoami", `{}`}, {"list_tokens", `{}`}, {"create_token", createArguments("x", "1d")}, {"revoke_token", id("pat_1")}} {
		f.call(call[0], call[1]).failed(tools.CodeUnauthenticated, "there is no token", "Next: Give one.")
	}
	f.mustHaveNothingNew()
}
