package client

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestReachable_ByWhatAnswers(t *testing.T) {
	const json, html = "application/json", "text/html; charset=utf-8"
	for _, tc := range []struct {
		status      int
		contentType string
		want        error
	}{
		{200, json, nil}, {204, "", nil}, {401, json, nil}, {401, html, ErrUnexpectedAnswer}, {403, json, nil}, {404, json, nil}, {429, json, nil},
		{200, html, ErrUnexpectedAnswer}, {302, html, ErrUnexpectedAnswer}, {307, json, ErrUnexpectedAnswer},
		{407, html, ErrUnavailable}, {500, json, ErrUnavailable}, {502, html, ErrUnavailable}, {503, json, ErrUnavailable},
	} {
		asked := 0
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			if r.Header["Authorization"] != nil || r.Method != http.MethodGet || r.URL.Path != mePath {
				t.Errorf("the probe is %s %s with %q", r.Method, r.URL, r.Header)
			}
			w.Header().Set("Content-Type", tc.contentType)
			w.Header().Set("Location", "http://localhost:1/")
			w.WriteHeader(tc.status)
		}))
		err := newTestClient(t, srv.URL).Reachable(t.Context())
		srv.Close()
		if !errors.Is(err, tc.want) || asked != 1 {
			t.Errorf("status %d, %s: %v after %d requests, want %v after one", tc.status, tc.contentType, err, asked, tc.want)
		}
	}
}

func TestReachable_WhereNothingAnswers(t *testing.T) {
	e := mustError(t, newTestClient(t, "http://"+refusing).Reachable(t.Context()))
	if !errors.Is(e, ErrUnavailable) || e.Attempts != 1 {
		t.Errorf("%v after %d attempts", e, e.Attempts)
	}

	silent := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-silent }))
	defer srv.Close()
	defer close(silent)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := newTestClient(t, srv.URL).Reachable(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("an API that is silent: %v", err)
	}
}
