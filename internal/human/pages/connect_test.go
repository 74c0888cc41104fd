//go:build unix

package pages

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/approval"
)

func (h *house) connect(t *testing.T, accept func(context.Context, client.Secret) error) *Offer {
	t.Helper()
	offer, err := h.Connect(accept)
	if err != nil {
		t.Fatal(err)
	}
	return offer
}

func mustNotAccept(t *testing.T) func(context.Context, client.Secret) error {
	return func(context.Context, client.Secret) error {
		t.Error("something was accepted that should not have come so far")
		return nil
	}
}

func TestConnectTakesATokenOnce(t *testing.T) {
	h := newHouse(t)
	want := newToken().Value
	var accepted atomic.Int32
	offer := h.connect(t, func(_ context.Context, pat client.Secret) error {
		accepted.Add(1)
		if !pat.Equal(want) {
			t.Error("another token arrived than was entered")
		}
		return nil
	})
	if err := offer.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if address := h.address(t); address != offer.URL {
		t.Errorf("the browser was sent to %s, not %s", address, offer.URL)
	}
	form := formOf(t, offer.URL, "token", " "+want.Reveal()+"\n")
	got := post(t, offer.URL, form)
	if got.status != http.StatusOK || !strings.Contains(got.body, "You are connected") || strings.Contains(got.body, want.Reveal()) {
		t.Errorf("the page says %d %s", got.status, got.body)
	}
	if err := offer.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	mustBeNothing(t, post(t, offer.URL, form))
	mustBeNothing(t, get(t, offer.URL))
	offer.Close()
	if err := offer.Wait(t.Context()); err != nil || accepted.Load() != 1 {
		t.Errorf("%v, accepted %d times", err, accepted.Load())
	}
}

func TestN9_WhatIsWrongWithATokenIsSaidOnThePage(t *testing.T) {
	pat := newToken().Value.Reveal()
	for _, c := range []struct {
		name, entered string
		err           error
		want          string
	}{
		{"nothing", "", nil, "The token is empty"},
		{"another product's", "ghp_" + rand.Text(), nil, "GitHub"},
		{"cut", pat[:16], nil, "Too short"},
		{"revoked", pat, errors.New("kenbun does not know this token: it was revoked"), "Kenbun does not know this token: it was revoked."},
		{"a tool's error", pat, fmt.Errorf("check: %w", &tools.Error{Message: "the token expired", Next: "Make a new one."}), "The token expired. Make a new one."},
		{"in time", pat, context.DeadlineExceeded, "kenbun did not answer in time"},
		{"told too much", pat, errors.New("GET with " + pat + " failed"), "This token could not be used."},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			accept := func(context.Context, client.Secret) error { return c.err }
			if c.err == nil {
				accept = mustNotAccept(t)
			}
			offer := h.connect(t, accept)
			got := post(t, offer.URL, formOf(t, offer.URL, "token", c.entered))
			if got.status != http.StatusUnprocessableEntity || !strings.Contains(strings.ToLower(got.body), strings.ToLower(c.want)) || !strings.Contains(got.body, "4 attempts are left") {
				t.Errorf("the page says %d %s", got.status, got.body)
			}
			if c.entered != "" && strings.Contains(got.body, c.entered) || strings.Contains(h.log.String(), pat) {
				t.Error("what was entered came back")
			}
		})
	}
}

func TestA30_ATokenMayBeEnteredFiveTimes(t *testing.T) {
	h := newHouse(t)
	var tries atomic.Int32
	offer := h.connect(t, func(context.Context, client.Secret) error {
		tries.Add(1)
		return errors.New("kenbun does not know this token")
	})
	form := formOf(t, offer.URL, "token", newToken().Value.Reveal())
	for left := 4; left >= 0; left-- {
		got := post(t, offer.URL, form)
		want := fmt.Sprintf("%d attempts are left", left)
		switch left {
		case 1:
			want = "One attempt is left"
		case 0:
			want = "accepts no more attempts"
		}
		if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, want) {
			t.Errorf("with %d left the page says %d %s", left, got.status, got.body)
		}
	}
	mustBeNothing(t, post(t, offer.URL, form))
	if err := offer.Wait(t.Context()); !errors.Is(err, ErrTooManyTries) || tries.Load() != 5 {
		t.Errorf("%v after %d tries", err, tries.Load())
	}
}

func TestConnectEndsWithItsOffer(t *testing.T) {
	h := newHouse(t)
	offer := h.connect(t, mustNotAccept(t))
	form := formOf(t, offer.URL, "token", newToken().Value.Reveal())
	offer.Close()
	if err := offer.Wait(t.Context()); !errors.Is(err, errOfferWithdrawn) {
		t.Errorf("Wait returned %v", err)
	}
	mustBeNothing(t, post(t, offer.URL, form))

	offer = h.connect(t, mustNotAccept(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := offer.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait returned %v", err)
	}
	mustBeWithdrawn(t, get(t, offer.URL))

	noBrowser := New(nil, nil)
	unseen, err := noBrowser.Connect(mustNotAccept(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := unseen.Open(t.Context()); !errors.Is(err, approval.ErrUnreachable) {
		t.Errorf("Open returned %v without a browser", err)
	}
	if got := get(t, unseen.URL); got.status != http.StatusOK {
		t.Errorf("without a browser the page answers %d", got.status)
	}
	if err := noBrowser.Close(); err != nil {
		t.Error(err)
	}
}

// TestConnectStopsTheCheckWhenThePageEnds: what is under way is told to stop,
// and what it comes to counts.
func TestConnectStopsTheCheckWhenThePageEnds(t *testing.T) {
	h := newHouse(t)
	checking := make(chan struct{})
	offer := h.connect(t, func(ctx context.Context, _ client.Secret) error {
		close(checking)
		<-ctx.Done()
		return ctx.Err()
	})
	form := formOf(t, offer.URL, "token", newToken().Value.Reveal())
	answered := make(chan answer, 1)
	go func() {
		got, err := trySend(t, http.MethodPost, offer.URL, form, asBrowser)
		if err != nil {
			t.Error(err)
		}
		answered <- got
	}()
	mustReceive(t, checking)
	mustBeNothing(t, post(t, offer.URL, form)) // one check at a time
	offer.Close()
	if err := offer.Wait(t.Context()); !errors.Is(err, errOfferWithdrawn) {
		t.Errorf("Wait returned %v", err)
	}
	if got := mustReceive(t, answered); !strings.Contains(got.body, "This page closed before kenbun had answered.") {
		t.Errorf("the page says %d %s", got.status, got.body)
	}
	if h.openPages() != 0 {
		t.Error("the page is kept")
	}
}

func TestPagesServerRunsOnlyWhileThereArePages(t *testing.T) {
	h := newHouse(t)
	h.idle = 20 * time.Millisecond
	if h.site != nil {
		t.Error("the server runs before the first page")
	}
	offer := h.connect(t, mustNotAccept(t))
	time.Sleep(5 * h.idle) // the page is open for longer than the server stays without one
	if got := get(t, offer.URL); got.status != http.StatusOK {
		t.Fatalf("an open page answers %d", got.status)
	}
	offer.Close()
	for end := time.Now().Add(10 * time.Second); ; {
		if _, err := trySend(t, http.MethodGet, offer.URL, nil, nil); err != nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the server runs on without pages")
		}
	}
	again := h.connect(t, mustNotAccept(t))
	if got := get(t, again.URL); got.status != http.StatusOK {
		t.Errorf("a page after the pause answers %d", got.status)
	}
	if got, err := trySend(t, http.MethodGet, offer.URL, nil, nil); err == nil {
		mustBeNothing(t, got)
	}
	if err := errors.Join(h.Close(), h.Close()); err != nil {
		t.Error(err)
	}
	if _, err := h.Connect(mustNotAccept(t)); !errors.Is(err, errClosed) {
		t.Errorf("Connect returned %v after Close", err)
	}
}
