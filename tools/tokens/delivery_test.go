package tokens_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// faultyRoad fails as told, and notes what was asked of it.
type faultyRoad struct {
	check   error
	deliver func(ctx context.Context, token *client.CreatedToken) (tokens.Receipt, error)

	mu    sync.Mutex
	steps []string
}

func (*faultyRoad) Method() string { return "faulty" }

func (r *faultyRoad) Check(context.Context) error {
	r.step("check")
	return r.check
}

func (r *faultyRoad) Deliver(ctx context.Context, _ tools.Caller, token *client.CreatedToken) (tokens.Receipt, error) {
	r.step("deliver")
	return r.deliver(ctx, token)
}

func (r *faultyRoad) step(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.steps = append(r.steps, name)
}

func (r *faultyRoad) history() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.steps, " ")
}

func TestA33_NothingIsMintedWhereNothingCanBeDelivered(t *testing.T) {
	road := &faultyRoad{check: errors.New("the letter box is nailed shut: open it")}
	f := newFixture(t, withDeliverer(road))
	f.call("create_token", createArguments("import", "1d")).failed(tools.CodeCannotDeliver, "nailed shut", "no token was made")
	f.mustHaveNothingNew()
	if got := road.history(); got != "check" {
		t.Errorf("the road was asked to %q, want a check alone", got)
	}

	f = newFixture(t, withDeliverer(delivery.None{}))
	f.call("create_token", createArguments("import", "1d")).failed(tools.CodeCannotDeliver, "no token was made", "make one in kenbun under Settings")
	f.mustHaveNothingNew()
}

func TestA33_RoadIsCheckedThenTheTokenMintedThenDelivered(t *testing.T) {
	road := &faultyRoad{deliver: func(context.Context, *client.CreatedToken) (tokens.Receipt, error) {
		return tokens.Receipt{Method: "faulty", Note: "Look under the mat."}, nil
	}}
	f := newFixture(t, withDeliverer(road))
	f.proxy.instead(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodPost {
			road.step("mint")
		}
		pass.ServeHTTP(w, r)
	})
	f.call("create_token", createArguments("import", "1d")).ok(nil)
	if got := road.history(); got != "check mint deliver" {
		t.Errorf("the order was %q", got)
	}
	// Bad arguments cost nobody a check, and nothing else.
	f.call("create_token", createArguments("import", "1x")).failed(tools.CodeInvalidArgument)
	if got := road.history(); got != "check mint deliver" {
		t.Errorf("bad arguments led to %q", got)
	}
}

func TestA33_UndeliveredTokenIsRevokedAtOnce(t *testing.T) {
	for label, deliver := range map[string]func(context.Context, *client.CreatedToken) (tokens.Receipt, error){
		"a plain error": func(context.Context, *client.CreatedToken) (tokens.Receipt, error) {
			return tokens.Receipt{}, errors.New("the dog ate it: feed the dog")
		},
		"an error of the tools": func(context.Context, *client.CreatedToken) (tokens.Receipt, error) {
			return tokens.Receipt{}, &tools.Error{Code: tools.CodeCannotDeliver, Message: "the dog ate it", Next: "Feed the dog."}
		},
		"a panic": func(_ context.Context, token *client.CreatedToken) (tokens.Receipt, error) {
			panic(token)
		},
	} {
		t.Run(label, func(t *testing.T) {
			f := newFixture(t, withDeliverer(&faultyRoad{deliver: deliver}))
			text := f.call("create_token", createArguments("import", "1d")).
				failed(tools.CodeCannotDeliver, "was revoked at once, nothing is left of it").text()
			if strings.Contains(text, "no token was made") || strings.Contains(text, "panic") || strings.Contains(text, ".go") {
				t.Errorf("the error says what is not so, or what nobody should read: %q", text)
			}
			f.mustBeRevoked(f.listedID("import"))
		})
	}
}

// The person's name for what lives and that nobody holds.
func TestA33_TokenThatCannotBeRevokedEitherIsNamed(t *testing.T) {
	f := newFixture(t, withDeliverer(&faultyRoad{deliver: func(context.Context, *client.CreatedToken) (tokens.Receipt, error) {
		return tokens.Receipt{}, errors.New("the dog ate it")
	}}))
	f.proxy.instead(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		pass.ServeHTTP(w, r)
	})
	a := f.call("create_token", createArguments("import", "1d"))
	f.proxy.instead(nil)
	id := f.listedID("import")
	a.failed(tools.CodeOutcomeUnknown, id, "`kenbun-mcp tokens revoke "+id+" --embedded`", "the dog ate it")
	f.mustBeLive(id)
}

// A caller who hangs up between mint and delivery does not break the delivery off.
// The token is revoked then, since nobody hears of it.
func TestA33_P13_HangingUpDuringTheDeliveryUndoesIt(t *testing.T) {
	t.Run("delivery", func(t *testing.T) {
		folder := filepath.Join(t.TempDir(), "tokens")
		road, err := delivery.NewFile(folder)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f := newFixture(t, withDeliverer(&faultyRoad{deliver: func(inner context.Context, token *client.CreatedToken) (tokens.Receipt, error) {
			cancel()
			if inner.Err() != nil {
				t.Error("the delivery was cancelled with its caller")
			}
			return road.Deliver(inner, tools.Caller{}, token)
		}}))
		f.folder = folder
		f.callIn(ctx, f.asks("", nil), "create_token", createArguments("import", "1d")).failed(tools.CodeCannotDeliver, "cancelled", "revoked at once")
		f.mustBeRevoked(f.listedID("import"))
	})
	t.Run("cleaning up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f := newFixture(t, withDeliverer(&faultyRoad{deliver: func(context.Context, *client.CreatedToken) (tokens.Receipt, error) {
			cancel()
			return tokens.Receipt{}, errors.New("the dog ate it")
		}}))
		f.callIn(ctx, f.asks("", nil), "create_token", createArguments("import", "1d")).failed(tools.CodeCannotDeliver, "revoked at once")
		f.mustBeRevoked(f.listedID("import"))
	})
}

// The canary: under every failure of the road "file" and of the API around it,
// the value of the new token is in nothing that leaves. The fixture searches.
func TestR1_A4_FileRoadLeaksNothingUnderAnyFailure(t *testing.T) {
	type fault struct {
		before func(f *fixture)
		during proxying
	}
	faults := map[string]fault{
		"none":             {},
		"a file in place":  {before: func(f *fixture) { mustWrite(t, f.folder) }},
		"an open folder":   {before: func(f *fixture) { mustMakeFolder(t, f.folder, 0o777) }},
		"gone after mint":  {during: afterMint(func(f *fixture) { mustReplaceByFile(t, f.folder) })},
		"open after mint":  {during: afterMint(func(f *fixture) { mustChmod(t, f.folder, 0o755) })},
		"no revoking":      {during: chain(afterMint(func(f *fixture) { mustReplaceByFile(t, f.folder) }), refusing(http.MethodDelete, 500))},
		"an answer cut":    {during: cutting},
		"a list refused":   {during: refusing(http.MethodGet, 403)},
		"a mint refused":   {during: refusing(http.MethodPost, 401)},
		"a mint that 500s": {during: refusing(http.MethodPost, 500)},
	}
	for label, fault := range faults {
		t.Run(label, func(t *testing.T) {
			f := newFixture(t)
			if fault.before != nil {
				fault.before(f)
			}
			if fault.during != nil {
				f.proxy.instead(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
					fault.during(w, r.WithContext(context.WithValue(r.Context(), fixtureKey{}, f)), pass)
				})
			}
			a := f.call("create_token", createArguments("import", "1d"))
			f.callModern(`{}`, "list_tokens", `{"status":"all"}`)
			f.call("whoami", `{}`)
			f.proxy.instead(nil)
			live := f.liveIDs("import")
			switch {
			case len(live) == 1 && !a.Result.IsError:
				f.mustHaveDelivered(1)
			case len(live) == 1:
				a.failed(tools.CodeOutcomeUnknown, live[0])
			case len(live) > 1 || !a.Result.IsError:
				t.Errorf("%d tokens live after %s", len(live), a.raw)
			}
		})
	}
}

// liveIDs are those of the tokens of that name that still work.
func (f *fixture) liveIDs(name string) []string {
	var ids []string
	for id, token := range f.listed() {
		if token.Name == name && token.RevokedAt == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

type fixtureKey struct{}

// afterMint does something once the API has made a token.
func afterMint(do func(f *fixture)) proxying {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		f, _ := r.Context().Value(fixtureKey{}).(*fixture)
		if r.Method == http.MethodPost {
			do(f)
		}
		pass.ServeHTTP(w, r)
	}
}

func refusing(method string, status int) proxying {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == method {
			refuse(w, status)
			return
		}
		pass.ServeHTTP(w, r)
	}
}

// refuse answers as kenbun does.
func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"error":{"message":"refused at the limit"}}`) // the client may have gone
}

// chain lets first handle a request, and second what first passes on.
func chain(first, second proxying) proxying {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		first(w, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { second(w, r, pass) }))
	}
}

// cutting breaks off the answer to a create.
func cutting(w http.ResponseWriter, r *http.Request, pass http.Handler) {
	if r.Method != http.MethodPost {
		pass.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Length", "100000")
	pass.ServeHTTP(&withoutLength{w}, r)
	panic(http.ErrAbortHandler)
}

// withoutLength keeps a Content-Length that was set before.
type withoutLength struct{ http.ResponseWriter }

func (w *withoutLength) WriteHeader(status int) {
	w.Header().Set("Content-Length", "100000")
	w.ResponseWriter.WriteHeader(status)
}

func mustWrite(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func mustMakeFolder(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	mustChmod(t, path, mode)
}

func mustChmod(t *testing.T, path string, mode os.FileMode) {
	if err := os.Chmod(path, mode); err != nil {
		t.Error(err)
	}
}

func mustReplaceByFile(t *testing.T, path string) {
	if err := os.RemoveAll(path); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Error(err)
	}
}

func TestInlineIsLoudAndIsTheOperatorsChoice(t *testing.T) {
	f := newFixture(t, withDeliverer(delivery.Inline{}))
	var got created
	text := f.call("create_token", createArguments("import", "1d")).ok(&got).text()
	values := f.proxy.values()
	if len(values) != 1 || got.Delivery.Value == nil || *got.Delivery.Value != values[0] || !strings.Contains(text, values[0]) {
		t.Error("the value is not in the answer, where the operator wanted it")
	}
	if !strings.Contains(text, "WARNING") {
		t.Errorf("the answer does not warn: %q", strings.ReplaceAll(text, values[0], "[the value]"))
	}
	f.left.forget() // here the value leaves on purpose
}

// overwritingRoad puts values in the place of another.
type overwritingRoad struct{ *faultyRoad }

func (overwritingRoad) Current(context.Context) (tokens.CurrentValue, error) {
	return tokens.CurrentValue{What: "the value of X", Digest: "1"}, nil
}

func (r overwritingRoad) Overwrite(ctx context.Context, caller tools.Caller, token *client.CreatedToken, _ tokens.CurrentValue) (tokens.Receipt, error) {
	return r.Deliver(ctx, caller, token)
}

func TestR37_OverwritingAnotherValueIsForThePersonToDecide(t *testing.T) {
	road := overwritingRoad{&faultyRoad{deliver: func(context.Context, *client.CreatedToken) (tokens.Receipt, error) {
		return tokens.Receipt{Method: "overwriting", Note: "There."}, nil
	}}}
	f := newFixture(t, withDeliverer(road), withoutSilence)
	f.call("create_token", createArguments("import", "1d")).failed(tools.CodeNeedsPerson, "no token was made")
	f.callIn(t.Context(), f.asksWith(`{}`, declined), "create_token", createArguments("import", "1d")).failed(tools.CodeDeclined, "no token was made")
	f.mustHaveNothingNew()
	session := f.asksWith(`{}`, agreed)
	f.callIn(t.Context(), session, "create_token", createArguments("import", "1d")).ok(nil)
	if !strings.Contains(session.asked()[0].Message, "It takes the place of: the value of X") {
		t.Errorf("the person was asked %q", session.asked()[0].Message)
	}
}

// A value that stands in the answer alone is lost with it.
func TestA33_AnAnswerThatNobodyWaitsForLeavesNoToken(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	road := &faultyRoad{deliver: func(_ context.Context, token *client.CreatedToken) (tokens.Receipt, error) {
		cancel()
		return tokens.Receipt{Method: "sealed", Note: "Sealed.", Sealed: "armor"}, nil
	}}
	f := newFixture(t, withDeliverer(road))
	f.callIn(ctx, f.asks("", nil), "create_token", createArguments("import", "1d")).failed(tools.CodeCannotDeliver, "cancelled", "revoked at once")
	for id, token := range f.listed() {
		if token.Name == "import" && token.RevokedAt == nil {
			t.Errorf("the token %s lives and nobody holds it", id)
		}
	}
}
