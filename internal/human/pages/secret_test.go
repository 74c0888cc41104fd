//go:build unix

package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

var (
	_ tokens.Deliverer = (*Secret)(nil)
	_ tokens.Receiver  = (*Secret)(nil)
	_ tokens.Receiver  = (*delivery.First)(nil)
)

func TestA8_TheAddressAloneShowsNoValue(t *testing.T) {
	h := newHouse(t)
	d := h.deliver(t.Context(), t, atLeisure)
	value := d.token.Value.Reveal()
	if strings.Contains(d.address, d.token.Prefix) || len(d.address) < len("http://127.0.0.1:1/")+26 {
		t.Errorf("the address %s is guessable, or holds part of the token", d.address)
	}
	for range 3 {
		got := get(t, d.address)
		if got.status != http.StatusOK || strings.Contains(got.body, value) {
			t.Fatalf("going to the address shows %d %s", got.status, got.body)
		}
		for _, want := range []string{d.token.Name, "31 March 2027", "Show the token", "I do not want it"} {
			if !strings.Contains(got.body, want) {
				t.Errorf("the page does not tell %q", want)
			}
		}
	}
	d.mustWait(t)
}

func TestA9_TheValueIsShownOnce(t *testing.T) {
	h := newHouse(t)
	d := h.deliver(t.Context(), t, atLeisure)
	form := formOf(t, d.address, "choice", "show")
	got := post(t, d.address, form)
	if got.status != http.StatusOK || strings.Count(got.body, d.token.Value.Reveal()) != 1 {
		t.Fatalf("the click is answered with %d %s", got.status, got.body)
	}
	end := d.wait(t)
	if end.err != nil || end.receipt.Method != "page" || end.receipt.Where != "a page in the browser" || end.receipt.Value != "" {
		t.Errorf("Deliver returned %+v, %v", end.receipt, end.err)
	}
	unknown := get(t, d.address[:len(d.address)-1])
	mustBeNothing(t, unknown)
	for name, again := range map[string]answer{
		"reload": post(t, d.address, form), "the address": get(t, d.address),
		"a discard": post(t, d.address, map[string][]string{"csrf": form["csrf"], "choice": {"discard"}}),
	} {
		if again.status != unknown.status || again.body != unknown.body {
			t.Errorf("%s answers unlike an address that never was: %d %s", name, again.status, again.body)
		}
	}
}

func TestA9_OfManyClicksAtOnceExactlyOneShowsTheValue(t *testing.T) {
	h := newHouse(t)
	d := h.deliver(t.Context(), t, atLeisure)
	form := formOf(t, d.address, "choice", "show")
	const clicks = 50
	answers := make(chan answer, clicks)
	var all sync.WaitGroup
	start := make(chan struct{})
	for range clicks {
		all.Go(func() {
			<-start
			got, err := trySend(t, http.MethodPost, d.address, form, asBrowser)
			if err != nil {
				t.Error(err)
			}
			answers <- got
		})
	}
	close(start)
	all.Wait()
	close(answers)
	shown := 0
	for got := range answers {
		if strings.Contains(got.body, d.token.Value.Reveal()) {
			shown++
		} else {
			mustBeNothing(t, got)
		}
	}
	if shown != 1 {
		t.Errorf("the value was shown %d times", shown)
	}
	if got := d.wait(t); got.err != nil {
		t.Error(got.err)
	}
}

func TestR1_NothingButThePageHoldsTheValueOrTheAddress(t *testing.T) {
	h := newHouse(t)
	shown := h.deliver(t.Context(), t, atLeisure)
	post(t, shown.address, formOf(t, shown.address, "choice", "show"))
	discarded := h.deliver(t.Context(), t, atLeisure)
	post(t, discarded.address, formOf(t, discarded.address, "choice", "discard"))
	late := h.deliver(t.Context(), t, 3*time.Second) // time for the test to follow the file to the page
	for _, d := range []secretDelivery{shown, discarded, late} {
		end := d.wait(t)
		everything := fmt.Sprintf("%+v %v %#v %s", end.receipt, end.err, end.err, h.log)
		if strings.Contains(everything, d.token.Value.Reveal()) || strings.Contains(everything, d.address[len("http://127.0.0.1:"):]) {
			t.Errorf("the value or the address is in %s", everything)
		}
	}
	if kept := h.openPages(); kept != 0 {
		t.Errorf("%d pages are kept after their end", kept)
	}
}

func TestR1_APageThatEndedHoldsNoValue(t *testing.T) {
	token := newToken()
	content := newSecretContent(client.NewToken{Name: token.Name})
	content.made <- token
	content.act(t.Context(), map[string][]string{"choice": {"show"}})
	if len(content.made) != 0 {
		t.Error("the value is kept after it was shown")
	}
	page := newPage(content, time.Now())
	page.forget = func() {}
	page.endAfter(time.Hour)
	page.end(errClosed)
	if page.content != nil {
		t.Error("the content is kept after the page's end")
	}
}

func TestA33_WhatIsNotAskedForIsNotDelivered(t *testing.T) {
	var told *tools.Error
	t.Run("discarded", func(t *testing.T) {
		h := newHouse(t)
		d := h.deliver(t.Context(), t, atLeisure)
		form := formOf(t, d.address, "choice", "discard")
		got := post(t, d.address, form)
		if got.status != http.StatusOK || strings.Contains(got.body, d.token.Value.Reveal()) || !strings.Contains(got.body, "No token was made") {
			t.Errorf("the page says %d %s", got.status, got.body)
		}
		if end := d.wait(t); !errors.As(end.err, &told) || told.Code != tools.CodeDeclined {
			t.Errorf("Deliver returned %v", end.err)
		}
		form.Set("choice", "show")
		mustBeNothing(t, post(t, d.address, form))
	})
	t.Run("too late", func(t *testing.T) {
		h := newHouse(t)
		d := h.deliver(t.Context(), t, atLeisure)
		h.runOut(t, d.address)
		if end := d.wait(t); !errors.As(end.err, &told) || told.Code != tools.CodeCannotDeliver || !strings.Contains(told.Message, "nobody asked for the value") {
			t.Errorf("Deliver returned %v", end.err)
		}
		mustBeNothing(t, get(t, d.address))
	})
	t.Run("cancelled", func(t *testing.T) {
		h := newHouse(t)
		ctx, cancel := context.WithCancel(t.Context())
		d := h.deliver(ctx, t, atLeisure)
		form := formOf(t, d.address, "choice", "show")
		cancel()
		if end := d.wait(t); !errors.Is(end.err, context.Canceled) {
			t.Errorf("Deliver returned %v", end.err)
		}
		for _, got := range []answer{post(t, d.address, form), get(t, d.address)} {
			if got.status != http.StatusGone || !strings.Contains(got.body, "This was withdrawn") || strings.Contains(got.body, d.token.Value.Reveal()) {
				t.Errorf("the page of a call that was cancelled shows %d %s", got.status, got.body)
			}
		}
	})
	t.Run("the program ends", func(t *testing.T) {
		h := newHouse(t)
		d := h.deliver(t.Context(), t, atLeisure)
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if end := d.wait(t); !errors.Is(end.err, errClosed) {
			t.Errorf("Deliver returned %v", end.err)
		}
		if _, err := trySend(t, http.MethodGet, d.address, nil, nil); err == nil {
			t.Error("the page still answers")
		}
		if err := NewSecret(h.Server, 0).Check(t.Context()); !errors.Is(err, errClosed) {
			t.Errorf("Check returned %v afterwards", err)
		}
	})
	t.Run("an unknown choice", func(t *testing.T) {
		h := newHouse(t)
		d := h.deliver(t.Context(), t, atLeisure)
		for _, choice := range []string{"", "Show", "show "} {
			if got := post(t, d.address, formOf(t, d.address, "choice", choice)); got.status != http.StatusBadRequest {
				t.Errorf("%q: %d, want 400", choice, got.status)
			}
		}
		d.mustWait(t)
	})
}

// Whether a token was made, and whether it is revoked, is said by whoever knows: the
// page says neither of a token that it did not get.
func TestP22_A33_ThePageSaysOnlyWhatItKnowsOfATokenThatDidNotCome(t *testing.T) {
	for name, c := range map[string]struct {
		act   func(t *testing.T, s *secretContent) reply
		says  string
		never []string
	}{
		"not wanted": {func(t *testing.T, s *secretContent) reply {
			return s.act(t.Context(), map[string][]string{"choice": {"discard"}})
		}, "No token was made", []string{"revoke"}},
		"none is made": {func(t *testing.T, s *secretContent) reply {
			close(s.made)
			return s.act(t.Context(), map[string][]string{"choice": {"show"}})
		}, "whether anything is left", []string{"revoke", "othing is left", "No token was made", "No token was created"}},
		"too late": {func(t *testing.T, s *secretContent) reply {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return s.act(ctx, map[string][]string{"choice": {"show"}})
		}, "is to be revoked", []string{"was revoked", "is revoked", "othing is left", "o token was made", "o token was created", "could not be made", "could not be created"}},
	} {
		page := httptest.NewRecorder()
		reply := c.act(t, newSecretContent(client.NewToken{Name: "x"}))
		err := layout.Write(page, reply.view)
		_, text, _ := strings.Cut(page.Body.String(), "<main") // beside the style sheet
		if err != nil || !reply.over || reply.err == nil || !strings.Contains(text, c.says) {
			t.Errorf("%s: the page says %s, %v", name, text, err)
		}
		for _, never := range c.never {
			if strings.Contains(text, never) {
				t.Errorf("%s: the page says %q: %s", name, never, text)
			}
		}
	}

	// The call revokes a token that comes too late, and says so.
	h := newHouse(t)
	pickup, err := NewSecret(h.Server, atLeisure).Expect(t.Context(), client.NewToken{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	clicked := make(chan answer, 1)
	address := h.address(t)
	form := formOf(t, address, "choice", "show")
	go func() {
		got, _ := trySend(t, http.MethodPost, address, form, asBrowser) // the test fails by what is missing
		clicked <- got
	}()
	if err := pickup.Asked(t.Context()); err != nil {
		t.Fatal(err)
	}
	pickup.(*secretPickup).page.end(context.Canceled)
	if got := mustReceive(t, clicked); !strings.Contains(got.body, "did not arrive in time") {
		t.Errorf("the page says %d %s", got.status, got.body)
	}
	var told *tools.Error
	_, err = pickup.Deliver(t.Context(), tools.Caller{}, newToken())
	if !errors.As(err, &told) || told.Code != tools.CodeCannotDeliver || strings.Contains(told.Message, "no token was made") || !strings.Contains(told.Message, "before the token was there") {
		t.Errorf("Deliver returned %v", err)
	}
}

func TestA33_TheRoadIsCheckedBeforeAnythingIsMade(t *testing.T) {
	var told *tools.Error
	if err := NewSecret(New(nil, nil), 0).Check(t.Context()); !errors.As(err, &told) || told.Code != tools.CodeCannotDeliver || told.Next == "" {
		t.Errorf("without a browser: %v", err)
	}
	h := newHouse(t)
	if err := NewSecret(h.Server, 0).Check(t.Context()); err != nil {
		t.Errorf("with one: %v", err)
	}
	if len(h.opened) != 0 {
		t.Error("the check opened a page")
	}
}

func TestA33_ABrowserThatCannotBeOpenedIsNoDelivery(t *testing.T) {
	for name, argv := range map[string][]string{"fails": {"/bin/sh", "-c", "exit 3"}, "is gone": {"/nowhere/browser"}} {
		pages := New(&Browser{argv: argv, environment: []string{}, folder: t.TempDir()}, nil)
		_, err := NewSecret(pages, time.Minute).Deliver(t.Context(), tools.Caller{}, newToken())
		if err == nil || !strings.Contains(err.Error(), "the browser could not be opened") || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("a browser that %s: %v", name, err)
		}
		if err := pages.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestA17_ANameCannotChangeThePage(t *testing.T) {
	token := newToken()
	token.Name = "</textarea><script>alert(1)</script>\u202egnp.exe\u200b\x1b[2J\n"
	shown := secretOf(token).facts[0].Value
	if strings.ContainsAny(shown, "\u202e\u200b\x1b\n") {
		t.Errorf("the name is shown as %q", shown)
	}
	h := newHouse(t)
	page, err := h.open(secretOf(token), atLeisure)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(mustRequest(t, page.address))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var raw strings.Builder
	if err := response.Write(&raw); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(raw.String(), "<script>alert") || !strings.Contains(raw.String(), "&lt;script&gt;alert") {
		t.Errorf("the name stands in the page as it came: %s", raw.String())
	}
}

// Who is given a narrowed token sees that it is one.
func TestS4_ThePageTellsWhatANewTokenMayDo(t *testing.T) {
	token := newToken()
	from := time.Date(2027, time.March, 4, 5, 6, 0, 0, time.UTC)
	token.ValidFrom, token.Permissions = &from, []string{"read:leads", "read:tokens"}
	facts := secretOf(token).facts
	for _, want := range []approval.Fact{{Label: "Valid from", Value: date(from)}, {Label: "Permissions", Value: "read:leads read:tokens"}} {
		if !slices.Contains(facts, want) {
			t.Errorf("the page tells %v, want %v among it", facts, want)
		}
	}
	if facts := secretOf(newToken()).facts; len(facts) != 2 {
		t.Errorf("of a token that is not narrowed the page tells %v", facts)
	}
}

func mustRequest(t *testing.T, address string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
