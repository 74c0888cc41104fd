package authority

import (
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/size"
)

// Random histories of users and tokens, on every store, against the model: each
// answer must be the one that the model gives.
func TestConformance_HistoriesAgreeWithTheModel(t *testing.T) {
	const parts = 4 // at the same time, each in a store of its own
	histories := size.Of(20, 100, 10_000)
	setFlag(t, "rapid.checks", strconv.Itoa(histories/parts))
	setFlag(t, "rapid.nofailfile", "true") // it would hold nothing but random numbers, and be committed by mistake
	inParts := func(t *testing.T, open func(t *testing.T) (store string)) {
		t.Parallel()
		for part := range parts {
			t.Run(fmt.Sprint(part), func(t *testing.T) {
				t.Parallel()
				runHistories(t, open(t))
			})
		}
	}
	t.Run("memory", func(t *testing.T) { inParts(t, func(*testing.T) string { return "memory" }) })
	t.Run("sqlite", func(t *testing.T) {
		inParts(t, func(t *testing.T) string { return "sqlite:" + filepath.Join(memoryFolder(t), "private", "kenbun.db") })
	})
	t.Run("postgres", func(t *testing.T) { inParts(t, func(t *testing.T) string { return newPostgres(t) }) })
}

func runHistories(t *testing.T, store string) {
	f := newFixture(t, Config{Store: store, TokenLimit: 4})
	f.api.Gateway.Log = slog.New(slog.DiscardHandler) // or hundreds of megabytes of it
	c := conformance{f, f.Handler()}
	started, n := time.Now(), 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		c.history(rt, n)
	})
	t.Logf("%d histories in %s", n, time.Since(started).Round(time.Millisecond))
}

// memoryFolder is a folder on a disk in memory where there is one. Histories ask
// what is stored, and never whether it outlives a power cut.
func memoryFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("/dev/shm", "kenbun-histories-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	return folder
}

func setFlag(t *testing.T, name, value string) {
	t.Helper()
	before := flag.Lookup(name).Value.String()
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set(name, before) }) // it was its own value
}

type conformance struct {
	*fixture
	handler http.Handler
}

// history has users of its own, so that one store serves them all.
func (c conformance) history(t *rapid.T, n int) {
	h := &history{conformance: c, t: t, model: model{limit: 4}}
	for i := range 2 {
		role := rapid.SampledFrom(domain.Roles()).Draw(t, "role")
		user, err := c.AddUser(c.t.Context(), NewUser{Email: fmt.Sprintf("h%d-%d@example.com", n, i), Role: role})
		if err != nil {
			t.Fatal(err)
		}
		u := &modelUser{id: user.ID, role: role, member: true}
		h.issue(u, "first", nil)
		if i == 0 {
			soon := h.now().Add(48 * time.Hour).Truncate(time.Second)
			h.issue(u, "short-lived", &soon)
		}
		h.model.users = append(h.model.users, u)
	}
	actions := []func(){h.create, h.create, h.revoke, h.revokeLine, h.update, h.update, h.list, h.advance, h.changeUser, h.changeUser}
	for range rapid.IntRange(1, 12).Draw(t, "steps") {
		actions[rapid.IntRange(0, len(actions)-1).Draw(t, "action")]()
		h.verify(h.anyToken("asked"))
	}
	for _, u := range h.model.users {
		h.verify(u.tokens...)
		h.compareBounds(u)
	}
}

// compareBounds looks at the latest expiry that each token can give. It is not on
// the wire, and few histories are long enough to meet it there.
func (h *history) compareBounds(u *modelUser) {
	stored, err := h.TokensOf(h.conformance.t.Context(), u.id)
	if err != nil {
		h.t.Fatal(err)
	}
	got := map[string]*time.Time{}
	for _, t := range stored {
		got[t.ID] = t.RenewableUntil
	}
	for _, t := range u.tokens {
		is, want := got[t.id], t.until
		// The model's clock has microseconds, of which a bound has ten.
		if (is == nil) != (want == nil) || is != nil && is.Sub(*want).Abs() > 10*time.Microsecond {
			h.t.Fatalf("%s gives an expiry until %v, the model says %v", t.id, is, want)
		}
	}
}

type history struct {
	conformance
	t     *rapid.T
	model model
}

// issue makes a token that was made with none.
func (h *history) issue(u *modelUser, name string, end *time.Time) {
	now := h.now()
	issued, err := h.IssueToken(h.conformance.t.Context(), u.id, name, end)
	if err != nil {
		h.t.Fatal(err)
	}
	u.tokens = append(u.tokens, &modelToken{owner: u, id: issued.ID, value: issued.Value, name: name, end: end, until: chainEnd(now, end)})
}

func (h *history) now() time.Time { return h.clock.Now().Truncate(time.Microsecond) }

func (h *history) anyToken(label string) *modelToken {
	u := rapid.SampledFrom(h.model.users).Draw(h.t, label+" of")
	return rapid.SampledFrom(u.tokens).Draw(h.t, label)
}

// ask sends a request and fails unless it has the status.
func (h *history) ask(by *modelToken, method, path string, body any, status int) string {
	h.t.Helper()
	content := ""
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			h.t.Fatal(err)
		}
		content = string(encoded)
	}
	r := httptest.NewRequest(method, path, strings.NewReader(content))
	r.Header.Set("Authorization", "Bearer "+by.value)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	if w.Code != status {
		h.t.Fatalf("%s %s %s: status %d, the model says %d; %s", method, path, content, w.Code, status, answer{body: w.Body.String()}.shown())
	}
	return w.Body.String()
}

func (h *history) drawEnd() *time.Time {
	after := rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute, 2 * time.Hour, 48 * time.Hour}).Draw(h.t, "end")
	if after == 0 {
		return nil
	}
	end := h.now().Add(after).Truncate(time.Second)
	return &end
}

func (h *history) drawPermissions() []string {
	if rapid.Bool().Draw(h.t, "not narrowed") {
		return nil
	}
	return rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"read:tokens", "write:tokens", "read:leads", "write:scoring"}), 1, 3, rapid.ID[string]).Draw(h.t, "permissions")
}

func (h *history) create() {
	by, end, asked := h.anyToken("by"), h.drawEnd(), h.drawPermissions()
	var begin *time.Time
	if rapid.IntRange(0, 3).Draw(h.t, "begins later") == 0 {
		later := h.now().Add(time.Minute).Truncate(time.Second).Add(time.Second)
		begin = &later
	}
	if begin != nil && end != nil && !begin.Before(*end) {
		end = nil
	}
	body := map[string]any{"name": "made"}
	if end != nil {
		body["expires_at"] = end.Format(time.RFC3339)
	}
	if begin != nil {
		body["valid_from"] = begin.Format(time.RFC3339)
	}
	if asked != nil {
		body["permissions"] = asked
	}
	now := h.now()
	status, only := h.model.create(by, asked, end, now)
	answered := h.ask(by, "POST", "/settings/tokens", body, status)
	if status != http.StatusCreated {
		return
	}
	var made row
	if err := json.Unmarshal([]byte(answered), &made); err != nil {
		h.t.Fatal(err)
	}
	token := &modelToken{owner: by.owner, id: made.ID, value: made.Token, name: "made", begin: begin, end: end, only: only, parent: by, until: by.until}
	if by.until == nil {
		token.until = chainEnd(now, end)
	}
	by.owner.tokens = append(by.owner.tokens, token)
}

func (h *history) revokeLine() {
	by, target := h.anyToken("by"), h.anyToken("target")
	h.ask(by, "DELETE", "/settings/tokens/"+target.id+"?descendants=true", nil, h.model.revokeLine(by, target, h.now()))
}

func (h *history) revoke() {
	by, target := h.anyToken("by"), h.anyToken("target")
	h.ask(by, "DELETE", "/settings/tokens/"+target.id, nil, h.model.revoke(by, target, h.now()))
}

func (h *history) update() {
	by, target := h.anyToken("by"), h.anyToken("target")
	body := map[string]any{}
	var p patch
	switch rapid.IntRange(0, 2).Draw(h.t, "what") {
	case 0:
		p.name = rapid.SampledFrom([]string{"a", "b", "ü"}).Draw(h.t, "name")
		body["name"] = p.name
	case 1:
		p.newEnd, p.end = true, h.drawEnd()
		body["expires_at"] = nil
		if p.end != nil {
			body["expires_at"] = p.end.Format(time.RFC3339)
		}
	case 2:
		p.newRight, p.only = true, h.drawPermissions()
		body["permissions"] = nil
		if p.only != nil {
			body["permissions"] = p.only
		}
	}
	h.ask(by, "PATCH", "/settings/tokens/"+target.id, body, h.model.update(by, target, p, h.now()))
}

func (h *history) list() {
	by := h.anyToken("by")
	refused := by.may("read:tokens", h.now())
	if refused != 0 {
		h.ask(by, "GET", "/settings/tokens", nil, refused)
		return
	}
	var listed []struct {
		ID          string   `json:"id"`
		Name        string   `json:"name"`
		ValidFrom   *string  `json:"valid_from"`
		ExpiresAt   *string  `json:"expires_at"`
		RevokedAt   *string  `json:"revoked_at"`
		Permissions []string `json:"permissions"`
		ParentID    string   `json:"parent_id"`
	}
	if err := json.Unmarshal([]byte(h.ask(by, "GET", "/settings/tokens", nil, http.StatusOK)), &listed); err != nil {
		h.t.Fatal(err)
	}
	got := map[string]modelRow{}
	for _, l := range listed {
		r := modelRow{Name: l.Name, Revoked: l.RevokedAt != nil, Only: l.Permissions, Parent: l.ParentID}
		if l.ExpiresAt != nil {
			r.End = *l.ExpiresAt
		}
		if l.ValidFrom != nil {
			r.Begin = *l.ValidFrom
		}
		slices.Sort(r.Only)
		got[l.ID] = r
	}
	if want := h.model.list(by); !sameRows(got, want) {
		h.t.Fatalf("the list is %+v, the model says %+v", got, want)
	}
}

func (h *history) advance() {
	h.clock.advance(rapid.SampledFrom([]time.Duration{time.Microsecond, time.Second, time.Minute, time.Hour, 24 * time.Hour}).Draw(h.t, "later by"))
}

func (h *history) changeUser() {
	u := rapid.SampledFrom(h.model.users).Draw(h.t, "user")
	ctx := h.conformance.t.Context()
	var err error
	switch rapid.SampledFrom([]string{"role", "suspend", "restore", "remove", "add"}).Draw(h.t, "change") {
	case "role":
		role := rapid.SampledFrom(domain.Roles()).Draw(h.t, "role")
		err = h.SetRole(ctx, u.id, role)
		if !u.member {
			if err == nil {
				h.t.Fatal("the role of somebody who is no member was changed")
			}
			return
		}
		u.role = role
	case "suspend":
		err, u.suspended = h.Suspend(ctx, u.id), true
	case "restore":
		err, u.suspended = h.Restore(ctx, u.id), false
	case "remove":
		err = h.RemoveMember(ctx, u.id, DefaultOrganization)
		if !u.member {
			if err == nil {
				h.t.Fatal("somebody who is no member was removed")
			}
			return
		}
		u.member = false
	case "add":
		u.role, u.member = rapid.SampledFrom(domain.Roles()).Draw(h.t, "role"), true
		err = h.AddMember(ctx, u.id, DefaultOrganization, u.role)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// verify asks with each token who it stands for.
func (h *history) verify(tokens ...*modelToken) {
	for _, token := range tokens {
		if !token.accepted(h.now()) {
			h.ask(token, "GET", "/me", nil, http.StatusUnauthorized)
			continue
		}
		var me struct {
			Role        Role     `json:"role"`
			Permissions []string `json:"permissions"`
		}
		if err := json.Unmarshal([]byte(h.ask(token, "GET", "/me", nil, http.StatusOK)), &me); err != nil {
			h.t.Fatal(err)
		}
		slices.Sort(me.Permissions)
		if me.Role != token.owner.role || !slices.Equal(me.Permissions, token.holds()) {
			h.t.Fatalf("acts as %s with %v, the model says %s with %v", me.Role, me.Permissions, token.owner.role, token.holds())
		}
	}
}
