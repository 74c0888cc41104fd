package client

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// When it cannot be told which token is ours, none is touched and all are named.
func TestA32_AmbiguityIsNamedNotRevoked(t *testing.T) {
	for name, other := range map[string]func(api *fakeAPI, expires *time.Time){
		"same name and expiry": func(api *fakeAPI, expires *time.Time) { api.add("ci", expires, randomPAT()) },
		"same name":            func(api *fakeAPI, _ *time.Time) { api.add("ci", nil, randomPAT()) },
		"only the other's expiry": func(api *fakeAPI, expires *time.Time) {
			later := expires.Add(time.Hour)
			api.mu.Lock()
			defer api.mu.Unlock()
			api.tokens[0].ExpiresAt = &later
		},
		"only one without end": func(api *fakeAPI, _ *time.Time) {
			api.mu.Lock()
			defer api.mu.Unlock()
			api.tokens[0].ExpiresAt = nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := newFakeAPI(t)
			expires := inDays(7)
			whole := expires.UTC().Truncate(time.Second)
			api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPost {
					api.commit(r)
					other(api, &whole)
					cut(w)
				}
				return false
			}
			_, err := newTestCaller(t, api.URL).CreateToken(t.Context(), NewToken{Name: "ci", ExpiresAt: expires})
			e := mustCreateError(t, err, OutcomeUnknown)
			all := []string{"pat_1", "pat_2"}[:len(api.tokens)]
			if !slices.Equal(e.TokenIDs, all) || !slices.Equal(api.live(), all) || api.count(http.MethodDelete) != 0 {
				t.Errorf("named are %v, live are %v", e.TokenIDs, api.live())
			}
			for _, says := range append(all, `"ci"`, "Personal Tokens", "may be live") {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%q does not say %q", err, says)
				}
			}
		})
	}
}

// Tokens that cannot be ours are left alone.
func TestA32_OthersTokensAreLeftAlone(t *testing.T) {
	api := newFakeAPI(t)
	used := time.Now()
	api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			api.add("other", nil, randomPAT())
			api.add("ci", nil, randomPAT())
			api.add("ci", nil, randomPAT())
			api.revoke("pat_3")
			api.mu.Lock()
			api.tokens[1].LastUsedAt = &used // somebody has its value
			api.mu.Unlock()
			cut(w)
		}
		return false
	}
	_, err := newTestCaller(t, api.URL).CreateToken(t.Context(), NewToken{Name: "ci"})
	mustCreateError(t, err, OutcomeNotCreated)
	if len(api.live()) != 2 {
		t.Errorf("live are %v", api.live())
	}
}

// The same user through two credentials: what one was handed, the other does not
// take for its lost one.
func TestA32_HandedOverTokensAreNoCandidates(t *testing.T) {
	api := newFakeAPI(t)
	c := newTestClient(t, api.URL)
	first, second := c.As(Credential{PAT: NewSecret(randomPAT())}), c.As(Credential{PAT: NewSecret(randomPAT())})
	var created *CreatedToken
	api.fault = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && n == 1 {
			var err error
			if created, err = second.CreateToken(context.Background(), NewToken{Name: "ci"}); err != nil {
				t.Error(err)
			}
			cut(w)
		}
		return false
	}
	_, err := first.CreateToken(t.Context(), NewToken{Name: "ci"})
	mustCreateError(t, err, OutcomeNotCreated)
	if live := api.live(); len(live) != 1 || live[0] != created.ID {
		t.Errorf("live are %v", live)
	}
}

// Something in between plays back the answer to an earlier create: that token
// must not be taken for ours, nor revoked.
func TestA32_AnAnswerPlayedBackIsSeenThrough(t *testing.T) {
	api := newFakeAPI(t)
	var first map[string]any
	api.fault = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		if n == 1 {
			first = api.commit(r)
		} else {
			api.commit(r)
		}
		writeJSON(w, http.StatusCreated, first)
		return true
	}
	u := newTestCaller(t, api.URL)
	created, err := u.CreateToken(t.Context(), NewToken{Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = u.CreateToken(t.Context(), NewToken{Name: "ci"})
	e := mustCreateError(t, err, OutcomeRevoked)
	if live := api.live(); !slices.Equal(live, []string{created.ID}) || slices.Contains(e.TokenIDs, created.ID) {
		t.Errorf("live are %v, revoked %v", live, e.TokenIDs)
	}
}
