package tokens_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

type updated struct {
	ID, Name, Prefix, Status string
	ExpiresAt                string `json:"expires_at"`
	ValidFrom                string `json:"valid_from"`
	Permissions              []string
	Changed                  []string
}

func withExtensions(c *toolsets.Config) { c.Extensions = true }

func newExtendedFixture(t *testing.T, options ...option) *fixture {
	t.Helper()
	return newFixture(t, append([]option{withExtensions}, options...)...)
}

// narrowed gives the user of the fixture one more token, for thirty days, with
// permissions.
func (f *fixture) narrowed(name string, permissions ...string) *client.CreatedToken {
	f.t.Helper()
	ends := time.Now().Add(30 * 24 * time.Hour)
	return f.made(client.NewToken{Name: name, ExpiresAt: &ends, Permissions: permissions})
}

func (f *fixture) made(token client.NewToken) *client.CreatedToken {
	f.t.Helper()
	created, err := f.api.As(f.t, f.pat).CreateToken(f.t.Context(), token)
	if err != nil {
		f.t.Fatal(err)
	}
	return created
}

// changes are the arguments of a change: pairs of a name and a value as JSON.
func changes(of string, pairs ...string) string {
	text := `{"id":` + quoted(of)
	for i := 0; i < len(pairs); i += 2 {
		text += "," + quoted(pairs[i]) + ":" + pairs[i+1]
	}
	return text + "}"
}

func day(n int) string {
	return time.Now().AddDate(0, 0, n).UTC().Truncate(time.Second).Format(time.RFC3339)
}

// What an idle token loses, nobody is asked about; a client that cannot ask is
// enough.
func TestS5_NarrowingNeedsNobody(t *testing.T) {
	f := newExtendedFixture(t)
	token := f.idle("import")
	for _, test := range []struct {
		arguments string
		changed   []string
		check     func(client.Token) bool
	}{
		{changes(token.ID, "name", `"nightly import"`), []string{"name"}, func(t client.Token) bool { return t.Name == "nightly import" }},
		{changes(token.ID, "expires", `"8d"`), []string{"expires"}, func(t client.Token) bool { return time.Until(*t.ExpiresAt) < 9*24*time.Hour }},
		{changes(token.ID, "permissions", `["write:leads","read:leads","read:tokens"]`), []string{"permissions"},
			func(t client.Token) bool {
				return slices.Equal(t.Permissions, []string{"read:leads", "read:tokens", "write:leads"})
			}},
		{changes(token.ID, "permissions", `["read:leads"]`), []string{"permissions"},
			func(t client.Token) bool { return slices.Equal(t.Permissions, []string{"read:leads"}) }},
		{changes(token.ID, "permissions", `["read:leads"]`, "name", `"nightly import"`), []string{}, func(client.Token) bool { return true }},
	} {
		var got updated
		f.call("update_token", test.arguments).ok(&got)
		if diff := cmp.Diff(test.changed, got.Changed); diff != "" {
			t.Errorf("%s changed (- want, + got): %s", test.arguments, diff)
		}
		if listed := f.listed()[token.ID]; !test.check(listed) {
			t.Errorf("%s left %+v", test.arguments, listed)
		}
	}
}

func TestS5_TheValueStaysAndWhatItMayDoCountsAtOnce(t *testing.T) {
	f := newExtendedFixture(t)
	token := f.token30("import")
	own := f.api.As(t, token.Value)
	if _, err := own.ListTokens(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.callIn(t.Context(), f.asksWith(`{}`, agreed), "update_token", changes(token.ID, "permissions", `["read:leads"]`)).ok(nil)
	if _, err := own.ListTokens(t.Context()); err == nil {
		t.Error("the token may still list tokens")
	}
	if _, err := own.Me(t.Context()); err != nil {
		t.Errorf("the token does not work any more: %v", err)
	}
}

// widening are changes by which the token for, of 30 days, for read:leads and
// from tomorrow on, can do more.
var widening = map[string]func(id string) string{
	"more permissions":  func(id string) string { return changes(id, "permissions", `["read:leads","write:leads"]`) },
	"other permissions": func(id string) string { return changes(id, "permissions", `["read:events"]`) },
	"all permissions":   func(id string) string { return changes(id, "permissions", `["all"]`) },
	"a later end":       func(id string) string { return changes(id, "expires", `"60d"`) },
	"no end":            func(id string) string { return changes(id, "expires", `"never"`) },
	"an earlier start": func(id string) string {
		return changes(id, "valid_from", quoted(time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
	},
	"a start at once": func(id string) string { return changes(id, "valid_from", `"now"`) },
	"more behind less": func(id string) string {
		return changes(id, "name", `"harmless"`, "expires", `"7d"`, "permissions", `["all"]`)
	},
	"a later end and less": func(id string) string {
		return changes(id, "expires", quoted(day(90)), "permissions", `["read:leads"]`)
	},
}

func narrowToken(f *fixture) *client.CreatedToken {
	ends, starts := time.Now().Add(30*24*time.Hour), time.Now().Add(24*time.Hour)
	return f.made(client.NewToken{Name: "import", ExpiresAt: &ends, ValidFrom: &starts, Permissions: []string{"read:leads"}})
}

func TestS5_A1_WideningIsThePersonsDecision(t *testing.T) {
	for label, arguments := range widening {
		t.Run(label, func(t *testing.T) {
			f := newExtendedFixture(t, allowNever, withoutSilence)
			token := narrowToken(f)
			widens := arguments(token.ID) // once: some name the present second
			asIs := func() {
				t.Helper()
				if diff := cmp.Diff(token.Token, f.listed()[token.ID]); diff != "" {
					t.Fatalf("without a yes the token was changed:\n%s", diff)
				}
			}
			f.call("update_token", widens).failed(tools.CodeNeedsPerson, "was not changed", "`kenbun-mcp tokens update "+token.ID)
			asIs()
			f.callModern(`{}`, "update_token", widens).failed(tools.CodeNeedsPerson)
			asIs()
			f.callIn(t.Context(), f.asksWith(`{}`, declined), "update_token", widens).failed(tools.CodeDeclined, "was not changed")
			asIs()
			sealed := f.callModern(`{"elicitation":{}}`, "update_token", widens).asking()
			f.callModern(`{"elicitation":{}}`, "update_token", changes(token.ID, "permissions", `["read:leads","write:tokens"]`), state(sealed), response(agreed)).
				failed(tools.CodeDeclined)
			asIs()
			f.callModern(`{"elicitation":{}}`, "update_token", widens, state(sealed), response(declined)).failed(tools.CodeDeclined)
			asIs()

			session := f.asksWith(`{}`, agreed)
			f.callIn(t.Context(), session, "update_token", widens).ok(nil)
			asked := session.asked()
			if len(asked) != 1 || !strings.Contains(asked[0].Message, "more than it has") || !strings.Contains(asked[0].Message, ": `was ") || !strings.Contains(asked[0].Message, ", becomes ") {
				t.Errorf("the person was asked %+v", asked)
			}
			if cmp.Equal(token.Token, f.listed()[token.ID]) {
				t.Error("after a yes the token was not changed")
			}
		})
	}
}

func TestS5_AYesAcrossRoundsCounts(t *testing.T) {
	f := newExtendedFixture(t)
	token := f.narrowed("import", "read:leads")
	arguments := changes(token.ID, "permissions", `["all"]`, "expires", `"60d"`)
	sealed := f.callModern(`{"elicitation":{}}`, "update_token", arguments).asking()
	f.callModern(`{"elicitation":{}}`, "update_token", arguments, state(sealed), response(agreed)).ok(nil)
	if got := f.listed()[token.ID]; got.Permissions != nil {
		t.Errorf("the API has %+v", got)
	}
	// Once: not even for the same token as it was.
	if _, err := f.api.As(t, f.pat).UpdateToken(t.Context(), token.ID, client.TokenChange{Permissions: token.Permissions, ExpiresAt: token.ExpiresAt}); err != nil {
		t.Fatal(err)
	}
	f.callModern(`{"elicitation":{}}`, "update_token", arguments, state(sealed), response(agreed)).failed(tools.CodeDeclined, "used before")
}

// The command that the person is given does what was asked for, whatever stands
// in a name.
func TestS5_TheCommandForTheTerminalIsWhole(t *testing.T) {
	f := newExtendedFixture(t, allowNever)
	token := f.narrowed("import", "read:leads")
	f.call("update_token", changes(token.ID, "name", `"it's; id"`, "valid_from", `"now"`, "expires", `"never"`, "permissions", `["read:leads","read:events"]`)).
		failed(tools.CodeNeedsPerson, "`kenbun-mcp tokens update "+token.ID+` --name 'it'\''s; id' --valid-from now --expires never --permissions read:leads,read:events --embedded`+"`")
}

// What the person was shown is what is changed.
func TestS5_ATokenThatChangedMeanwhileIsLeftAlone(t *testing.T) {
	for label, meanwhile := range map[string]client.TokenChange{
		"name":        {Name: "harmless"},
		"permissions": {Permissions: []string{"read:events"}},
		"start":       {ValidFrom: new(time.Now().Add(time.Hour))},
		"end":         {ExpiresAt: new(time.Now().Add(time.Hour))},
	} {
		f := newExtendedFixture(t)
		token := f.narrowed("import", "read:leads", "read:events")
		session := f.asks(`{}`, func(ctx context.Context) (json.RawMessage, error) {
			if _, err := f.api.As(t, f.pat).UpdateToken(ctx, token.ID, meanwhile); err != nil {
				t.Error(err)
			}
			return json.RawMessage(agreed), nil
		})
		f.callIn(t.Context(), session, "update_token", changes(token.ID, "expires", `"90d"`)).failed(tools.CodeDeclined, "changed by somebody else")
		if got := f.listed()[token.ID]; got.ExpiresAt.After(time.Now().Add(31 * 24 * time.Hour)) {
			t.Errorf("%s: the token was changed: %+v", label, got)
		}
	}
}

// The token that the call runs on may lock the assistant and the person out.
func TestR40_NarrowingTheTokenInUseAsks(t *testing.T) {
	f := newExtendedFixture(t, withoutSilence)
	own := f.listedID("first")
	for _, arguments := range []string{
		changes(own, "permissions", `["read:leads"]`), changes(own, "expires", `"1d"`), changes(own, "valid_from", `"1d"`), changes(own, "name", `"laptop"`),
	} {
		f.call("update_token", arguments).failed(tools.CodeNeedsPerson)
		session := f.asksWith(`{}`, declined)
		f.callIn(t.Context(), session, "update_token", arguments).failed(tools.CodeDeclined)
		if asked := session.asked(); len(asked) != 1 || !strings.Contains(asked[0].Message, "in use here") {
			t.Errorf("%s: the person was asked %+v", arguments, asked)
		}
	}
	if got := f.listed()[own]; got.Permissions != nil || got.ExpiresAt != nil || got.ValidFrom != nil {
		t.Errorf("the token in use is %+v", got)
	}
	f.callIn(t.Context(), f.asksWith(`{}`, agreed), "update_token", changes(own, "permissions", `["read:tokens"]`)).ok(nil)
	f.callIn(t.Context(), f.asksWith(`{}`, agreed), "update_token", changes(own, "name", `"desktop"`)).failed(tools.CodeForbidden)
}

func TestS5_TheOperatorsCeilingHolds(t *testing.T) {
	f := newExtendedFixture(t, withPolicy(func(p *tools.Policy) { p.MaxTokenLifetime = 40 * 24 * time.Hour }))
	session := f.asksWith(`{}`, agreed)
	forever := f.token("for good")
	token := f.token30("import")
	f.callIn(t.Context(), session, "update_token", changes(token.ID, "expires", `"never"`)).failed(tools.CodeForbidden, "never expire")
	f.callIn(t.Context(), session, "update_token", changes(token.ID, "expires", `"41d"`)).failed(tools.CodeForbidden, "at most 40 days")
	if len(session.asked()) != 0 {
		t.Error("the person was asked about what is not allowed")
	}
	// Less than there is may be more than a new token could have.
	f.callIn(t.Context(), session, "update_token", changes(forever.ID, "expires", `"100d"`)).ok(nil)
	f.callIn(t.Context(), session, "update_token", changes(token.ID, "expires", `"39d"`)).ok(nil)

	// Life is counted from when the token was made.
	later := time.Now().Add(20 * 24 * time.Hour)
	f = newExtendedFixture(t, withPolicy(func(p *tools.Policy) { p.MaxTokenLifetime = 40 * 24 * time.Hour }), func(c *toolsets.Config) { c.Now = func() time.Time { return later } })
	f.api.Shift(20 * 24 * time.Hour)
	old := f.token30("import") // made by the API's clock
	f.api.Shift(35 * 24 * time.Hour)
	later = time.Now().Add(35 * 24 * time.Hour)
	f.callIn(t.Context(), f.asksWith(`{}`, agreed), "update_token", changes(old.ID, "expires", `"30d"`)).failed(tools.CodeForbidden, "counted from when", "rotate_token")
}

func TestS5_WrongArgumentsOfAChangeTeach(t *testing.T) {
	f := newExtendedFixture(t)
	token := f.token30("import")
	requests := f.proxy.count()
	for arguments, words := range map[string][]string{
		changes(token.ID):                                                        {"nothing is to be changed", `"permissions"`},
		changes("", "name", `"x"`):                                               {`"id" is empty`},
		changes(token.ID, "name", `""`):                                          {"nothing is to be changed"},
		changes(token.ID, "name", `" "`):                                         {`"name" is empty`},
		changes(token.ID, "name", `"a\u202eb"`):                                  {"cannot be seen"},
		changes(token.ID, "expires", `"30"`):                                     {`"30d"`},
		changes(token.ID, "expires", `"2001-01-01T00:00:00Z"`):                   {"in the past"},
		changes(token.ID, "valid_from", `"NOW"`):                                 {`Write it as "now"`},
		changes(token.ID, "valid_from", `"never"`):                               {`"valid_from" cannot be "never"`, `"now"`},
		changes(token.ID, "valid_from", `"2001-01-01T00:00:00Z"`):                {"in the past"},
		changes(token.ID, "permissions", `"read:leads"`):                         {"a list", "not text"},
		changes(token.ID, "permissions", `[]`):                                   {"0 entries"},
		changes(token.ID, "permissions", `[1]`):                                  {"not a number"},
		changes(token.ID, "permissions", `["read:leads write:leads"]`):           {"an entry of its own"},
		changes(token.ID, "permissions", `["READ:LEADS"]`):                       {"in lower case"},
		changes(token.ID, "permissions", `["all","read:leads"]`):                 {"beside others"},
		changes(token.ID, "permissions", `["`+strings.Repeat("a", 65)+`"]`):      {"65 characters"},
		changes(token.ID, "permissions", `[`+strings.Repeat(`"a",`, 100)+`"a"]`): {"101 entries"},
		changes(token.ID, "permission", `["read:leads"]`):                        {`no argument "permission"`},
		changes(token.ID, "confirm", `true`):                                     {`no argument "confirm"`},
	} {
		f.call("update_token", arguments).failed(tools.CodeInvalidArgument, words...)
	}
	if n := requests(); n != 0 {
		t.Errorf("%d requests went to the API", n)
	}
	f.call("update_token", changes(token.ID, "permissions", `["read:everything"]`)).failed(tools.CodeInvalidArgument, `"read:everything"`, "read:leads", "write:tokens")
	f.call("update_token", changes(token.ID, "valid_from", `"40d"`)).failed(tools.CodeInvalidArgument, "before the token expires")
	f.call("update_token", changes("pat_unknown", "name", `"x"`)).failed(tools.CodeNotFound)
	if err := f.api.As(t, f.pat).RevokeToken(t.Context(), token.ID); err != nil {
		t.Fatal(err)
	}
	f.call("update_token", changes(token.ID, "name", `"x"`)).failed(tools.CodeInvalidArgument, "is revoked")
}

// Where the API does not tell which permissions there are, its own answer counts.
func TestS1_PermissionsThatTheAPIDoesNotTellAreSent(t *testing.T) {
	f := newExtendedFixture(t)
	token := f.idle("import")
	f.proxy.refuse(http.MethodGet, "/me", http.StatusForbidden)
	f.call("update_token", changes(token.ID, "permissions", `["read:everything"]`)).failed(tools.CodeInvalidArgument, "does not accept")
	f.call("update_token", changes(token.ID, "permissions", `["read:leads"]`)).ok(nil)
	f.call("create_token", `{"name":"x","expires":"7d","permissions":["read:everything"]}`).failed(tools.CodeInvalidArgument, "no token was made", "permissions")
}

func TestS5_AnExpiredTokenMayHaveANewEnd(t *testing.T) {
	now := time.Now()
	f := newExtendedFixture(t, func(c *toolsets.Config) { c.Now = func() time.Time { return now } })
	token := f.token30("import")
	f.api.Shift(31 * 24 * time.Hour)
	now = now.Add(31 * 24 * time.Hour)
	f.call("update_token", changes(token.ID, "name", `"old import"`)).ok(nil)
	f.call("update_token", changes(token.ID, "expires", `"7d"`)).failed(tools.CodeNeedsPerson)
	f.callIn(t.Context(), f.asksWith(`{}`, agreed), "update_token", changes(token.ID, "expires", `"7d"`)).ok(nil)
	if _, err := f.api.As(t, token.Value).Me(t.Context()); err != nil {
		t.Errorf("the token does not live again: %v", err)
	}
}

func TestS5_ChangesThatFail(t *testing.T) {
	f := newExtendedFixture(t)
	token := f.idle("import")
	for status, want := range map[int]struct {
		code  tools.Code
		words []string
	}{
		http.StatusServiceUnavailable: {tools.CodeUnavailable, []string{"may have been changed", "safe to call again"}},
		http.StatusForbidden:          {tools.CodeForbidden, []string{"within its own permissions"}},
		http.StatusConflict:           {tools.CodeInvalidArgument, []string{"revoked meanwhile"}},
		http.StatusNotFound:           {tools.CodeUnavailable, []string{"--api-extensions", "nothing was changed"}},
		http.StatusMethodNotAllowed:   {tools.CodeUnavailable, []string{"could not change the token"}},
		http.StatusTooManyRequests:    {tools.CodeRateLimited, nil},
		http.StatusUnauthorized:       {tools.CodeUnauthenticated, nil},
	} {
		f.proxy.refuse(http.MethodPatch, "/settings/tokens/"+token.ID, status)
		f.call("update_token", changes(token.ID, "name", `"x"`)).failed(want.code, want.words...)
	}
}

// What fails again is not called safe to repeat.
func TestP26_AChangeThatFailsAgainIsNotCalledSafeToRepeat(t *testing.T) {
	f := newExtendedFixture(t)
	token := f.idle("import")
	for name, change := range map[string]func(w http.ResponseWriter){
		"not supported": func(w http.ResponseWriter) { w.WriteHeader(http.StatusMethodNotAllowed) },
		"a sign-in page": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<title>Sign in</title>")) // the test fails by what is missing
		},
		"a redirect": func(w http.ResponseWriter) { w.WriteHeader(http.StatusFound) },
	} {
		f.proxy.instead(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method != http.MethodPatch {
				next.ServeHTTP(w, r)
				return
			}
			change(w)
		})
		text := f.call("update_token", changes(token.ID, "name", `"x"`)).failed(tools.CodeUnavailable, "may have been changed", "list_tokens").text()
		if strings.Contains(text, "safe to call again") || !strings.Contains(text, "KENBUN_API_URL") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestS5_ChangesAreCounted(t *testing.T) {
	f := newExtendedFixture(t, withPolicy(func(p *tools.Policy) { p.MaxChangesPerMinute = 2 }), withClock(&settableClock{now: time.Now()}))
	token := f.idle("import")
	for _, name := range []string{`"a"`, `"b"`} {
		f.call("update_token", changes(token.ID, "name", name)).ok(nil)
	}
	f.call("update_token", changes(token.ID, "name", `"c"`)).failed(tools.CodeRateLimited, "2 changes a minute")
}

// What hangs on a token is not taken away without the user, and can be given back.
func TestR37_LessIsADecisionWhereItMayBeAnOutage(t *testing.T) {
	f := newExtendedFixture(t)
	used, idle := f.made(client.NewToken{Name: "daily import"}), f.made(client.NewToken{Name: "idle"})
	f.proxy.instead(rewriting(t, func(row map[string]json.RawMessage) {
		if string(row["id"]) == quoted(used.ID) {
			row["last_used_at"] = json.RawMessage(quoted(time.Now().Add(-29 * 24 * time.Hour).UTC().Format(time.RFC3339)))
		}
	}))
	for _, arguments := range []string{
		changes(used.ID, "expires", `"300d"`), changes(used.ID, "name", `"harmless"`), changes(used.ID, "permissions", `["read:leads"]`),
		changes(idle.ID, "expires", `"6d"`), changes(idle.ID, "valid_from", `"1d"`),
	} {
		f.call("update_token", arguments).failed(tools.CodeNeedsPerson)
	}
	session := f.asksWith(`{}`, agreed)
	f.callIn(t.Context(), session, "update_token", changes(used.ID, "name", `"harmless"`, "expires", `"6d"`)).ok(nil)
	asked := session.asked()
	if len(asked) != 1 || !strings.Contains(asked[0].Message, `was "daily import", becomes "harmless"`) || !strings.Contains(asked[0].Message, "may stop working") {
		t.Errorf("the user was asked %+v", asked)
	}
	// The operator allows no token that never expires, but this one did not.
	f.callIn(t.Context(), session, "update_token", changes(used.ID, "name", `"daily import"`, "expires", `"never"`)).ok(nil)
	if got := f.listed()[used.ID]; got.ExpiresAt != nil || got.Name != "daily import" {
		t.Errorf("the token is not as it was: %+v", got)
	}
	f.callIn(t.Context(), session, "update_token", changes(f.token30("short").ID, "expires", `"never"`)).failed(tools.CodeForbidden, "never expire")
}

// A list that does not say when a token was used does not say that it was not.
func TestR37_UnknownUseCountsAsUse(t *testing.T) {
	f := newExtendedFixture(t)
	token := f.idle("import")
	rename := changes(token.ID, "name", `"nightly"`)
	f.proxy.instead(rewriting(t, func(row map[string]json.RawMessage) { delete(row, "last_used_at") }))
	f.call("update_token", rename).failed(tools.CodeNeedsPerson)
	session := f.asksWith(`{}`, declined)
	f.callIn(t.Context(), session, "update_token", rename).failed(tools.CodeDeclined)
	if asked := session.asked(); len(asked) != 1 || !strings.Contains(asked[0].Message, "Last used: not known") {
		t.Errorf("the user was asked %+v", asked)
	}
	f.proxy.instead(nil)
	// With the use known nobody is asked. (After the no, the first token is left alone.)
	f.call("update_token", changes(f.idle("second import").ID, "name", `"weekly"`)).ok(nil)
}

// Nothing says how soon a use is recorded: a token without one that was made lately
// may be in use.
func TestR37_ATokenThatWasMadeLatelyCountsAsUsed(t *testing.T) {
	clock := &settableClock{now: time.Now()}
	f := newExtendedFixture(t, withClock(clock), withoutSilence)
	token := f.api.Token(t, ada, "import", nil)
	rename := changes(token.ID, "name", `"nightly"`)
	clock.advance(29 * 24 * time.Hour)
	f.call("update_token", rename).failed(tools.CodeNeedsPerson)
	const recorded = "Last used: no use is recorded, which can take a while"
	for tool, arguments := range map[string]string{"update_token": rename, "revoke_token": id(token.ID), "rotate_token": `{"id":` + quoted(token.ID) + `,"expires":"7d"}`} {
		session := f.asksWith(`{}`, declined)
		f.callIn(t.Context(), session, tool, arguments).failed(tools.CodeDeclined)
		if asked := session.asked(); len(asked) != 1 || !strings.Contains(asked[0].Message, recorded) {
			t.Errorf("%s: the user was asked %+v", tool, asked)
		}
	}
	clock.advance(2 * 24 * time.Hour)
	f.call("update_token", rename).ok(nil)
	session := f.asksWith(`{}`, declined)
	f.callIn(t.Context(), session, "revoke_token", id(token.ID)).failed(tools.CodeDeclined)
	if asked := session.asked(); len(asked) != 1 || !strings.Contains(asked[0].Message, "Last used: never") {
		t.Errorf("the user was asked %+v", asked)
	}
}

// An end is given back only while it is the one that the tool set.
func TestR37_AnEndThatSomebodyElseChangedIsNotGivenBack(t *testing.T) {
	f := newExtendedFixture(t)
	session := f.asksWith(`{}`, agreed)
	never := f.api.Token(t, ada, "import", nil)
	giveBack := changes(never.ID, "expires", `"never"`)
	f.callIn(t.Context(), session, "update_token", changes(never.ID, "expires", `"300d"`)).ok(nil)
	own := f.api.As(t, f.pat)
	for _, end := range []time.Time{time.Now().Add(200 * 24 * time.Hour), time.Now().Add(340 * 24 * time.Hour)} {
		if _, err := own.UpdateToken(t.Context(), never.ID, client.TokenChange{ExpiresAt: &end}); err != nil {
			t.Fatal(err)
		}
		f.callIn(t.Context(), session, "update_token", giveBack).failed(tools.CodeForbidden, "never expire")
	}
	// What the tool sets in steps counts as a whole, in both directions.
	steps := f.api.Token(t, ada, "steps", nil)
	for _, expires := range []string{`"300d"`, `"200d"`, `"250d"`, `"never"`} {
		f.callIn(t.Context(), session, "update_token", changes(steps.ID, "expires", expires)).ok(nil)
	}
	// What it gave back is no earlier end of anything.
	f.callIn(t.Context(), session, "update_token", changes(never.ID, "expires", `"100d"`)).ok(nil)
	f.callIn(t.Context(), session, "update_token", changes(never.ID, "expires", quoted(day(339)))).ok(nil)
	f.callIn(t.Context(), session, "update_token", giveBack).failed(tools.CodeForbidden, "never expire")
}

// A no is followed by silence for the token, whatever is asked about it.
func TestR37_AfterANoTheUserIsNotAskedAgain(t *testing.T) {
	f := newExtendedFixture(t)
	token := f.idle("old laptop")
	session := f.asksWith(`{}`, declined)
	for i := range 200 {
		a := f.callIn(t.Context(), session, "revoke_token", id(token.ID))
		if i > 0 {
			a.failed(tools.CodeDeclined, "the user said no", "was not revoked")
		}
	}
	f.callIn(t.Context(), session, "rotate_token", id(token.ID)).failed(tools.CodeDeclined, "the user said no")
	f.callIn(t.Context(), session, "update_token", changes(token.ID, "expires", `"200d"`)).failed(tools.CodeDeclined, "the user said no")
	f.callModern(canAsk, "revoke_token", id(token.ID)).failed(tools.CodeDeclined, "the user said no")
	// Neither a change that needs no question nor a list that fails is a way round it.
	f.callIn(t.Context(), session, "update_token", changes(token.ID, "expires", `"20d"`)).failed(tools.CodeDeclined, "the user said no", "was not changed")
	f.proxy.instead(withList(badLists["fails"]))
	f.callIn(t.Context(), session, "revoke_token", id(token.ID)).failed(tools.CodeDeclined, "the user said no", "was not revoked")
	f.proxy.instead(nil)
	if n := len(session.asked()); n != 1 {
		t.Errorf("the user was asked %d times", n)
	}
	f.mustBeLive(token.ID)
}
