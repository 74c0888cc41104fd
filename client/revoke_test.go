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
		if err := newTestCaller(t, srv.URL).RevokeToken(t.Context(), "pat_1"); err != nil {
			t.Errorf("%d: %v", status, err)
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
		if got := api.requests[len(api.requests)-1].path; got != "/settings/tokens/"+id {
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
	api.fault = func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n == 1 {
			w.WriteHeader(http.StatusTooManyRequests)
		}
		return n == 1
	}
	err := newTestCaller(t, api.URL).RevokeToken(t.Context(), "pat_mistyped")
	if !errors.Is(err, ErrNotFound) || api.count(http.MethodGet) != 0 {
		t.Errorf("a 429 did nothing, so this 404 means that there is none: %v", err)
	}
}

func TestRevokeThatTheListContradictsFails(t *testing.T) {
	for name, tc := range map[string]struct {
		list     func(api *fakeAPI, w http.ResponseWriter) bool
		sentinel error
	}{
		"still live":  {func(*fakeAPI, http.ResponseWriter) bool { return false }, ErrUnexpectedAnswer},
		"list denied": {func(_ *fakeAPI, w http.ResponseWriter) bool { writeJSON(w, 403, nil); return true }, ErrForbidden},
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
