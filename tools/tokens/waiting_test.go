package tokens_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/bend"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/approval"
	"github.com/kenbun/kenbun-mcp/tools/audit"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// answeredWithin is how long a call may take.
const answeredWithin = 50 * time.Second

// inNoTime is a fixture for a test in a bubble of testing/synctest: its API is not
// behind a network.
func inNoTime(t *testing.T, api *bend.API, transport http.RoundTripper, options ...option) *fixture {
	t.Helper()
	f := &fixture{t: t, left: &record{}, callers: &switchedCallers{}, pat: api.PAT, folder: filepath.Join(t.TempDir(), "tokens")}
	var err error
	if f.client, err = client.New(client.WithBaseURL("http://127.0.0.1:1"), client.WithTransport(transport)); err != nil {
		t.Fatal(err)
	}
	f.callers.set(f.as(f.pat))
	road, err := delivery.NewFile(f.folder)
	if err != nil {
		t.Fatal(err)
	}
	config := toolsets.Config{Callers: f.callers, Deliverer: road, Policy: unhurriedPolicy(), APIAddress: "http://127.0.0.1:1", Extensions: true}
	for _, change := range options {
		change(&config)
	}
	toolbox, err := toolsets.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { toolbox.Stop(context.Background()) })
	f.server = server.NewMCPServer("test", "0")
	f.server.SetTools(toolbox.ServerTools()...)
	return f
}

// trickling is an API whose answers come a byte a second.
type trickling struct{ api http.RoundTripper }

func (s trickling) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := s.api.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = &slowBody{answer.Body, r.Context()}
	return answer, nil
}

type slowBody struct {
	io.ReadCloser
	ctx context.Context
}

func (b *slowBody) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
	return b.ReadCloser.Read(p[:min(1, len(p))])
}

// stuckJournal knows of a token that was left behind, and asks the API about it in vain.
type stuckJournal struct{}

func (stuckJournal) Begin(ctx context.Context, _ tools.Caller, _ tokens.Intent) (tokens.JournalEntry, error) {
	return tokens.JournalEntryFrom(ctx), nil
}

func (stuckJournal) Recover(ctx context.Context, _ tools.Caller) ([]tokens.Recovered, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// everyCall is one call of each tool.
var everyCall = map[string]string{
	"whoami": `{}`, "list_tokens": `{}`, "create_token": `{"name":"import","expires":"30d"}`,
	"revoke_token": `{"id":"pat_2"}`, "rotate_token": `{"id":"pat_2"}`, "update_token": `{"id":"pat_2","name":"new name"}`,
}

func TestP12_EveryCallIsAnsweredWithinFiftySecondsWhateverTheAPIDoes(t *testing.T) {
	again := http.Header{"Retry-After": {"25"}}
	for label, rules := range map[string][]bend.Rule{
		"silent":                                 {{Silent: true}},
		"silent after the list":                  {{Method: "GET", Path: "/settings/tokens", Times: 1, Shape: func(map[string]any) {}}, {Silent: true}},
		"silent to POST":                         {{Method: "POST", Silent: true}},
		"made, and silent":                       {{Method: "POST", Silent: true, Act: true}},
		"made, cut, then silent":                 {{Method: "POST", Cut: true, Act: true}, {Method: "GET", Skip: 3, Silent: true}, {Method: "DELETE", Silent: true}},
		"silent to DELETE":                       {{Method: "DELETE", Silent: true}},
		"silent to PATCH":                        {{Method: "PATCH", Silent: true}},
		"29 seconds for the POST":                {{Method: "POST", Delay: 14 * time.Second, Act: true}, {Method: "DELETE", Silent: true}, {Method: "GET", Path: "/org-units", Status: 500}},
		"429 with Retry-After: 25":               {{Status: 429, Header: again}},
		"429 with Retry-After: 25, every second": {{Status: 429, Header: again, Times: 1}, {Skip: 1, Status: 429, Header: again}},
		"503 with Retry-After: 25":               {{Status: 503, Header: again}},
		"429 to changes":                         {{Method: "POST", Status: 429, Header: again}, {Method: "DELETE", Status: 429, Header: again}, {Method: "PATCH", Status: 429, Header: again}},
		"six seconds for each answer":            {{Delay: 6 * time.Second, Shape: func(map[string]any) {}}},
		"trickling":                              nil,
	} {
		for tool, arguments := range everyCall {
			for _, leftBehind := range []bool{false, true} {
				t.Run(fmt.Sprint(tool, " ", label, " ", leftBehind), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						api := bend.Unserved(rules...)
						api.Add(bend.Row{"name": "old laptop", "last_used_at": nil, "expires_at": time.Now().Add(90 * 24 * time.Hour).UTC().Format(time.RFC3339)})
						transport := http.RoundTripper(api)
						if rules == nil {
							transport = trickling{api}
						}
						f := inNoTime(t, api, transport, func(c *toolsets.Config) {
							if leftBehind {
								c.Journal = stuckJournal{}
							}
						})
						began := time.Now()
						f.callIn(t.Context(), f.asksWith(`{}`, agreed), tool, arguments)
						if took := time.Since(began); took > answeredWithin {
							t.Errorf("%s was answered after %s", tool, took)
						}
					})
				})
			}
		}
	}
}

// hesitant is a user who decides when the test says so.
type hesitant struct {
	mu        sync.Mutex
	questions int
	withdrawn []error
	decision  chan error
}

func newHesitant() *hesitant { return &hesitant{decision: make(chan error)} }

func (h *hesitant) Decide(ctx context.Context, _ approval.Question, limit time.Duration) error {
	h.mu.Lock()
	h.questions++
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case err := <-h.decision:
		return err
	case <-ctx.Done():
		h.mu.Lock()
		defer h.mu.Unlock()
		h.withdrawn = append(h.withdrawn, ctx.Err())
		return ctx.Err()
	}
}

func (*hesitant) Way() audit.Way { return audit.WayPage }

func (h *hesitant) taken() []error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.withdrawn
}

func (h *hesitant) asked() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.questions
}

// openCase is a way to be asked: on a page in both eras of the protocol, and in a
// dialog of a client that has sessions.
type openCase struct {
	user *hesitant
	call func(ctx context.Context, tool, arguments string) *answer
	f    *fixture
	api  *bend.API
}

// whileOpen runs a test for each way to be asked.
func whileOpen(t *testing.T, test func(t *testing.T, o *openCase)) {
	for label, call := range map[string]func(o *openCase, ctx context.Context, tool, arguments string) *answer{
		"on a page, with sessions": func(o *openCase, ctx context.Context, tool, arguments string) *answer {
			return o.f.callIn(ctx, o.f.asks("", nil), tool, arguments)
		},
		"on a page, without sessions": func(o *openCase, ctx context.Context, tool, arguments string) *answer {
			meta := `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
			return o.f.read(tool, o.f.send(ctx, params(tool, arguments, meta)))
		},
		"in a dialog": func(o *openCase, ctx context.Context, tool, arguments string) *answer {
			return o.f.callIn(ctx, o.f.asks(`{}`, func(ctx context.Context) (json.RawMessage, error) {
				switch err := o.user.Decide(ctx, approval.Question{}, time.Hour); {
				case err == nil:
					return json.RawMessage(agreed), nil
				case errors.Is(err, approval.ErrDeclined):
					return json.RawMessage(declined), nil
				default:
					return nil, err
				}
			}), tool, arguments)
		},
	} {
		t.Run(label, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &openCase{user: newHesitant(), api: bend.Unserved()}
				o.api.Add(bend.Row{"name": "old laptop"})
				o.api.Add(bend.Row{"name": "older laptop"})
				o.f = inNoTime(t, o.api, o.api, func(c *toolsets.Config) { c.ApprovalMethod = o.user }, withoutSilence)
				o.call = func(ctx context.Context, tool, arguments string) *answer { return call(o, ctx, tool, arguments) }
				test(t, o)
			})
		})
	}
}

func TestP12_AQuestionOutlivesTheCallAndTheSameCallJoinsIt(t *testing.T) {
	whileOpen(t, func(t *testing.T, o *openCase) {
		began := time.Now()
		for round := range 3 {
			asked := time.Now()
			text := o.call(t.Context(), "revoke_token", id("pat_2")).failed(tools.CodeNeedsPerson, "is open", "2000-01-01T00:05:00Z", "same arguments", "was not revoked").text()
			if took := time.Since(asked); took < 44*time.Second || took > 46*time.Second {
				t.Errorf("round %d was answered after %s: %s", round, took, text)
			}
		}
		if o.user.asked() != 1 {
			t.Errorf("the user was asked %d times", o.user.asked())
		}
		go func() {
			time.Sleep(10 * time.Second)
			o.user.decision <- nil
		}()
		o.call(t.Context(), "revoke_token", id("pat_2")).ok(nil)
		if took := time.Since(began); took > 3*46*time.Second+11*time.Second || !o.api.Revoked("pat_2") {
			t.Errorf("after the yes: %s, revoked %t", took, o.api.Revoked("pat_2"))
		}
	})
}

func TestP12_AUserWhoDecidesBetweenTwoCallsIsHeardOnce(t *testing.T) {
	for label, decision := range map[string]error{"yes": nil, "no": approval.ErrDeclined} {
		t.Run(label, func(t *testing.T) {
			whileOpen(t, func(t *testing.T, o *openCase) {
				o.call(t.Context(), "revoke_token", id("pat_2")).failed(tools.CodeNeedsPerson, "is open")
				o.user.decision <- decision
				synctest.Wait()
				if o.api.Revoked("pat_2") != (decision == nil) {
					t.Fatalf("after the decision, revoked is %t", o.api.Revoked("pat_2"))
				}
				began := time.Now()
				again := o.call(t.Context(), "revoke_token", id("pat_2"))
				if time.Since(began) > time.Second {
					t.Errorf("the outcome took %s", time.Since(began))
				}
				deletes := o.api.Count(http.MethodDelete, "/")
				if decision != nil {
					again.failed(tools.CodeDeclined, "said no")
					// The decision is used up: the next call asks anew.
					o.call(t.Context(), "revoke_token", id("pat_2")).failed(tools.CodeNeedsPerson, "is open")
					if o.user.asked() != 2 {
						t.Errorf("the user was asked %d times", o.user.asked())
					}
					return
				}
				if text := again.ok(nil).text(); !strings.Contains(text, "Token revoked") || deletes != 1 {
					t.Errorf("%d requests to revoke, and the answer %q", deletes, text)
				}
				// The outcome is given once.
				if text := o.call(t.Context(), "revoke_token", id("pat_2")).ok(nil).text(); !strings.Contains(text, "revoked before") {
					t.Errorf("a third call is answered %q", text)
				}
			})
		})
	}
}

func TestP12_AnotherCallDoesNotJoinAnOpenQuestion(t *testing.T) {
	whileOpen(t, func(t *testing.T, o *openCase) {
		o.call(t.Context(), "revoke_token", id("pat_2")).failed(tools.CodeNeedsPerson, "is open")
		// Other arguments are another question, and fall under the budget.
		o.call(t.Context(), "revoke_token", id("pat_3")).failed(tools.CodeNeedsPerson, "is open")
		o.call(t.Context(), "rotate_token", id("pat_2")).failed(tools.CodeRateLimited, "another question")
		// Another token does not join it, not even one of the same user's.
		o.f.callers.set(tools.Caller{API: o.f.as(o.f.pat).API, ID: "another token"})
		o.call(t.Context(), "revoke_token", id("pat_2")).failed(tools.CodeRateLimited, "another question")
		if o.user.asked() != 2 {
			t.Errorf("the user was asked %d times", o.user.asked())
		}
		if o.api.Revoked("pat_2") || o.api.Revoked("pat_3") {
			t.Error("a token was revoked")
		}
	})
}

func TestP12_TwoCallsAtOnceDoNotShareADecision(t *testing.T) {
	whileOpen(t, func(t *testing.T, o *openCase) {
		o.call(t.Context(), "revoke_token", id("pat_2")).failed(tools.CodeNeedsPerson, "is open")
		var answers sync.WaitGroup
		for range 2 {
			answers.Go(func() { o.call(t.Context(), "revoke_token", id("pat_2")) })
		}
		time.Sleep(time.Second)
		o.user.decision <- nil
		answers.Wait()
		if got := o.api.Count(http.MethodDelete, "/"); got != 1 || o.user.asked() != 1 {
			t.Errorf("%d requests to revoke, %d questions", got, o.user.asked())
		}
	})
}

func TestP13_ACallThatIsCancelledWithdrawsItsQuestion(t *testing.T) {
	for _, rounds := range []int{0, 1} {
		t.Run(fmt.Sprint("after ", rounds, " answers"), func(t *testing.T) {
			whileOpen(t, func(t *testing.T, o *openCase) {
				for range rounds {
					o.call(t.Context(), "revoke_token", id("pat_2")).failed(tools.CodeNeedsPerson, "is open")
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				o.call(ctx, "revoke_token", id("pat_2")).failed(tools.CodeUnavailable, "cancelled", "withdrawn", "was not revoked")
				if len(o.user.taken()) != 1 {
					t.Errorf("%d questions were withdrawn", len(o.user.taken()))
				}
				select {
				case o.user.decision <- nil:
					t.Error("the question is still open")
				case <-time.After(time.Hour):
				}
				if o.api.Revoked("pat_2") {
					t.Error("the token was revoked all the same")
				}
			})
		})
	}
}

func TestP12_AnOpenQuestionEndsByItsTime(t *testing.T) {
	whileOpen(t, func(t *testing.T, o *openCase) {
		o.call(t.Context(), "revoke_token", id("pat_2")).failed(tools.CodeNeedsPerson, "is open")
		time.Sleep(5 * time.Minute)
		o.call(t.Context(), "revoke_token", id("pat_2")).failed(tools.CodeDeclined, "nobody answered within 5 minutes")
		// The next one asks anew. Its outcome is not kept for ever.
		time.Sleep(2 * time.Minute)
		o.call(t.Context(), "revoke_token", id("pat_2")).failed(tools.CodeNeedsPerson, "is open")
		time.Sleep(15 * time.Minute)
		o.call(t.Context(), "revoke_token", id("pat_2")).failed(tools.CodeNeedsPerson, "is open")
	})
}

func TestP12_ProgressComesEveryTenSeconds(t *testing.T) {
	whileOpen(t, func(t *testing.T, o *openCase) {
		var at []time.Duration
		var messages []string
		ctx := tools.WithProgress(t.Context(), func(elapsed time.Duration, message string) {
			at, messages = append(at, elapsed), append(messages, message)
		})
		for range 2 {
			at, messages = nil, nil
			o.call(ctx, "revoke_token", id("pat_2")).failed(tools.CodeNeedsPerson, "is open")
			if fmt.Sprint(at) != "[10s 20s 30s 40s]" || !strings.Contains(messages[0], "Waiting for the user") {
				t.Errorf("progress came at %s: %q", at, messages)
			}
		}
	})
	t.Run("while kenbun is silent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			api := bend.Unserved(bend.Rule{Silent: true})
			f := inNoTime(t, api, api)
			var at []time.Duration
			ctx := tools.WithProgress(t.Context(), func(elapsed time.Duration, _ string) { at = append(at, elapsed) })
			f.callIn(ctx, f.asks("", nil), "list_tokens", `{}`).failed(tools.CodeUnavailable)
			if len(at) < 2 || at[0] != 10*time.Second || at[1] != 20*time.Second {
				t.Errorf("progress came at %s", at)
			}
		})
	})
}

// A user may decide in the last second. What follows has time of its own.
func TestP12_ADecisionLeavesTimeForWhatFollows(t *testing.T) {
	whileOpen(t, func(t *testing.T, o *openCase) {
		o.api.Bend(bend.Rule{Method: "DELETE", Act: true, Delay: 12 * time.Second, Status: 204})
		go func() {
			time.Sleep(44 * time.Second)
			o.user.decision <- nil
		}()
		began := time.Now()
		o.call(t.Context(), "revoke_token", id("pat_2")).failed(tools.CodeOutcomeUnknown, "outcome is not known", "same arguments")
		if took := time.Since(began); took > answeredWithin {
			t.Errorf("the call was answered after %s", took)
		}
		o.call(t.Context(), "revoke_token", id("pat_2")).ok(nil)
	})
}

// leavingSession is a client that can close its end.
type leavingSession struct {
	*legacySession
	gone chan struct{}
}

func (s leavingSession) Gone() <-chan struct{} { return s.gone }

func TestP13_AClientThatClosesItsEndWithdrawsItsQuestions(t *testing.T) {
	for label, when := range map[string]time.Duration{"while the call waits": 10 * time.Second, "after it was answered": time.Minute} {
		t.Run(label, func(t *testing.T) {
			whileOpen(t, func(t *testing.T, o *openCase) {
				session := leavingSession{o.f.asks("", nil), make(chan struct{})}
				time.AfterFunc(when, func() { close(session.gone) })
				ctx := o.f.server.WithContext(t.Context(), session)
				a := o.f.read("revoke_token", o.f.send(ctx, params("revoke_token", id("pat_2"))))
				if when < 45*time.Second {
					a.failed(tools.CodeNeedsPerson, "closed its end", "withdrawn", "was not revoked")
				} else {
					a.failed(tools.CodeNeedsPerson, "is open")
				}
				time.Sleep(when)
				select {
				case o.user.decision <- nil:
					t.Error("the question is still open")
				case <-time.After(time.Hour):
				}
				if len(o.user.taken()) != 1 || o.api.Revoked("pat_2") {
					t.Errorf("%d questions were withdrawn, revoked: %t", len(o.user.taken()), o.api.Revoked("pat_2"))
				}
			})
		})
	}
}

// inHand is a delivery method that gives the value to the user at once.
type inHand struct {
	takes time.Duration
	given int
}

func (*inHand) Method() string { return "in hand" }

func (*inHand) Check(context.Context) error { return nil }

func (h *inHand) Deliver(context.Context, tools.Caller, *client.CreatedToken) (tokens.Receipt, error) {
	time.Sleep(h.takes)
	h.given++
	return tokens.Receipt{Method: "in hand", Note: "Given."}, nil
}

// Each step takes a second, and the client leaves at some time in between.
func TestP13_ATokenThatWasCancelledIsUndoneAndARetryMakesOne(t *testing.T) {
	for tool, arguments := range map[string]string{"create_token": `{"name":"import","expires":"30d"}`, "rotate_token": `{"id":"pat_2"}`} {
		for leaves := 250 * time.Millisecond; leaves < 10*time.Second; leaves += 500 * time.Millisecond {
			t.Run(fmt.Sprint(tool, " after ", leaves), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					api := bend.Unserved(bend.Rule{Delay: time.Second, Shape: func(map[string]any) {}})
					api.Add(bend.Row{"name": "old laptop", "expires_at": time.Now().Add(90 * 24 * time.Hour).UTC().Format(time.RFC3339)})
					road := &inHand{takes: time.Second}
					f := inNoTime(t, api, api, withDeliverer(road))
					ctx, cancel := context.WithTimeout(t.Context(), leaves)
					defer cancel()
					before := len(api.Live())
					first := f.callIn(ctx, f.asksWith(`{}`, agreed), tool, arguments)
					if ctx.Err() != nil && tool == "create_token" && len(api.Live()) != before {
						t.Fatalf("alive are %v after %s", api.Live(), first.raw)
					}
					if len(api.Live()) > before+1 {
						t.Fatalf("alive are %v after %s", api.Live(), first.raw)
					}
					if ctx.Err() == nil || tool != "create_token" {
						return
					}
					f.callIn(t.Context(), f.asksWith(`{}`, agreed), tool, arguments).ok(nil)
					if len(api.Live()) != before+1 {
						t.Errorf("after the retry, alive are %v", api.Live())
					}
				})
			})
		}
	}
}

func TestP12_ATokenThatHasNotReachedItsUserIsMarkedInTheList(t *testing.T) {
	for _, tool := range []string{"create_token", "rotate_token"} {
		t.Run(tool, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := bend.Unserved()
				api.Add(bend.Row{"name": "old laptop", "expires_at": time.Now().Add(90 * 24 * time.Hour).UTC().Format(time.RFC3339)})
				f := inNoTime(t, api, api, withDeliverer(&inHand{takes: 10 * time.Second}))
				made := make(chan struct{})
				go func() {
					defer close(made)
					f.callIn(t.Context(), f.asksWith(`{}`, agreed), tool, everyCall[tool]).ok(nil)
				}()
				time.Sleep(5 * time.Second)
				for arguments, cell := range map[string]string{`{}`: " | waiting for pick-up", `{"status":"all"}`: " | waiting for pick-up"} {
					var list struct{ Tokens []tokens.Row }
					a := f.call("list_tokens", arguments).ok(&list)
					if len(list.Tokens) != 3 || list.Tokens[0].Status != tokens.StatusUnclaimed || strings.Count(a.text(), cell) != 1 {
						t.Errorf("the list is %s", a.raw)
					}
				}
				<-made
				if text := f.call("list_tokens", `{"status":"all"}`).text(); strings.Contains(text, "pick-up") {
					t.Errorf("in the end, the list is %s", text)
				}
			})
		})
	}
}

// counter is a delivery method whose user comes to ask for a token.
type counter struct {
	*inHand
	asks chan error
	open int
}

func (*counter) Waits() time.Duration { return 5 * time.Minute }

func (c *counter) Expect(context.Context, client.NewToken) (tokens.Pickup, error) {
	c.open++
	return &atCounter{counter: c, until: time.Now().Add(5 * time.Minute)}, nil
}

// atCounter is a counter that is open for one token.
type atCounter struct {
	*counter
	until time.Time
}

func (p *atCounter) Until() time.Time { return p.until }

func (p *atCounter) Asked(ctx context.Context) error {
	select {
	case err := <-p.asks:
		return err
	case <-time.After(time.Until(p.until)):
		return errors.New("nobody asked for it")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *atCounter) Close() {}

func TestP12_NothingIsMadeBeforeTheUserIsThereAndTheSameCallJoins(t *testing.T) {
	for _, tool := range []string{"create_token", "rotate_token"} {
		for label, comes := range map[string]error{"the user comes": nil, "the user does not want it": &tools.Error{Code: tools.CodeDeclined, Message: "the user does not want the token"}} {
			t.Run(tool+" "+label, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					api := bend.Unserved()
					api.Add(bend.Row{"name": "old laptop", "expires_at": time.Now().Add(90 * 24 * time.Hour).UTC().Format(time.RFC3339)})
					road := &counter{inHand: &inHand{}, asks: make(chan error)}
					f := inNoTime(t, api, api, withDeliverer(road))
					call := func(ctx context.Context) *answer {
						return f.callIn(ctx, f.asksWith(`{}`, agreed), tool, everyCall[tool])
					}
					for range 2 {
						call(t.Context()).failed(tools.CodeNeedsPerson, "the page for the new token is open", "no token was made", "same arguments")
					}
					if api.Count(http.MethodPost, "/") != 0 || road.open != 1 {
						t.Fatalf("%d tokens were made before the user came, and %d pages opened", api.Count(http.MethodPost, "/"), road.open)
					}
					road.asks <- comes
					synctest.Wait()
					again := call(t.Context())
					if comes != nil {
						again.failed(tools.CodeDeclined, "no token was made")
						return
					}
					again.ok(nil)
					if api.Count(http.MethodPost, "/") != 1 || road.given != 1 {
						t.Errorf("%d tokens were made, %d given", api.Count(http.MethodPost, "/"), road.given)
					}
				})
			})
		}
	}
}

func TestP13_APickupThatIsCancelledLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := bend.Unserved()
		road := &counter{inHand: &inHand{}, asks: make(chan error)}
		f := inNoTime(t, api, api, withDeliverer(road))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		f.callIn(ctx, f.asks("", nil), "create_token", everyCall["create_token"]).failed(tools.CodeUnavailable, "cancelled", "withdrawn", "no token was made")
		select {
		case road.asks <- nil:
			t.Error("the page is still open")
		case <-time.After(time.Hour):
		}
		if api.Count(http.MethodPost, "/") != 0 {
			t.Error("a token was made")
		}
	})
}
