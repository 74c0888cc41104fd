package authority

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
)

// slowRequest is one whose sender was let in and keeps its body back.
type slowRequest struct {
	conn   net.Conn
	reader *bufio.Reader
	body   string
}

// begin sends the head of a request and returns when the server asks for the
// body (RFC 9110, section 10.1.1).
func (f *fixture) begin(method, path, body string, headers ...string) *slowRequest {
	f.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = conn.Close() })
	head := append([]string{
		method + " " + path + " HTTP/1.1", "Host: " + strings.TrimPrefix(f.url, "http://"), "Expect: 100-continue", fmt.Sprintf("Content-Length: %d", len(body)),
	}, headers...)
	if _, err := io.WriteString(conn, strings.Join(head, "\r\n")+"\r\n\r\n"); err != nil {
		f.t.Fatal(err)
	}
	s := &slowRequest{conn: conn, reader: bufio.NewReader(conn), body: body}
	for _, want := range []string{"HTTP/1.1 100 Continue", ""} {
		line, err := s.reader.ReadString('\n')
		if err != nil || strings.TrimSpace(line) != want {
			f.t.Fatalf("the server does not ask for the body: %q, %v", line, err)
		}
	}
	return s
}

// finish sends the body and returns the status.
func (s *slowRequest) finish(t *testing.T) (status int) {
	t.Helper()
	if _, err := io.WriteString(s.conn, s.body); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(s.reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode
}

// A request that was let in before its token was taken away changes nothing
// after that: whoever holds a stolen token could otherwise keep the body of a
// request back, and make another token as soon as the stolen one is revoked.
func TestK3_NothingIsChangedByARequestThatARevocationOvertakes(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		f.user("ada@example.com", RoleAdmin)
		session, err := f.IssueSession(t.Context(), "ada@example.com", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		member, err := f.Member(t.Context(), "ada@example.com", "")
		if err != nil {
			t.Fatal(err)
		}
		units, err := f.Units(t.Context(), member.OrgID)
		if err != nil {
			t.Fatal(err)
		}
		for what, c := range map[string]struct {
			take, back func(ctx context.Context, id string) error
			status     int
		}{
			"revoked":   {take: func(ctx context.Context, id string) error { return f.Revoke(ctx, member.ID, id) }, status: http.StatusUnauthorized},
			"suspended": {take: func(ctx context.Context, _ string) error { return f.Suspend(ctx, "ada@example.com") }, back: func(ctx context.Context, _ string) error { return f.Restore(ctx, "ada@example.com") }, status: http.StatusUnauthorized},
			"ended": {take: func(ctx context.Context, id string) error {
				return f.narrow(ctx, session, id, `{"expires_at": "`+f.now().Add(2*time.Second).Format(time.RFC3339)+`"}`, func() { f.clock.advance(3 * time.Second) })
			}, status: http.StatusUnauthorized},
			"narrowed": {take: func(ctx context.Context, id string) error {
				return f.narrow(ctx, session, id, `{"permissions": ["read:leads"]}`, func() {})
			}, status: http.StatusForbidden},
		} {
			for request, body := range map[string]string{
				"POST /settings/tokens":        `{"name": "made by a thief"}`,
				"PATCH /settings/tokens/OTHER": `{"name": "renamed by a thief"}`,
				"POST /org-units/active":       `{"ouId": "` + units[0].ID + `"}`,
			} {
				t.Run(what+"/"+strings.ReplaceAll(request, "/", "_"), func(t *testing.T) {
					stolen, other := f.token("ada@example.com", "stolen"), f.token("ada@example.com", "other")
					method, path, _ := strings.Cut(strings.Replace(request, "OTHER", other.ID, 1), " ")
					slow := f.begin(method, path, body, "Content-Type: application/json", bearer(stolen.Value))
					if err := c.take(t.Context(), stolen.ID); err != nil {
						t.Fatal(err)
					}
					if got := slow.finish(t); got != c.status {
						t.Errorf("status %d, want %d", got, c.status)
					}
					if c.back != nil {
						if err := c.back(t.Context(), stolen.ID); err != nil {
							t.Fatal(err)
						}
					}
					for _, row := range f.list(session) {
						if strings.Contains(row.Name, "thief") {
							t.Errorf("a token was %s", row.Name)
						}
					}
				})
			}
		}
	})
}

// narrow changes a token by the API and then does what else is to happen.
func (f *fixture) narrow(ctx context.Context, session, id, change string, then func()) error {
	got, err := f.trySend(ctx, "PATCH", "/settings/tokens/"+id, change, bearer(session))
	if err != nil {
		return err
	}
	if got.status != http.StatusOK {
		return fmt.Errorf("PATCH: status %d: %s", got.status, got.shown())
	}
	then()
	return nil
}

// What a token makes without naming permissions is narrowed as that token is at
// the moment at which it is made.
func TestH2_ARequestUnderWayGivesNoMoreThanItsTokenHoldsNow(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store})
		f.user("ada@example.com", RoleAdmin)
		session, err := f.IssueSession(t.Context(), "ada@example.com", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		maker := f.token("ada@example.com", "maker")
		slow := f.begin("POST", "/settings/tokens", `{"name": "made"}`, "Content-Type: application/json", bearer(maker.Value))
		if err := f.narrow(t.Context(), session, maker.ID, `{"permissions": ["read:tokens", "write:tokens"]}`, func() {}); err != nil {
			t.Fatal(err)
		}
		if got := slow.finish(t); got != http.StatusCreated {
			t.Fatalf("status %d", got)
		}
		for _, row := range f.list(session) {
			if row.Name == "made" && len(row.Permissions) != 2 {
				t.Errorf("the new token holds %v", row.Permissions)
			}
		}
	})
}

// TestK3_AFormThatTheEndOfItsSessionOvertakes is the same for the web page, which
// reads a form before it looks at the session.
func TestK3_AFormThatTheEndOfItsSessionOvertakes(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newWebFixture(t, Config{Store: store})
		f.user("ada@example.com", RoleMember)
		visit := f.visit("ada@example.com")
		values := visit.form("/web/tokens/new")
		for name, value := range map[string]string{"name": "late", "expiry": "7", "scope": "all"} {
			values.Set(name, value)
		}
		_, session, _ := strings.Cut(visit.cookie, "=")
		as, err := f.Verify(t.Context(), domain.WebSession, session)
		if err != nil {
			t.Fatal(err)
		}
		f.interrupt(interrupted{before: func() {
			if err := f.EndSession(t.Context(), as.CredentialID); err != nil {
				t.Error(err)
			}
		}})
		got := visit.submit("/web/tokens/new", values)
		if got.status != http.StatusUnauthorized || !strings.Contains(got.body, "Sign in to see your tokens") {
			t.Errorf("status %d", got.status)
		}
		if line := f.lineWith(got.header.Get("X-Request-Id")); !strings.Contains(line, `"refused":"`+domain.CauseUnknown+`"`) {
			t.Errorf("the log has %q", line)
		}
		if tokens, err := f.TokensOf(t.Context(), as.UserID); err != nil || len(tokens) != 1 {
			t.Errorf("%d tokens, %v", len(tokens), err)
		}
	})
}

// TestK3_ARevocationWaitsForWhatItsTokenIsMaking looks at a moment that is too
// short to meet over HTTP: what the revoked token has made is in the list as soon
// as the revocation is answered.
func TestK3_ARevocationWaitsForWhatItsTokenIsMaking(t *testing.T) {
	f := newFixture(t, Config{Store: newPostgres(t)})
	maker := f.user("ada@example.com", RoleMember)
	as, err := f.Authenticate(t.Context(), maker.Value)
	if err != nil {
		t.Fatal(err)
	}
	revoked := make(chan error, 1)
	f.interrupt(interrupted{within: func() {
		go func() { revoked <- f.Revoke(t.Context(), as.UserID, maker.ID) }()
		waitUntil(t, "the revocation waits", func() bool {
			var waiting int
			if err := f.reads().QueryRowContext(t.Context(), `SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())`).Scan(&waiting); err != nil {
				t.Error(err)
			}
			return waiting > 0 || len(revoked) > 0
		})
		if len(revoked) > 0 {
			t.Error("the revocation did not wait")
		}
	}})
	if _, err := f.Create(t.Context(), as, domain.TokenRequest{Name: "made"}); err != nil {
		t.Fatal(err)
	}
	if err := <-revoked; err != nil {
		t.Fatal(err)
	}
	if f.works(maker.Value) {
		t.Error("the token works after its revocation")
	}
}

// TestS5_AFormThatAChangeOvertakes has a token narrowed between the moment at
// which its form is compared with it and the one at which the form is saved.
func TestS5_AFormThatAChangeOvertakes(t *testing.T) {
	f := newWebFixture(t, Config{Store: sqliteStore(t)})
	issued := f.user("ada@example.com", RoleMember)
	member := mustUser(t, f, "ada@example.com")
	visit := f.visit("ada@example.com")
	path := "/web/tokens/" + issued.ID
	values := visit.form(path)
	for name, chosen := range map[string][]string{"name": {issued.Name}, "expiry": {"keep"}, "scope": {"some"}, "permission": {"read:leads", "read:tokens"}} {
		values[name] = chosen
	}
	saved := make(chan answer, 1)
	err := f.store.Change(t.Context(), func(tx domain.Tx) error {
		waiting := f.writes().Stats().WaitCount
		go func() {
			got, err := f.trySend(t.Context(), "POST", path, values.Encode(), formType, "Cookie: "+visit.cookie)
			if err != nil {
				t.Error(err)
			}
			saved <- got
		}()
		waitUntil(t, "the form waits for the store", func() bool { return f.writes().Stats().WaitCount > waiting || len(saved) > 0 })
		tokens, err := f.TokensOf(t.Context(), member.ID)
		if err != nil {
			return err
		}
		narrowed := tokens[0]
		narrowed.Permissions = domain.NewPermissionSet(domain.ReadLeads)
		return tx.UpdateToken(t.Context(), narrowed)
	})
	if err != nil {
		t.Fatal(err)
	}
	got := <-saved
	wantStatus(t, got, http.StatusConflict)
	if !strings.Contains(got.body, "The choice of permissions was changed meanwhile. It is now: read:leads.") {
		t.Error("the page does not say what the token is now")
	}
	tokens, err := f.TokensOf(t.Context(), member.ID)
	if err != nil || len(tokens) != 1 || len(tokens[0].Permissions) != 1 {
		t.Errorf("the token holds %v, %v", tokens[0].Permissions, err)
	}
}
