package tokens_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
)

// narrowingOld has the token that the call is about be narrowed before.
func narrowingOld(t *testing.T, f *fixture, old string) {
	t.Helper()
	if _, err := f.api.As(t, f.pat).UpdateToken(t.Context(), old, client.TokenChange{Permissions: []string{"read:leads"}}); err != nil {
		t.Fatal(err)
	}
}

func TestR34_UpdateTokenLeavesExactlyItsEntries(t *testing.T) {
	renaming := func(old string) string { return changes(old, "name", `"new"`) }
	widening := func(old string) string { return changes(old, "permissions", `["all"]`, "name", `"new"`) }
	const (
		renamed = `update target=OLD name=old name from "old" to "new"`
		widened = renamed + ` permissions from "read:leads" to "all"`
	)
	cases := map[string]audited{
		"a new name": {want: []string{renamed + ": done, live"}},
		"narrowed": {arguments: func(old string) string { return changes(old, "permissions", `["read:leads","read:events"]`) }, call: unasked("update_token"),
			want: []string{`update target=OLD name=old permissions from "all" to "read:events read:leads": done, live`}},
		"no change":     {arguments: func(old string) string { return changes(old, "name", `"old"`) }, want: []string{"update target=OLD name=old: unchanged, live"}},
		"widened":       {before: narrowingOld, arguments: widening, want: []string{widened + " approved by elicitation: done, live"}},
		"declined":      {before: narrowingOld, arguments: widening, call: saying("update_token", declined), want: []string{widened + " declined by elicitation: declined, live"}},
		"nobody to ask": {before: narrowingOld, arguments: widening, call: unasked("update_token"), want: []string{widened + " nobody_to_ask: needs_person, live"}},
		"a trusted client": {options: []option{trustClients}, before: narrowingOld, arguments: widening, call: unasked("update_token"),
			want: []string{widened + " trusted_client: done, live"}},
		"the API fails": {before: refused(http.MethodPatch, "/settings/tokens/OLD", http.StatusInternalServerError), want: []string{renamed + ": unavailable, live"}},
		"revoked":       {before: func(t *testing.T, f *fixture, old string) { revokeAtOnce(t, f, old) }, want: []string{"update target=OLD name=old: invalid_argument, revoked"}},
		"unknown":       {arguments: func(string) string { return changes("pat_unknown", "name", `"new"`) }, want: []string{"update target=pat_unknown: not_found, unknown"}},
		"a value as id": {arguments: func(string) string { return changes(strings.Repeat("a", 40), "name", `"new"`) }, want: []string{"update: not_found, unknown"}},
		"meaningless":   {arguments: func(old string) string { return changes(old) }},
	}
	for label, c := range cases {
		c.options = append([]option{withExtensions}, c.options...)
		cases[label] = c
	}
	runAudited(t, "update_token", renaming, cases)
}

// While the log cannot be written, nothing is changed.
func TestR34_NoChangeWithoutALog(t *testing.T) {
	f, book := newAuditedFixture(t, withExtensions)
	token := f.token30("old")
	book.close(http.ErrServerClosed)
	f.call("update_token", changes(token.ID, "name", `"new"`)).failed(tools.CodeUnavailable, "audit log")
	if got := f.listed()[token.ID].Name; got != "old" {
		t.Errorf("the token is called %q", got)
	}
}
