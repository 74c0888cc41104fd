package tokens_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/tools"
)

// manyPermissions are more than any model should read.
func manyPermissions(count int) string {
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprintf(`"read:thing-%d"`, i)
	}
	return "[" + strings.Join(names, ",") + "]"
}

func TestR24_ListsOfTheAPIReachNoModelUncut(t *testing.T) {
	const most = 16 << 10 // bytes of an answer
	f := newExtendedFixture(t)
	token := f.narrowed("import", "read:leads")
	short := func(what string, a *answer) {
		t.Helper()
		if len(a.raw) > most {
			t.Errorf("%s has %d bytes, want at most %d", what, len(a.raw), most)
		}
		if !strings.Contains(a.raw, "more") {
			t.Errorf("%s does not say that something is left out: %.300s", what, a.raw)
		}
	}
	t.Run("permissions of the user", func(t *testing.T) {
		f.proxy.instead(rewriting(t, func(me map[string]json.RawMessage) {
			if me["email"] != nil {
				me["permissions"] = json.RawMessage(manyPermissions(30_000))
			}
		}))
		short("whoami", f.call("whoami", `{}`).ok(nil))
		short("a refused permission", f.call("update_token", changes(token.ID, "permissions", `["read:everything"]`)).failed(tools.CodeInvalidArgument))
	})
	t.Run("permissions of a token", func(t *testing.T) {
		f.proxy.instead(rewriting(t, func(row map[string]json.RawMessage) {
			if string(row["name"]) == `"import"` {
				row["permissions"] = json.RawMessage(manyPermissions(1_000))
			}
		}))
		short("list_tokens", f.call("list_tokens", `{}`).ok(nil))
		session := f.asksWith(`{}`, declined)
		f.callIn(t.Context(), session, "revoke_token", id(token.ID)).failed(tools.CodeDeclined)
		if message := session.asked()[0].Message; len(message) > most || !strings.Contains(message, "more") {
			t.Errorf("a question has %d bytes", len(message))
		}
	})
	t.Run("organizational units", func(t *testing.T) {
		units := make([]string, 5_000)
		for i := range units {
			units[i] = fmt.Sprintf(`{"unit_id":"ou_%d","name":"Unit %d","is_default":false}`, i, i)
		}
		f.proxy.instead(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			if !strings.Contains(r.URL.Path, "org-units") {
				pass.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			if _, err := w.Write([]byte("[" + strings.Join(units, ",") + "]")); err != nil {
				t.Error(err)
			}
		})
		short("whoami", f.call("whoami", `{}`).ok(nil))
	})
	f.proxy.instead(nil)
}

// Where the API shows less of a token than names it, it may be the one in use.
func TestR40_AShortPrefixCountsAsInUse(t *testing.T) {
	f := newExtendedFixture(t)
	own, other := f.listedID("first"), f.token30("import").ID
	// A token in use cannot give itself a later end: each is nearer than the last.
	for _, cut := range []int{12, 8, 0} {
		t.Run(fmt.Sprintf("%d characters", cut), func(t *testing.T) {
			f.t = t
			f.proxy.instead(rewriting(t, func(row map[string]json.RawMessage) {
				if string(row["name"]) == `"first"` {
					row["token_prefix"] = json.RawMessage(quoted(f.pat[:cut]))
				}
			}))
			f.call("revoke_token", id(own)).failed(tools.CodeForbidden, "may be the token that this server itself runs on")
			f.call("update_token", changes(own, "permissions", `["read:leads"]`)).failed(tools.CodeNeedsPerson)
			session := f.asksWith(`{}`, agreed)
			f.callIn(t.Context(), session, "update_token", changes(own, "expires", quoted(day(60+cut)))).ok(nil)
			if asked := session.asked(); len(asked) != 1 || !strings.Contains(asked[0].Message, "may be the token that is in use here") {
				t.Errorf("the question is %+v", asked)
			}
			if text := f.call("list_tokens", `{}`).ok(nil).text(); !strings.Contains(text, "cannot tell whether it is in use") {
				t.Errorf("the list says %s", text)
			}
			// What the API shows in full is another token for sure.
			f.call("revoke_token", id(other)).failed(tools.CodeNeedsPerson)
			f.proxy.instead(nil)
		})
	}
}

// Clients render Markdown in what a user is asked. A name is shown as it is.
func TestA20_NamesInQuestionsAreCode(t *testing.T) {
	f := newFixture(t)
	names := []string{
		"[click](https://evil.example)", "![x](https://evil.example/x.png)", "<img src=https://evil.example>", "**bold** _it_ ~~gone~~",
		"https://evil.example", "www.evil.example", "# heading", "`code` [click](https://evil.example)", "``` [x](y) ```", "$\\\\sum$", "a | b",
	}
	var tokens []wireToken
	for i, name := range names {
		tokens = append(tokens, wireToken{ID: fmt.Sprintf("pat_%02d", i), Name: name, Prefix: "kbn_pat_[x](y)z", CreatedAt: time.Now()})
	}
	f.lists(tokens)
	for i, name := range names {
		session := f.asksWith(`{}`, declined)
		f.callIn(t.Context(), session, "revoke_token", id(tokens[i].ID)).failed(tools.CodeDeclined)
		asked := session.asked()[0]
		outside := ""
		for at, part := range strings.Split(asked.Message, "`") {
			if at%2 == 0 {
				outside += part
			}
		}
		if strings.Count(asked.Message, "`")%2 != 0 || strings.ContainsAny(outside, "[]()<>*~$|#") || strings.Contains(fmt.Sprint(outside, asked.RequestedSchema), "](") {
			t.Errorf("%q can be rendered in %q", name, asked.Message)
		}
		if !strings.Contains(asked.Message, "Name: `\"") {
			t.Errorf("the name is not code in %q", asked.Message)
		}
	}
}
