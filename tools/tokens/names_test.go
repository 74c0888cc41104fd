package tokens_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/names"
	"github.com/kenbun/kenbun-mcp/tools"
)

func TestP29_ToolsTakeShowFindAndRotateNamesAsTheyAreTyped(t *testing.T) {
	f := newExtendedFixture(t)
	renamed := f.token30("import")
	session := f.asksWith(`{}`, agreed)
	var all []string
	for i, name := range names.Packed() {
		var got updated
		f.callIn(t.Context(), session, "update_token", changes(renamed.ID, "name", quoted(name))).ok(&got)
		if got.Name != name {
			t.Errorf("%+q became %+q", name, got.Name)
		}
		if i%20 == 0 {
			all = append(all, name)
		}
	}
	for _, name := range names.Living {
		all = append(all, name)
	}
	for _, name := range all {
		var made created
		answer := f.call("create_token", createArguments(name, "7d"))
		answer.ok(&made)
		if made.Name != name || !strings.Contains(answer.text(), "\nname: "+name+"\n") {
			t.Errorf("%+q was made as %+q: %q", name, made.Name, answer.text())
		}
		var listed struct {
			Tokens []struct{ ID, Name string }
		}
		answer = f.call("list_tokens", `{"name":`+quoted(name)+`}`)
		answer.ok(&listed)
		found := slices.ContainsFunc(listed.Tokens, func(row struct{ ID, Name string }) bool { return row.ID == made.ID && row.Name == name })
		if !found || !strings.Contains(answer.text(), "| "+name+" |") {
			t.Errorf("%+q is listed as %q", name, answer.text())
		}
		var replaced rotated
		f.callIn(t.Context(), session, "rotate_token", id(made.ID)).ok(&replaced)
		if replaced.Name != name {
			t.Errorf("%+q is rotated as %+q", name, replaced.Name)
		}
		asked := session.asked()
		if question := asked[len(asked)-1].Message; !strings.Contains(question, `"`+name+`"`) {
			t.Errorf("the question about %+q is %q", name, question)
		}
		f.mustBeRevoked(made.ID)
	}
}

func TestP29_ToolsRefuseWhatIsNotSeenAndSayWhere(t *testing.T) {
	f := newExtendedFixture(t)
	token := f.token30("import")
	for label, refused := range names.RefusedNames {
		place := fmt.Sprintf("%U at character %d", refused.Rune, refused.Position)
		f.call("create_token", createArguments(refused.Name, "7d")).failed(tools.CodeInvalidArgument, `"name"`, place, "Leave it out")
		f.call("update_token", changes(token.ID, "name", quoted(refused.Name))).failed(tools.CodeInvalidArgument, `"name"`, place, "Leave it out")
		if t.Failed() {
			t.Fatal(label)
		}
	}
	if n := len(f.listed()); n != 2 {
		t.Errorf("the user has %d tokens, want 2", n)
	}
}

func TestP29_AnotherNormalFormIsTheSameName(t *testing.T) {
	f := newExtendedFixture(t)
	token := f.token30("Zo\u00eb's laptop")
	var listed struct{ Tokens []struct{ ID string } }
	for _, name := range []string{"zoe\u0308", "ZO\u00cb", "Zo\u00eb"} {
		f.call("list_tokens", `{"name":`+quoted(name)+`}`).ok(&listed)
		if len(listed.Tokens) != 1 || listed.Tokens[0].ID != token.ID {
			t.Errorf("%+q finds %+v", name, listed.Tokens)
		}
	}
	var got updated
	f.call("update_token", changes(token.ID, "name", quoted("Zoe\u0308's laptop"))).ok(&got)
	if len(got.Changed) != 0 {
		t.Errorf("the same name in another form is a change of %v", got.Changed)
	}
}

// Somebody else may give a token a name that no new one may have: a rotation, and
// a search, take the name that the list shows.
func TestP29_TokensOfOtherNamesAreFoundAndRotatedAsShown(t *testing.T) {
	f := newFixture(t)
	old := f.token30("Caf-- laptop")
	f.proxy.instead(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method != http.MethodGet || r.URL.Path != "/settings/tokens" {
			pass.ServeHTTP(w, r)
			return
		}
		recorded := httptest.NewRecorder()
		r.Header.Del("Accept-Encoding")
		pass.ServeHTTP(recorded, r)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(recorded.Code)
		_, _ = io.WriteString(w, strings.ReplaceAll(recorded.Body.String(), "Caf--", "Caf\u00e9\u00a0\u202e")) // the client may have gone
	})
	var listed struct{ Tokens []struct{ ID, Name string } }
	f.call("list_tokens", `{"name":"caf\u00e9 laptop"}`).ok(&listed)
	if len(listed.Tokens) != 1 || listed.Tokens[0].Name != "Caf\u00e9 laptop" {
		t.Fatalf("it is listed as %+v", listed.Tokens)
	}
	var got rotated
	f.callIn(t.Context(), f.asksWith(`{}`, agreed), "rotate_token", id(old.ID)).ok(&got)
	if got.Name != "Caf\u00e9 laptop" {
		t.Errorf("it is rotated as %+q", got.Name)
	}
	f.mustBeRevoked(old.ID)
}
