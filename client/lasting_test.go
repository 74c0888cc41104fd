package client

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestP26_WhatTheAPIMakesOfARequestIsTakenWhereItIsNoMore(t *testing.T) {
	expires := time.Now().UTC().Add(36 * time.Hour).Truncate(time.Second)
	for name, tc := range map[string]struct {
		shape func(map[string]any)
		says  string // "" where it is taken
	}{
		"the name in NFC": {func(a map[string]any) { a["name"] = "Gr\u00f6\u00dfe" }, ""},
		"a nearer expiry": {func(a map[string]any) { a["expires_at"] = expires.Add(-time.Hour) }, ""},
		"rounded up": {func(a map[string]any) {
			a["expires_at"] = expires.Truncate(24 * time.Hour).Add(24*time.Hour - time.Second).Add(24 * time.Hour)
		}, "expires_at is "},
		"another name":     {func(a map[string]any) { a["name"] = "Grosse" }, "name"},
		"never expires":    {func(a map[string]any) { a["expires_at"] = nil }, "expires_at"},
		"until the end":    {func(a map[string]any) { a["expires_at"] = "9999-12-31T23:59:59Z" }, "expires_at"},
		"a time of nobody": {func(a map[string]any) { a["last_used_at"] = "1970-01-01T00:00:00Z" }, ""},
	} {
		api := newFakeAPI(t)
		api.shape = tc.shape
		created, err := newTestCaller(t, api.URL).CreateToken(t.Context(), NewToken{Name: "Gro\u0308\u00dfe", ExpiresAt: &expires})
		if tc.says == "" {
			if err != nil || len(api.live()) != 1 || created.LastUsedAt != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		e := mustCreateError(t, err, OutcomeRevoked)
		if reason := mustError(t, e); reason.Cause != CauseMismatch || !strings.Contains(reason.Reason, tc.says) || strings.Contains(err.Error(), "tried again") || len(api.live()) != 0 {
			t.Errorf("%s: %v (%s)", name, err, reason.Cause)
		}
	}
}

func TestP26_200InPlaceOf201IsTaken(t *testing.T) {
	api := newFakeAPI(t)
	api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			writeJSON(w, http.StatusOK, api.commit(r))
		}
		return r.Method == http.MethodPost
	}
	if _, err := newTestCaller(t, api.URL).CreateToken(t.Context(), NewToken{Name: "ci"}); err != nil || len(api.live()) != 1 {
		t.Error(err)
	}
}

// A token whose answer was lost is found although the API writes its name in
// another normal form, and notes its last use as 1970.
func TestP26_P27_ALostTokenIsFoundUnderItsOtherName(t *testing.T) {
	api := newFakeAPI(t)
	api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		api.commit(r)
		api.mu.Lock()
		api.tokens[0].Name, api.tokens[0].LastUsedAt = "Gr\u00f6\u00dfe", new(time.Unix(0, 0))
		api.mu.Unlock()
		cut(w)
		return true
	}
	_, err := newTestCaller(t, api.URL).CreateToken(t.Context(), NewToken{Name: "Gro\u0308\u00dfe"})
	mustCreateError(t, err, OutcomeRevoked)
	if len(api.live()) != 0 {
		t.Errorf("live are %v", api.live())
	}
}

func TestP27_NoTimeInOtherSpellings(t *testing.T) {
	body := `[{"id":"pat_1","created_at":"2026-03-28T10:00:00Z","last_used_at":"1970-01-01T00:00:00Z","expires_at":"9999-12-31T23:59:59Z","revoked_at":"0001-01-01T00:00:00Z","valid_from":"1970-01-01T01:00:00+01:00"},
		{"id":"pat_2","created_at":"2026-03-28T10:00:00Z","last_used_at":"2026-03-29T10:00:00Z","expires_at":"2998-01-01T00:00:00Z","revoked_at":"2026-03-30T10:00:00Z"}]`
	tokens, err := newTestCaller(t, answering(t, 200, "application/json", body).URL).ListTokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := tokens[0]; got.LastUsedAt != nil || got.ExpiresAt != nil || got.RevokedAt != nil || got.ValidFrom != nil || got.Status(time.Now()) != StatusActive {
		t.Errorf("got %+v", got)
	}
	if got := tokens[1]; got.LastUsedAt == nil || got.ExpiresAt == nil || got.RevokedAt == nil {
		t.Errorf("real times are gone: %+v", got)
	}
}

func TestP22_AChangedTokenIsWhatTheListShows(t *testing.T) {
	for name, tc := range map[string]struct {
		acts   bool
		answer func(w http.ResponseWriter, token map[string]any)
		want   error
	}{
		"a page, acted": {true, func(w http.ResponseWriter, _ map[string]any) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>Sign in"))
		}, nil},
		"a page": {false, func(w http.ResponseWriter, _ map[string]any) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>Sign in"))
		}, ErrIntermediary},
		"success, not so":     {false, func(w http.ResponseWriter, token map[string]any) { writeJSON(w, 200, token) }, ErrUnexpectedAnswer},
		"refused, acted":      {true, func(w http.ResponseWriter, _ map[string]any) { refuse(w, 400, "") }, nil},
		"refused":             {false, func(w http.ResponseWriter, _ map[string]any) { refuse(w, 400, "") }, ErrInvalid},
		"connection lost, in": {true, func(w http.ResponseWriter, _ map[string]any) { cut(w) }, nil},
	} {
		api := newFakeAPI(t)
		api.extended = true
		token := api.add("ci", nil, randomPAT())
		api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPatch {
				return false
			}
			if tc.acts {
				api.change(r)
			}
			tc.answer(w, map[string]any{"id": token.ID, "name": "nightly", "created_at": token.CreatedAt})
			return true
		}
		got, err := newTestCaller(t, api.URL).UpdateToken(t.Context(), token.ID, TokenChange{Name: "nightly"})
		if !errors.Is(err, tc.want) || tc.want == nil && got.Name != "nightly" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
