package client

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestS5_UpdateToken(t *testing.T) {
	api := newFakeAPI(t)
	api.extended = true
	u := newTestCaller(t, api.URL)
	token := api.add("ci", nil, randomPAT())
	ends, starts := inDays(30), inDays(1)
	endsText, startsText := ends.UTC().Truncate(time.Second).Format(time.RFC3339), starts.UTC().Truncate(time.Second).Format(time.RFC3339)
	for _, tc := range []struct {
		change TokenChange
		body   string
	}{
		{TokenChange{Name: "nightly"}, `{"name":"nightly"}`},
		{TokenChange{ExpiresAt: ends}, `{"expires_at":"` + endsText + `"}`},
		{TokenChange{NeverExpires: true}, `{"expires_at":null}`},
		{TokenChange{ValidFrom: starts}, `{"valid_from":"` + startsText + `"}`},
		{TokenChange{ValidAtOnce: true}, `{"valid_from":null}`},
		{TokenChange{Permissions: []string{"write:leads", "read:leads", "read:leads"}}, `{"permissions":["read:leads","write:leads"]}`},
		{TokenChange{AllPermissions: true}, `{"permissions":null}`},
		{TokenChange{Name: "all of it", ExpiresAt: ends, ValidFrom: starts, Permissions: []string{"read:leads"}},
			`{"expires_at":"` + endsText + `","name":"all of it","permissions":["read:leads"],"valid_from":"` + startsText + `"}`},
	} {
		got, err := u.UpdateToken(t.Context(), token.ID, tc.change)
		if err != nil || got.ID != token.ID {
			t.Fatalf("%s: %+v, %v", tc.body, got, err)
		}
		last := api.requests[len(api.requests)-2] // before the list
		if last.method != http.MethodPatch || last.path != tokensPath+"/"+token.ID || last.body != tc.body {
			t.Errorf("sent %s %s %s, want %s", last.method, last.path, last.body, tc.body)
		}
	}
	got := api.tokens[0]
	if got.Name != "all of it" || !isSecond(got.ExpiresAt, new(ends.UTC().Truncate(time.Second))) || !slices.Equal(got.Permissions, []string{"read:leads"}) || got.ValidFrom == nil {
		t.Errorf("the API has %+v", got)
	}
}

func TestS5_ChangesAreCheckedBeforeSending(t *testing.T) {
	api := newFakeAPI(t)
	u := newTestCaller(t, api.URL)
	past := time.Now().Add(-time.Hour)
	for name, tc := range map[string]struct {
		change TokenChange
		says   string
	}{
		"nothing":             {TokenChange{}, "nothing is to be changed"},
		"white space as name": {TokenChange{Name: " "}, "needs a name"},
		"past end":            {TokenChange{ExpiresAt: &past}, "not in the future"},
		"end and never":       {TokenChange{ExpiresAt: inDays(1), NeverExpires: true}, "expires or never does"},
		"start and at once":   {TokenChange{ValidFrom: inDays(1), ValidAtOnce: true}, "at once"},
		"start after end":     {TokenChange{ValidFrom: inDays(2), ExpiresAt: inDays(1)}, "not before the expiry"},
		"zero start":          {TokenChange{ValidFrom: &time.Time{}}, "years 1970"},
		"some and all":        {TokenChange{Permissions: []string{"read:leads"}, AllPermissions: true}, "or all"},
		"no permission":       {TokenChange{Permissions: []string{}}, "a permission at least"},
		"empty permission":    {TokenChange{Permissions: []string{""}}, "read:leads"},
		"two in one":          {TokenChange{Permissions: []string{"read:leads read:events"}}, "without spaces"},
		"a long permission":   {TokenChange{Permissions: []string{strings.Repeat("a", 65)}}, "64 characters"},
	} {
		if _, err := u.UpdateToken(t.Context(), "pat_1", tc.change); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want one that says %q", name, err, tc.says)
		}
	}
	for _, id := range []string{"", "..", "a/b", "%2e%2e"} {
		if _, err := u.UpdateToken(t.Context(), id, TokenChange{Name: "x"}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if len(api.requests) != 0 {
		t.Errorf("%d requests were sent", len(api.requests))
	}
}

// A change names what shall be, and is sent again where its answer was lost.
func TestS5_AChangeIsSentAgain(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter){
		"connection lost": cut,
		"502":             func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
		"429":             func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) },
	} {
		api := newFakeAPI(t)
		api.extended = true
		token := api.add("ci", nil, randomPAT())
		api.fault = func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n > 1 {
				return false
			}
			api.change(r)
			answer(w)
			return true
		}
		got, err := newTestCaller(t, api.URL).UpdateToken(t.Context(), token.ID, TokenChange{Name: "nightly"})
		if err != nil || got.Name != "nightly" || api.count(http.MethodPatch) != 2 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestS5_RefusedChanges(t *testing.T) {
	for status, tc := range map[int]struct {
		sentinel error
		says     string
	}{
		400: {ErrInvalid, "invalid"}, 401: {ErrUnauthenticated, ""}, 403: {ErrForbidden, ""}, 404: {ErrNotFound, "list the tokens"},
		405: {ErrUnexpectedAnswer, "cannot change tokens"}, 409: {ErrInvalid, "revoked"}, 501: {ErrUnexpectedAnswer, "cannot change tokens"},
		500: {ErrUnavailable, ""},
	} {
		srv := answering(t, status, "application/json", `{"message":"refused"}`)
		_, err := newTestCaller(t, srv.URL).UpdateToken(t.Context(), "pat_1", TokenChange{Name: "x"})
		if !errors.Is(err, tc.sentinel) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%d: %v", status, err)
		}
	}
	srv := answering(t, 409, "application/json", `{"error":{"code":"token_limit_reached"}}`)
	if _, err := newTestCaller(t, srv.URL).UpdateToken(t.Context(), "pat_1", TokenChange{ExpiresAt: inDays(1)}); !errors.Is(err, ErrTokenLimit) {
		t.Errorf("one too many: %v", err)
	}
	api := newFakeAPI(t)
	api.extended = true
	token := api.add("ci", nil, randomPAT())
	api.revoke(token.ID)
	_, err := newTestCaller(t, api.URL).UpdateToken(t.Context(), token.ID, TokenChange{Name: "x"})
	if e := mustError(t, err); e.APICode != "token_revoked" || e.Attempts != 1 {
		t.Errorf("a revoked token: %+v", e)
	}
}

func TestS5_AnswersThatDifferFromTheChangeAreErrors(t *testing.T) {
	whole := TokenChange{Name: "nightly", ExpiresAt: inDays(7), ValidFrom: inDays(1), Permissions: []string{"read:leads", "write:leads"}}
	for name, tc := range map[string]struct {
		change TokenChange
		shape  func(map[string]any)
		says   string
	}{
		"another id":           {whole, func(a map[string]any) { a["id"] = "pat_2" }, "another token"},
		"no created_at":        {whole, func(a map[string]any) { delete(a, "created_at") }, "created_at"},
		"another name":         {whole, func(a map[string]any) { a["name"] = "ci" }, "another name"},
		"a later end":          {whole, func(a map[string]any) { a["expires_at"] = inDays(8) }, "another time"},
		"no end":               {whole, func(a map[string]any) { a["expires_at"] = nil }, "another time"},
		"an end and not never": {TokenChange{NeverExpires: true}, func(a map[string]any) { a["expires_at"] = inDays(8) }, "another time"},
		"an earlier start":     {whole, func(a map[string]any) { a["valid_from"] = time.Now() }, "is valid from another time"},
		"no start":             {whole, func(a map[string]any) { delete(a, "valid_from") }, "valid earlier"},
		"a start, not at once": {TokenChange{ValidAtOnce: true}, func(a map[string]any) { a["valid_from"] = inDays(8) }, "is valid from another time"},
		"more permissions":     {whole, func(a map[string]any) { a["permissions"] = []string{"read:leads", "write:leads", "write:tokens"} }, "other permissions"},
		"fewer permissions":    {whole, func(a map[string]any) { a["permissions"] = []string{"read:leads"} }, "other permissions"},
		"not narrowed":         {whole, func(a map[string]any) { delete(a, "permissions") }, "not narrowed"},
		"narrowed and not all": {TokenChange{AllPermissions: true}, func(a map[string]any) { a["permissions"] = []string{"read:leads"} }, "other permissions"},
	} {
		api := newFakeAPI(t)
		api.extended, api.shape = true, tc.shape
		token := api.add("ci", nil, randomPAT())
		_, err := newTestCaller(t, api.URL).UpdateToken(t.Context(), token.ID, tc.change)
		if !errors.Is(err, ErrUnexpectedAnswer) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want one that says %q", name, err, tc.says)
		}
	}
}

func TestS1_S2_CreateANarrowedToken(t *testing.T) {
	api := newFakeAPI(t)
	api.extended = true
	u := newTestCaller(t, api.URL)
	starts := inDays(1)
	created, err := u.CreateToken(t.Context(), NewToken{Name: "ci", ExpiresAt: inDays(7), ValidFrom: starts, Permissions: []string{"write:leads", "read:leads"}})
	if err != nil || !slices.Equal(created.Permissions, []string{"read:leads", "write:leads"}) || created.Status(time.Now()) != StatusNotYetValid {
		t.Fatalf("%+v, %v", created, err)
	}
	want := `"permissions":["read:leads","write:leads"],"valid_from":"` + starts.UTC().Truncate(time.Second).Format(time.RFC3339) + `"}`
	if body := api.requests[1].body; !strings.HasSuffix(body, want) {
		t.Errorf("sent %s", body)
	}
}

// An API without the extensions takes no notice of them, or says more than was
// asked for: the token that it made is revoked.
func TestS1_S2_ATokenThatIsWiderThanAskedForIsRevoked(t *testing.T) {
	wanted := NewToken{Name: "ci", ExpiresAt: inDays(7), ValidFrom: inDays(1), Permissions: []string{"read:leads"}}
	for name, tc := range map[string]struct {
		extended bool
		shape    func(map[string]any)
		wanted   NewToken
		says     string
	}{
		"no notice of permissions": {false, nil, NewToken{Name: "ci", Permissions: []string{"read:leads"}}, "may not know permissions"},
		"no notice of a start":     {false, nil, NewToken{Name: "ci", ValidFrom: inDays(1)}, "may not know a start"},
		"more permissions":         {true, func(a map[string]any) { a["permissions"] = []string{"read:leads", "write:leads"} }, wanted, "not asked for"},
		"an earlier start":         {true, func(a map[string]any) { a["valid_from"] = time.Now() }, wanted, "valid earlier"},
	} {
		api := newFakeAPI(t)
		api.extended, api.shape = tc.extended, tc.shape
		_, err := newTestCaller(t, api.URL).CreateToken(t.Context(), tc.wanted)
		mustCreateError(t, err, OutcomeRevoked)
		if !strings.Contains(err.Error(), tc.says) || len(api.live()) != 0 {
			t.Errorf("%s: %v, live are %v", name, err, api.live())
		}
	}
}

// A narrowed token whose answer was lost is found by what was asked for.
func TestS1_ALostNarrowedTokenIsRevoked(t *testing.T) {
	api := newFakeAPI(t)
	api.extended = true
	api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			api.commit(r)
			cut(w)
		}
		return false
	}
	_, err := newTestCaller(t, api.URL).CreateToken(t.Context(), NewToken{Name: "ci", ExpiresAt: inDays(7), ValidFrom: inDays(1), Permissions: []string{"read:leads"}})
	mustCreateError(t, err, OutcomeRevoked)
	if len(api.live()) != 0 {
		t.Errorf("live are %v", api.live())
	}
}

func TestS1_GrantablePermissions(t *testing.T) {
	srv := answering(t, http.StatusOK, "application/json", `{"org_member_id":"om_1","permissions":["read:leads","read:tokens"]}`)
	c := newTestClient(t, srv.URL)
	pat := Credential{PAT: NewSecret(randomPAT())}
	got, err := c.As(pat).GrantablePermissions(t.Context())
	if err != nil || !slices.Equal(got, []string{"read:leads", "read:tokens"}) {
		t.Errorf("%v, %v", got, err)
	}
	pat.Session = NewSecret("a session")
	if got, err := c.As(pat).GrantablePermissions(t.Context()); err != nil || got != nil {
		t.Errorf("with a session, which may do other things: %v, %v", got, err)
	}
}
