package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
)

// askAsOther sends a page's request as another user of the machine.
func askAsOther(t *testing.T, family int, address string, form url.Values) (int, string) {
	t.Helper()
	to, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	connection := kenbuntest.DialAs(t, kenbuntest.SomeoneElse, family, to.Host)
	defer connection.Close()
	method, body := http.MethodGet, ""
	if form != nil {
		method, body = http.MethodPost, form.Encode()
	}
	if _, err := fmt.Fprintf(connection, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
		method, to.Path, to.Host, len(body), body); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

// Another user who knows every address of a page, and its form, neither reads a
// new token there nor decides, and does not use the page up.
func TestA46_AnotherUserCannotUseAPage(t *testing.T) {
	require.Long(t, "it runs the built program")
	if !inNamespaces(t) {
		return
	}
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	target := api.Token(t, "ada@example.com", "target", nil)
	for _, c := range []struct {
		tool, arguments, theirs, owners, outcome string
	}{
		{"create_token", `{"name":"nightly","expires":"7d"}`, "show", "show", "shown to the user once, on a page"},
		{"revoke_token", `{"id":"` + target.ID + `"}`, "agree", "leave", "declined"},
	} {
		t.Run(c.tool, func(t *testing.T) {
			clicker, browser := newClicker(t, url.Values{"choice": {c.owners}})
			var attempts atomic.Int32
			clicker.before = func(address string, form url.Values) {
				theirs := url.Values{"choice": {c.theirs}}
				if form != nil {
					theirs.Set("csrf", form.Get("csrf"))
				}
				for _, family := range []int{syscall.AF_INET, syscall.AF_INET6} {
					for _, send := range []url.Values{nil, theirs} {
						attempts.Add(1)
						status, body := askAsOther(t, family, address, send)
						if status != http.StatusForbidden || strings.Contains(body, "csrf") || strings.Contains(body, "kbn_") {
							t.Errorf("another user is answered with %d %s", status, body)
						}
					}
				}
			}
			environment := append(kenbuntest.Environment(t, browser...), "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+pat)
			got := converse(t, environment, initialize+toolCall(2, c.tool, c.arguments), "stdio", "--deliver", "page")
			if !strings.Contains(got.stdout, c.outcome) {
				t.Errorf("the answer is %s%s", got.stdout, got.stderr)
			}
			if attempts.Load() != 12 {
				t.Errorf("another user tried %d times, want 12", attempts.Load())
			}
			<-clicker.seen
		})
	}
	if _, err := api.As(t, target.Value).Me(t.Context()); err != nil {
		t.Errorf("the token that another user tried to revoke: %v", err)
	}
}
