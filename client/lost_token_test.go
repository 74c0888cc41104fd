package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// R19, A32: the API commits and the answer is lost, a hundred times over.
func TestR19_LostAnswersLeaveNoLiveToken(t *testing.T) {
	api := newFakeAPI(t)
	api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			api.commit(r)
			cut(w)
		}
		return false
	}
	c := newTestClient(t, api.URL)
	u := c.As(Credential{PAT: NewSecret(randomPAT())})
	kept := api.add("ci", nil, randomPAT()) // the user's own, of the same name, never used
	for i := range 100 {
		n := NewToken{Name: "ci"}
		if i%2 == 0 {
			n.ExpiresAt = inDays(7)
		}
		created, err := u.CreateToken(t.Context(), n)
		if created != nil {
			t.Fatal("a token came from nowhere")
		}
		e := mustCreateError(t, err, OutcomeRevoked)
		if len(e.TokenIDs) != 1 || e.Name != "ci" || !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), e.TokenIDs[0]) {
			t.Fatalf("the error does not tell: %v", err)
		}
	}
	if live := api.live(); !slices.Equal(live, []string{kept.ID}) {
		t.Errorf("live tokens are %v, want only %s, which was there before", live, kept.ID)
	}
	if got := api.count(http.MethodPost); got != 100 {
		t.Errorf("%d POSTs for 100 creates", got)
	}
}

func TestR19_ConcurrentLostAnswers(t *testing.T) {
	api := newFakeAPI(t)
	api.fault = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			answer := api.commit(r)
			if n%2 == 0 {
				cut(w)
			}
			writeJSON(w, http.StatusCreated, answer)
			return true
		}
		return false
	}
	u := newTestCaller(t, api.URL)
	var group sync.WaitGroup
	var mu sync.Mutex
	var handedOver []string
	for range 20 {
		group.Go(func() {
			created, err := u.CreateToken(t.Context(), NewToken{Name: "ci"})
			if err != nil {
				var e *CreateError
				if !errors.As(err, &e) || e.Outcome != OutcomeRevoked {
					t.Errorf("got %v", err)
				}
				return
			}
			mu.Lock()
			defer mu.Unlock()
			handedOver = append(handedOver, created.ID)
		})
	}
	group.Wait()
	live := api.live()
	slices.Sort(handedOver)
	slices.Sort(live)
	if !slices.Equal(live, handedOver) || len(live) != 10 {
		t.Errorf("live are %v, handed over were %v", live, handedOver)
	}
}

// What is in doubt, with and without a token made.
func TestA32_DoubtIsSettled(t *testing.T) {
	commits := func(api *fakeAPI, r *http.Request, acts bool) {
		if acts {
			api.commit(r)
		}
	}
	text := func(status int, contentType, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body)) // the client may have gone
		}
	}
	for _, tc := range []struct {
		name     string
		answer   func(http.ResponseWriter)
		sentinel error
	}{
		{"connection lost", cut, ErrUnavailable},
		{"500", text(500, "application/json", "{}"), ErrUnavailable},
		{"502 HTML", text(502, "text/html", "<html>"), ErrUnavailable},
		{"503 without Retry-After", text(503, "text/plain", "busy"), ErrUnavailable},
		{"504", text(504, "text/plain", "late"), ErrUnavailable},
		{"408", text(408, "text/plain", ""), ErrUnavailable},
		{"303", text(303, "text/html", ""), ErrUnexpectedAnswer},
		{"empty 201", text(201, "application/json", ""), ErrUnexpectedAnswer},
		{"HTML 201", text(201, "text/html", "<html>hello"), ErrUnexpectedAnswer},
		{"malformed 201", text(201, "application/json", `{"id": `), ErrUnexpectedAnswer},
		{"null 201", text(201, "application/json", `null`), ErrUnexpectedAnswer},
		{"list 201", text(201, "application/json", `[]`), ErrUnexpectedAnswer},
		{"oversize 201", text(201, "application/json", `"`+strings.Repeat("x", maxAnswerBytes)+`"`), ErrUnexpectedAnswer},
		{"204", func(w http.ResponseWriter) { w.WriteHeader(204) }, ErrUnexpectedAnswer},
		{"broken off 201", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "900")
			_, _ = w.Write([]byte(`{"id":"pat_1"`))
			cut(w)
		}, ErrUnavailable},
	} {
		for _, acts := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, acted %t", tc.name, acts), func(t *testing.T) {
				api := newFakeAPI(t)
				api.add("ci", nil, randomPAT())
				api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
					if r.Method != http.MethodPost {
						return false
					}
					commits(api, r, acts)
					tc.answer(w)
					return true
				}
				_, err := newTestCaller(t, api.URL).CreateToken(t.Context(), NewToken{Name: "ci"})
				want := OutcomeNotCreated
				if acts {
					want = OutcomeRevoked
				}
				mustCreateError(t, err, want)
				if !errors.Is(err, tc.sentinel) {
					t.Errorf("error is %v, want %v", err, tc.sentinel)
				}
				if live := api.live(); !slices.Equal(live, []string{"pat_1"}) || api.count(http.MethodPost) != 1 {
					t.Errorf("live are %v after %d POSTs", live, api.count(http.MethodPost))
				}
			})
		}
	}
}

// The API is slow to commit: the first look finds nothing yet.
func TestA32_ALateCommitIsFound(t *testing.T) {
	api := newFakeAPI(t)
	var posted *http.Request
	looks := 0
	api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			posted = r
			cut(w)
		}
		if r.Method == http.MethodGet && posted != nil {
			if looks++; looks == 3 {
				api.commit(posted)
			}
		}
		return false
	}
	_, err := newTestCaller(t, api.URL).CreateToken(t.Context(), NewToken{Name: "ci"})
	mustCreateError(t, err, OutcomeRevoked)
	if live := api.live(); len(live) != 0 {
		t.Errorf("live are %v", live)
	}
}

func TestA32_CancellingInMidCreateIsSettled(t *testing.T) {
	api := newFakeAPI(t)
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	api.fault = func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			api.commit(r)
			cancel()
			<-release
			return true
		}
		return false
	}
	defer close(release)
	_, err := newTestCaller(t, api.URL).CreateToken(ctx, NewToken{Name: "ci"})
	mustCreateError(t, err, OutcomeRevoked)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the cancellation is not visible: %v", err)
	}
	if live := api.live(); len(live) != 0 {
		t.Errorf("live are %v", live)
	}
}

func TestA32_TimeoutInMidCreateIsSettled(t *testing.T) {
	api := newFakeAPI(t)
	release := make(chan struct{})
	defer close(release)
	api.fault = func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			api.commit(r)
			<-release
			return true
		}
		return false
	}
	// Time enough for what is answered at once, on a machine that is busy.
	_, err := newTestCaller(t, api.URL, WithTimeout(time.Second)).CreateToken(t.Context(), NewToken{Name: "ci"})
	mustCreateError(t, err, OutcomeRevoked)
	if !errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || len(api.live()) != 0 {
		t.Errorf("live are %v after %v", api.live(), err)
	}
}

func TestA32_WhatCannotBeClearedUpIsSaid(t *testing.T) {
	for name, tc := range map[string]struct {
		fails string
		ids   []string
	}{
		"list fails":       {http.MethodGet, nil},
		"revocation fails": {http.MethodDelete, []string{"pat_1"}},
	} {
		t.Run(name, func(t *testing.T) {
			api := newFakeAPI(t)
			posted := false
			api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPost {
					api.commit(r)
					posted = true
					cut(w)
				}
				if posted && r.Method == tc.fails {
					w.WriteHeader(http.StatusBadGateway)
					return true
				}
				return false
			}
			_, err := newTestCaller(t, api.URL).CreateToken(t.Context(), NewToken{Name: "nightly import"})
			e := mustCreateError(t, err, OutcomeUnknown)
			if !slices.Equal(e.TokenIDs, tc.ids) || !strings.Contains(err.Error(), `"nightly import"`) || !errors.Is(err, ErrUnavailable) {
				t.Errorf("ids are %v, error is %v", e.TokenIDs, err)
			}
		})
	}
}

// A revocation that the API acknowledges but does not carry out is no
// revocation.
func TestA32_RevocationIsVerified(t *testing.T) {
	api := newFakeAPI(t)
	api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		switch r.Method {
		case http.MethodPost:
			api.commit(r)
			cut(w)
		case http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
			return true
		}
		return false
	}
	_, err := newTestCaller(t, api.URL).CreateToken(t.Context(), NewToken{Name: "ci"})
	if e := mustCreateError(t, err, OutcomeUnknown); !slices.Equal(e.TokenIDs, []string{"pat_1"}) {
		t.Errorf("ids are %v", e.TokenIDs)
	}
}

func TestCreateWithoutTheRightToList(t *testing.T) {
	newAPI := func(t *testing.T, lose bool) *fakeAPI {
		api := newFakeAPI(t)
		api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
			switch {
			case r.Method == http.MethodGet:
				refuse(w, http.StatusForbidden, "forbidden")
				return true
			case r.Method == http.MethodPost && lose:
				api.commit(r)
				cut(w)
			}
			return false
		}
		return api
	}
	t.Run("works", func(t *testing.T) {
		if _, err := newTestCaller(t, newAPI(t, false).URL).CreateToken(t.Context(), NewToken{Name: "ci"}); err != nil {
			t.Error(err)
		}
	})
	t.Run("lost answer", func(t *testing.T) {
		_, err := newTestCaller(t, newAPI(t, true).URL).CreateToken(t.Context(), NewToken{Name: "ci"})
		mustCreateError(t, err, OutcomeUnknown)
	})
	t.Run("lost answer, list allowed later", func(t *testing.T) {
		api := newFakeAPI(t)
		lists := 0
		api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet {
				if lists++; lists == 1 {
					refuse(w, http.StatusForbidden, "forbidden")
					return true
				}
				return false
			}
			cut(w)
			return true
		}
		_, err := newTestCaller(t, api.URL).CreateToken(t.Context(), NewToken{Name: "ci"})
		mustCreateError(t, err, OutcomeUnknown)
	})
	t.Run("wrong answer", func(t *testing.T) {
		api := newAPI(t, false)
		api.shape = func(a map[string]any) { a["name"] = "other" }
		_, err := newTestCaller(t, api.URL).CreateToken(t.Context(), NewToken{Name: "ci"})
		mustCreateError(t, err, OutcomeUnknown) // it was revoked, and nothing shows that
		if len(api.live()) != 0 {
			t.Errorf("live are %v", api.live())
		}
	})
}
