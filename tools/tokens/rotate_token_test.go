package tokens_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

type rotated struct {
	ID, Name, Prefix, Next string
	ExpiresAt              string `json:"expires_at"`
	Delivery               struct{ Road, Where string }
	Replaced               struct{ ID, Prefix, Status string }
}

// alive are the user's live tokens of a name.
func (f *fixture) alive(name string) []client.Token {
	f.t.Helper()
	var live []client.Token
	for _, token := range f.listed() {
		if token.Name == name && token.Status(time.Now()) == client.StatusActive {
			live = append(live, token)
		}
	}
	return live
}

func TestS8_RotateDeliversProvesAndOnlyThenRevokes(t *testing.T) {
	f := newFixture(t)
	began := time.Now()
	ends := began.Add(30 * 24 * time.Hour)
	old := f.api.Token(t, ada, "import", &ends)
	session := f.asksWith(`{}`, agreed)
	var got rotated
	f.callIn(t.Context(), session, "rotate_token", id(old.ID)).ok(&got)

	content, err := os.ReadFile(got.Delivery.Where)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.api.As(t, strings.TrimSpace(string(content))).Me(t.Context()); err != nil {
		t.Errorf("what was delivered does not work: %v", err)
	}
	f.mustBeRevoked(old.ID)
	if got.Name != "import" || got.Replaced.ID != old.ID || got.Replaced.Status != "revoked" || got.Next != "" {
		t.Errorf("answered %+v", got)
	}
	expires, err := time.Parse(time.RFC3339, got.ExpiresAt)
	// Its life begins later by what the test took until then, in whole seconds.
	if later := expires.Sub(ends); err != nil || later < -2*time.Second || later > time.Since(began)+2*time.Second {
		t.Errorf("the new token ends at %s, want the same lifetime again, about %s", got.ExpiresAt, ends)
	}
	question := session.asked()
	if len(question) != 1 || !strings.Contains(question[0].Message, "Replace this kenbun token") || !strings.Contains(question[0].Message, `"import"`) {
		t.Errorf("the person was asked %+v", question)
	}
}

func TestS8_WhateverStepFailsTheOldTokenWorks(t *testing.T) {
	works := func(f *fixture, value string) {
		f.t.Helper()
		if _, err := f.api.As(f.t, value).Me(f.t.Context()); err != nil {
			f.t.Errorf("the old token does not work: %v", err)
		}
	}
	one := func(f *fixture) {
		f.t.Helper()
		if live := f.alive("import"); len(live) != 1 {
			f.t.Errorf("%d tokens of the name live, want the old one alone", len(live))
		}
	}
	rotate := func(f *fixture, token string) *answer {
		return f.callIn(f.t.Context(), f.asksWith(`{}`, agreed), "rotate_token", id(token))
	}

	t.Run("the person says no", func(t *testing.T) {
		f := newFixture(t)
		old := f.token30("import")
		f.callIn(t.Context(), f.asksWith(`{}`, declined), "rotate_token", id(old.ID)).failed(tools.CodeDeclined, "was not rotated")
		works(f, old.Value)
		one(f)
	})
	t.Run("the road is closed", func(t *testing.T) {
		f := newFixture(t, withDeliverer(&faultyRoad{check: errors.New("the road is closed")}))
		old := f.token30("import")
		rotate(f, old.ID).failed(tools.CodeCannotDeliver, "no token was made")
		works(f, old.Value)
		one(f)
	})
	t.Run("the API makes none", func(t *testing.T) {
		f := newFixture(t)
		old := f.token30("import")
		f.proxy.refuse(http.MethodPost, "/settings/tokens", http.StatusInternalServerError)
		rotate(f, old.ID).failed(tools.CodeUnavailable, "no token was made")
		f.proxy.instead(nil)
		works(f, old.Value)
		one(f)
	})
	t.Run("the new one does not work", func(t *testing.T) {
		f := newFixture(t)
		old := f.token30("import")
		own := "Bearer " + f.pat
		f.proxy.instead(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			if r.Header.Get("Authorization") != own {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			pass.ServeHTTP(w, r)
		})
		rotate(f, old.ID).failed(tools.CodeCannotDeliver, "the new token does not work", "revoked at once")
		works(f, old.Value)
		one(f)
		f.mustHaveDelivered(0)
	})
	t.Run("delivery breaks down", func(t *testing.T) {
		f := newFixture(t, withDeliverer(&faultyRoad{deliver: func(context.Context, *client.CreatedToken) (tokens.Receipt, error) {
			return tokens.Receipt{}, errors.New("the disk is full")
		}}))
		old := f.token30("import")
		rotate(f, old.ID).failed(tools.CodeCannotDeliver, "the disk is full", "revoked at once")
		works(f, old.Value)
		one(f)
	})
	t.Run("the old one cannot be revoked", func(t *testing.T) {
		f := newFixture(t)
		old := f.token30("import")
		f.proxy.refuse(http.MethodDelete, "/settings/tokens/"+old.ID, http.StatusServiceUnavailable)
		var got rotated
		rotate(f, old.ID).ok(&got)
		if got.Replaced.Status != "active" || !strings.Contains(got.Next, "tokens revoke "+old.ID) {
			t.Errorf("answered %+v", got)
		}
		works(f, old.Value)
		f.mustHaveDelivered(1)
	})
	t.Run("the token is changed after the question", func(t *testing.T) {
		f := newFixture(t)
		old := f.token30("import")
		session := f.asks(`{}`, func(context.Context) (json.RawMessage, error) {
			f.proxy.instead(rewriting(t, func(row map[string]json.RawMessage) {
				if string(row["id"]) == quoted(old.ID) {
					row["name"] = json.RawMessage(`"something else"`)
				}
			}))
			return json.RawMessage(agreed), nil
		})
		f.callIn(t.Context(), session, "rotate_token", id(old.ID)).failed(tools.CodeDeclined, "was changed after the user was asked")
		f.proxy.instead(nil)
		works(f, old.Value)
		one(f)
	})
}

// When the old token dies while the new one is on its way, somebody else has
// taken care of it: no second successor stays.
func TestA34_OvertakenRotationLeavesNoSecondSuccessor(t *testing.T) {
	f := newFixture(t)
	old := f.token30("import")
	f.proxy.instead(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, old.ID) {
			if err := f.api.As(t, f.pat).RevokeToken(context.Background(), old.ID); err != nil {
				t.Error(err)
			}
		}
		pass.ServeHTTP(w, r)
	})
	f.callIn(t.Context(), f.asksWith(`{}`, agreed), "rotate_token", id(old.ID)).
		failed(tools.CodeDeclined, "revoked by somebody else", "the new one of this call was revoked")
	if live := f.alive("import"); len(live) != 0 {
		t.Errorf("%d tokens of the name live, want none", len(live))
	}
}

func TestA34_TenRotationsAtOnceHaveOneSuccessor(t *testing.T) {
	kenbuntest.OnEachStore(t, func(t *testing.T, api *kenbuntest.API) {
		// Two toolboxes, as in two processes, which share nothing but the API.
		one := newFixtureOn(t, api)
		two := newFixtureSharing(t, one)
		old := one.token30("import")
		var wg sync.WaitGroup
		var mu sync.Mutex
		succeeded := 0
		for i := range 10 {
			f := []*fixture{one, two}[i%2]
			wg.Go(func() {
				got := f.callIn(t.Context(), f.asksWith(`{}`, agreed), "rotate_token", id(old.ID))
				mu.Lock()
				defer mu.Unlock()
				if got.Error == nil && !got.Result.IsError {
					succeeded++
				}
			})
		}
		wg.Wait()
		live := one.alive("import")
		if len(live) != 1 || live[0].ID == old.ID || succeeded != 1 {
			t.Errorf("%d tokens of the name live, and %d rotations succeeded; want one successor of one rotation: %+v", len(live), succeeded, live)
		}
	})
}

// vault keeps the token in use, as a file or a keychain would.
type vault struct {
	callers *switchedCallers
	as      func(pat string) tools.Caller
	locked  bool
	fails   bool
	kept    client.Secret
}

func (v *vault) Replaceable(context.Context) (string, error) {
	if v.locked {
		return "", errors.New("change KENBUN_PAT yourself")
	}
	return "the vault", nil
}

func (v *vault) Replace(_ context.Context, token client.Secret) (string, error) {
	if v.fails {
		return "", errors.New("the vault does not open")
	}
	v.kept = token
	v.callers.set(v.as(token.Reveal()))
	return "the vault", nil
}

func TestRotateTheTokenInUse(t *testing.T) {
	setUp := func(t *testing.T, change func(*vault)) (*fixture, *vault, string) {
		v := &vault{}
		change(v)
		f := newFixture(t, func(c *toolsets.Config) { c.Keeper = v })
		v.callers, v.as = f.callers, f.as
		for _, token := range f.listed() {
			return f, v, token.ID
		}
		return nil, nil, ""
	}
	t.Run("is put in its place, and the server goes on", func(t *testing.T) {
		f, v, own := setUp(t, func(*vault) {})
		var got rotated
		f.callIn(t.Context(), f.asksWith(`{}`, agreed), "rotate_token", `{"id":`+quoted(own)+`,"expires":"30d"}`).ok(&got)
		if got.Delivery.Road != "in place" || got.Delivery.Where != "the vault" || got.Replaced.Status != "revoked" {
			t.Errorf("answered %+v", got)
		}
		f.mustHaveDelivered(0)
		if _, err := f.api.As(t, f.pat).Me(t.Context()); !errors.Is(err, client.ErrUnauthenticated) {
			t.Errorf("the old token still works: %v", err)
		}
		var who struct{ Token struct{ Prefix string } }
		f.call("whoami", "{}").ok(&who)
		if who.Token.Prefix != v.kept.Prefix() {
			t.Errorf("the server runs on %q, want the new one", who.Token.Prefix)
		}
	})
	t.Run("stays when its place cannot be changed", func(t *testing.T) {
		f, _, own := setUp(t, func(v *vault) { v.fails = true })
		f.callIn(t.Context(), f.asksWith(`{}`, agreed), "rotate_token", `{"id":`+quoted(own)+`,"expires":"30d"}`).
			failed(tools.CodeCannotDeliver, "the vault does not open", "revoked at once")
		f.mustBeLive(own)
		if live := f.alive("first"); len(live) != 1 {
			t.Errorf("%d tokens live, want the old one alone", len(live))
		}
	})
	t.Run("stays when only the person can change its place", func(t *testing.T) {
		f, _, own := setUp(t, func(v *vault) { v.locked = true })
		var got rotated
		f.callIn(t.Context(), f.asksWith(`{}`, agreed), "rotate_token", `{"id":`+quoted(own)+`,"expires":"30d"}`).ok(&got)
		if got.Delivery.Road != "file" || got.Replaced.Status != "active" || !strings.Contains(got.Next, "the test") ||
			!strings.Contains(got.Next, "tokens revoke "+own) {
			t.Errorf("answered %+v", got)
		}
		f.mustBeLive(own)
		f.mustHaveDelivered(1)
	})
}

func TestRotateKeepsToThePolicy(t *testing.T) {
	f := newFixture(t)
	forever := f.token("for ever")
	dead := f.token("dead")
	if err := f.api.As(t, f.pat).RevokeToken(t.Context(), dead.ID); err != nil {
		t.Fatal(err)
	}
	session := f.asksWith(`{}`, agreed)
	for arguments, want := range map[string]struct {
		code tools.Code
		word string
	}{
		id(forever.ID): {tools.CodeForbidden, "never expire"},
		`{"id":` + quoted(forever.ID) + `,"expires":"never"}`: {tools.CodeForbidden, "never expire"},
		`{"id":` + quoted(forever.ID) + `,"expires":"366d"}`:  {tools.CodeForbidden, "at most 365 days"},
		`{"id":` + quoted(forever.ID) + `,"expires":"30"}`:    {tools.CodeInvalidArgument, "30d"},
		id(dead.ID):       {tools.CodeInvalidArgument, "revoked already"},
		id("pat_unknown"): {tools.CodeNotFound, "no token with that id"},
		`{"id":` + quoted(forever.ID) + `,"expires":"30d","confirm":true}`: {tools.CodeInvalidArgument, "confirm"},
	} {
		f.callIn(t.Context(), session, "rotate_token", arguments).failed(want.code, want.word)
	}
	if n := len(session.asked()); n != 0 {
		t.Errorf("the person was asked %d times in vain", n)
	}
	f.mustBeLive(forever.ID)
	f.mustHaveDelivered(0)
}

// awaitingRoad keeps values until the person comes for them.
type awaitingRoad struct{ *faultyRoad }

func (awaitingRoad) AwaitsUser() bool { return true }

// A token that the person has yet to come for does not take the old one's place.
func TestS8_RotateKeepsTheOldTokenUntilThePersonHasTheNewOne(t *testing.T) {
	road := awaitingRoad{&faultyRoad{deliver: func(context.Context, *client.CreatedToken) (tokens.Receipt, error) {
		return tokens.Receipt{Method: "awaiting", Note: "It waits.", Pending: true}, nil
	}}}
	f := newFixture(t, withDeliverer(road))
	old := f.token30("import")
	session := f.asksWith(`{}`, agreed)
	var got rotated
	f.callIn(t.Context(), session, "rotate_token", id(old.ID)).ok(&got)
	if got.Replaced.Status != "active" || !strings.Contains(got.Next, "tokens revoke "+old.ID) {
		t.Errorf("answered %+v", got)
	}
	f.mustBeLive(old.ID)
	if question := session.asked()[0].Message; !strings.Contains(question, "The old one keeps working") || strings.Contains(question, "cannot be undone") {
		t.Errorf("the person was told something else than what happened: %q", question)
	}
}
