package tokens_test

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
)

const panicText = "https://internal.example/settings?secret=1"

// panicsAt panics, with words that nobody should read, where the API is asked with
// method.
type panicsAt struct {
	method string
	rest   http.RoundTripper
}

func (p panicsAt) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == p.method && r.URL.Path == "/settings/tokens" {
		panic(panicText)
	}
	return p.rest.RoundTrip(r)
}

// panicking is the API of the fixture's user, which panics where tokens are asked for
// with method.
func (f *fixture) panicking(method string) *client.Caller {
	f.t.Helper()
	c, err := client.New(client.WithBaseURL(f.proxy.URL), client.WithTransport(panicsAt{method, http.DefaultTransport}))
	if err != nil {
		f.t.Fatal(err)
	}
	return c.As(client.Credential{PAT: client.NewSecret(f.pat)})
}

func TestR33_A49_APanicCostsOneCallAndShowsNothing(t *testing.T) {
	f := newFixture(t)
	caller := f.as(f.pat)
	caller.API = f.panicking(http.MethodGet)
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
