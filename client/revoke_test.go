package client

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

func TestK3_RevokeToken(t *testing.T) {
	api := newFakeAPI(t)
	token := api.add("ci", nil, randomPAT())
	u := newTestCaller(t, api.URL)
	if err := u.RevokeToken(t.Context(), token.ID); err != nil || len(api.live()) != 0 {
		t.Errorf("%v, live are %v", err, api.live())
	}
	err := u.RevokeToken(t.Context(), "pat_unknown")
	if e := mustError(t, err); !errors.Is(err, ErrNotFound) || e.APICode != "not_found" || e.Message != "no such token" || e.Attempts != 1 {
		t.Errorf("an unknown id: %+v", e)
	}
	for _, status := range []int{200, 202, 204} {
		srv := answering(t, status, "text/html", "")
		if err := newTestCaller(t, srv.URL).RevokeToken(t.Context(), "pat_1"); !errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("%d without a list: %v", status, err)
		}
	}
}

func TestA15_IDsThatLeadElsewhereAreNotSent(t *testing.T) {
	api := newFakeAPI(t)
	u := newTestCaller(t, api.URL)
	for _, id := range []string{
		"", ".", "..", "../me", "a/b", "/", `a\b`, "%2e%2e", "%2F", ";x", "a;x", "a?b", "?", "#", "a b", "a\n", "a\x00", "é",
		"a.b", "a:b", "a@b", strings.Repeat("a", 65),
	} {
		if err := u.RevokeToken(t.Context(), id); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if len(api.requests) != 0 {
		t.Errorf("%d requests were sent", len(api.requests))
	}
	for _, id := range []string{"a", "pat_abc123", "0f8fad5b-d9cb-469f-a165-70867728950e", strings.Repeat("a", 64)} {
		if err := u.RevokeToken(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
		if got := api.requests[len(api.requests)-2].path; got != "/settings/tokens/"+id { // before the list
			t.Errorf("%q went to %s", id, got)
		}
	}
}

func FuzzA15_IDs(f *testing.F) {
	for _, seed := range []string{"", ".", "..", "%2e", "a/b", "pat_1", "a?b", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if !validID(id) {
			return
		}
		req, err := http.NewRequest(http.MethodDelete, DefaultBaseURL+tokensPath+"/"+id, nil)
		if err != nil || req.URL.EscapedPath() != tokensPath+"/"+id || strings.Count(req.URL.Path, "/") != 3 || req.URL.RawQuery != "" {
			t.Errorf("%q is accepted but leads to %v", id, req.URL)
		}
	})
}

func TestRevokeThatWentThroughUnansweredIsASuccess(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter){
		"connection lost": cut,
		"502":             func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
	} {
		for _, forgets := range []bool{true, false} {
			api := newFakeAPI(t)
			token := api.add("ci", nil, randomPAT())
			api.fault = func(n int, w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodDelete || n > 1 {
					return false
				}
				api.revoke(token.ID)
				if forgets {
					api.mu.Lock()
					api.tokens = nil
					api.mu.Unlock()
				}
				answer(w)
				return true
			}
			err := newTestCaller(t, api.URL).RevokeToken(t.Context(), token.ID)
			if err != nil || api.count(http.MethodDelete) != 2 || api.count(http.MethodGet) != 1 {
				t.Errorf("%s, list forgets %t: %v", name, forgets, err)
			}
		}
	}
}

func TestRevokeOf404AfterARefusalIsNotFound(t *testing.T) {
	api := newFakeAPI(t)
	api.fault = func(n int, w http.ResponseWriter, r *http.Request) bool {
		fails := n == 1 && r.Method == http.MethodDelete
		if fails {
			w.WriteHeader(http.StatusTooManyRequests)
		}
		return fails
	}
	err := newTestCaller(t, api.URL).RevokeToken(t.Context(), "pat_mistyped")
	if !errors.Is(err, ErrNotFound) || api.count(http.MethodGet) != 1 {
		t.Errorf("a 429 did nothing, so this 404 means that there is none: %v", err)
	}
}

func TestRevokeThatTheListContradictsFails(t *testing.T) {
	for name, tc := range map[string]struct {
		list     func(api *fakeAPI, w http.ResponseWriter) bool
		sentinel error
	}{
		"still live":  {func(*fakeAPI, http.ResponseWriter) bool { return false }, ErrOutcomeUnknown},
		"list denied": {func(_ *fakeAPI, w http.ResponseWriter) bool { refuse(w, 403, "forbidden"); return true }, ErrOutcomeUnknown},
	} {
		api := newFakeAPI(t)
		token := api.add("ci", nil, randomPAT())
		api.fault = func(n int, w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet {
				return tc.list(api, w)
			}
			if n == 1 {
				cut(w)
			}
			w.WriteHeader(http.StatusNotFound)
			return true
		}
		if err := newTestCaller(t, api.URL).RevokeToken(t.Context(), token.ID); !errors.Is(err, tc.sentinel) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the API answers a DELETE proves nothing: the list does.
func TestP22_RevokedIsSaidOnlyWhenTheListShowsIt(t *testing.T) {
	page := func(status int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<html>Sign in")) // the client may have gone
		}
	}
	bare := func(status int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { w.WriteHeader(status) }
	}
	own := func(status int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { refuse(w, status, "") }
	}
	for name, tc := range map[string]struct {
		answer func(http.ResponseWriter)
		// acted and not are what is said where the DELETE acted, and where it did not.
		acted, not error
	}{
		"204": {bare(204), nil, ErrOutcomeUnknown}, "200": {bare(200), nil, ErrOutcomeUnknown}, "202": {bare(202), nil, ErrOutcomeUnknown},
		"200 as a page": {page(200), nil, ErrOutcomeUnknown}, "302": {bare(302), nil, ErrOutcomeUnknown},
		"404": {own(404), ErrNotFound, ErrOutcomeUnknown}, "404 as a page": {page(404), nil, ErrOutcomeUnknown},
		"410": {own(410), ErrNotFound, ErrOutcomeUnknown}, "410 as a page": {page(410), nil, ErrOutcomeUnknown},
		"400": {own(400), nil, ErrInvalid}, "400 as a page": {page(400), nil, ErrOutcomeUnknown},
		"403": {own(403), nil, ErrForbidden}, "403 as a page": {page(403), nil, ErrOutcomeUnknown},
		"500": {bare(500), nil, ErrOutcomeUnknown}, "connection lost": {cut, nil, ErrOutcomeUnknown},
	} {
		for _, acts := range []bool{true, false} {
			api := newFakeAPI(t)
			token := api.add("ci", nil, randomPAT())
			api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodDelete {
					return false
				}
				if acts {
					api.revoke(token.ID)
				}
				tc.answer(w)
				return true
			}
			want := tc.not
			if acts {
				want = tc.acted
			}
			err := newTestCaller(t, api.URL).RevokeToken(t.Context(), token.ID)
			if !errors.Is(err, want) {
				t.Errorf("%s, acting %t: %v", name, acts, err)
			}
			var unknown *RevokeError
			if errors.As(err, &unknown) && (!unknown.Live || unknown.TokenID != token.ID || errors.Is(err, ErrNotFound)) {
				t.Errorf("%s, acting %t: %+v", name, acts, unknown)
			}
		}
	}
}

// Without its own list, the API has said nothing.
func TestP22_ATokenThatIsNotListedIsRevokedOnlyIfTheListIsWhole(t *testing.T) {
	for name, tc := range map[string]struct {
		list func(w http.ResponseWriter)
		want error
	}{
		"empty": {func(w http.ResponseWriter) { writeJSON(w, 200, []Token{}) }, nil},
		"a page of several": {func(w http.ResponseWriter) {
			w.Header().Set("Link", `</settings/tokens?page=2>; rel="next"`)
			writeJSON(w, 200, []Token{})
		}, ErrOutcomeUnknown},
		"more in all": {func(w http.ResponseWriter) { w.Header().Set("X-Total-Count", "7"); writeJSON(w, 200, []Token{}) }, ErrOutcomeUnknown},
		"a part":      {func(w http.ResponseWriter) { writeJSON(w, 206, []Token{}) }, ErrOutcomeUnknown},
		"a sign-in page": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>Sign in"))
		}, ErrOutcomeUnknown},
		"a firewall's no":  {func(w http.ResponseWriter) { w.WriteHeader(403) }, ErrOutcomeUnknown},
		"no right to list": {func(w http.ResponseWriter) { refuse(w, 403, "forbidden") }, ErrOutcomeUnknown},
		"the caller's own": {func(w http.ResponseWriter) { refuse(w, 401, "unauthenticated") }, nil},
		"a proxy's 401":    {func(w http.ResponseWriter) { w.Header().Set("WWW-Authenticate", "Basic"); w.WriteHeader(401) }, ErrOutcomeUnknown},
	} {
		api := newFakeAPI(t)
		api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodDelete {
				w.WriteHeader(http.StatusNoContent)
				return true
			}
			tc.list(w)
			return true
		}
		if err := newTestCaller(t, api.URL).RevokeToken(t.Context(), "pat_1"); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
