package authority

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/authority/exchange"
	"github.com/kenbun/kenbun-mcp/internal/authority/store"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/postgres"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/size"
)

// newNodes opens several authorities on one PostgreSQL database. They share
// nothing else but the pepper.
func newNodes(t *testing.T, store string, n int) []*fixture {
	t.Helper()
	nodes := make([]*fixture, n)
	for i := range nodes {
		nodes[i] = newFixture(t, Config{Store: store, TokenLimit: 10_000, Now: time.Now})
		waitUntilHearing(t, nodes[i].Authority)
	}
	return nodes
}

func waitUntil(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func waitUntilHearing(t *testing.T, a *Authority) {
	t.Helper()
	waitUntil(t, "a node hears", a.store.AnswersFromCache)
}

// remembered is how many credentials a node remembers.
func (a *Authority) remembered() int { return a.store.CacheSize() }

// accepted tells whether a node accepts a token, without a socket between.
func (f *fixture) accepted(ctx context.Context, value string) bool {
	f.t.Helper()
	got := record(f.Handler(), "GET", "/me", bearer(value))
	if got.status != http.StatusOK && got.status != http.StatusUnauthorized {
		f.t.Errorf("GET /me: %d %s", got.status, got.shown())
	}
	return got.status == http.StatusOK
}

// A revocation by one node counts on all others within a second of its answer.
// The nodes hold the token in memory at that moment, which is the hard case.
func TestN5_RevocationReachesAllNodes(t *testing.T) {
	revocations := size.Of(10, 100, 1000)
	nodes := newNodes(t, newPostgres(t), 3)
	nodes[0].user("ada@example.com", RoleMember)
	member, err := nodes[0].Member(t.Context(), "ada@example.com", "")
	if err != nil {
		t.Fatal(err)
	}
	var late atomic.Int32
	var delays []time.Duration
	for i := range revocations {
		revoker := nodes[i%len(nodes)]
		victim := revoker.token("ada@example.com", "victim")
		for _, node := range nodes {
			if !node.accepted(t.Context(), victim.Value) {
				t.Fatal("a new token is not accepted")
			}
		}
		if err := revoker.Revoke(t.Context(), member.ID, victim.ID); err != nil {
			t.Fatal(err)
		}
		revoked := time.Now()
		if revoker.accepted(t.Context(), victim.Value) {
			t.Fatal("accepted by the node that revoked it")
		}
		var others sync.WaitGroup
		var longest atomic.Int64
		for _, node := range nodes {
			others.Go(func() {
				for {
					started := time.Since(revoked)
					if !node.accepted(t.Context(), victim.Value) {
						return
					}
					if started > time.Second {
						late.Add(1)
						return
					}
					for {
						seen := longest.Load()
						if int64(started) <= seen || longest.CompareAndSwap(seen, int64(started)) {
							break
						}
					}
				}
			})
		}
		others.Wait()
		delays = append(delays, time.Duration(longest.Load()))
	}
	slices.Sort(delays)
	t.Logf("%d revocations, the last yes of any node started after the answer: p50 %s, p99 %s, worst %s",
		revocations, delays[len(delays)/2], delays[len(delays)*99/100], delays[len(delays)-1])
	if late.Load() > 0 {
		t.Errorf("%d times a node accepted a revoked token after a second", late.Load())
	}
}

// All that may turn a yes into a no reaches the other nodes.
func TestN5_EveryChangeReachesAllNodes(t *testing.T) {
	nodes := newNodes(t, newPostgres(t), 2)
	one, two := nodes[0], nodes[1]
	issued := one.user("ada@example.com", RoleAdmin)
	member, err := one.Member(t.Context(), "ada@example.com", "")
	if err != nil {
		t.Fatal(err)
	}
	role := func(f *fixture) string {
		return decode[map[string]any](t, f.send("GET", "/me", "", bearer(issued.Value)))["role"].(string)
	}
	ctx := t.Context()
	for name, c := range map[string]struct {
		change, undo func() error
		counts       func() bool
	}{
		"suspension": {
			func() error { return one.Suspend(ctx, member.ID) }, func() error { return one.Restore(ctx, member.ID) },
			func() bool { return !two.works(issued.Value) },
		},
		"role": {
			func() error { return one.SetRole(ctx, member.ID, RoleViewer) }, func() error { return one.SetRole(ctx, member.ID, RoleAdmin) },
			func() bool { return role(two) == "viewer" },
		},
		"removal": {
			func() error { return one.RemoveMember(ctx, member.ID, DefaultOrganization) },
			func() error { return one.AddMember(ctx, member.ID, DefaultOrganization, RoleAdmin) },
			func() bool { return !two.works(issued.Value) },
		},
		"end": {
			func() error {
				got := one.send("PATCH", "/settings/tokens/"+issued.ID, `{"permissions": ["read:tokens"]}`, bearer(issued.Value))
				if got.status != http.StatusOK {
					return fmt.Errorf("status %d", got.status)
				}
				return nil
			}, nil,
			func() bool {
				return two.send("POST", "/settings/tokens", `{"name": "x"}`, bearer(issued.Value)).status == http.StatusForbidden
			},
		},
	} {
		if name == "end" {
			defer func() { // last, since it cannot be undone
				if err := c.change(); err != nil {
					t.Fatal(err)
				}
				within(t, name, time.Second, c.counts)
			}()
			continue
		}
		if !two.works(issued.Value) || c.counts() {
			t.Fatalf("%s counts before it was made", name)
		}
		if err := c.change(); err != nil {
			t.Fatal(err)
		}
		within(t, name, time.Second, c.counts)
		if err := c.undo(); err != nil {
			t.Fatal(err)
		}
		within(t, name+" undone", time.Second, func() bool { return two.works(issued.Value) && !c.counts() })
	}
}

func within(t *testing.T, what string, limit time.Duration, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; {
		last := time.Now().After(deadline)
		if is() {
			return
		}
		if last {
			t.Fatalf("%s does not count after %s", what, limit)
		}
	}
}

// A node whose listener is lost believes nothing that it remembers.
func TestN5_NodeThatCannotHearAsksTheDatabase(t *testing.T) {
	address := newPostgres(t)
	way := newGate(t, address)
	pepperFile, _ := pepperFiles.Load(address)
	deaf := newFixture(t, Config{Store: address, PepperFile: pepperFile.(string), Now: time.Now, TokenLimit: 1000})
	other := newFixture(t, Config{Store: address, Now: time.Now, TokenLimit: 1000})
	issued := other.user("ada@example.com", RoleMember)
	member, err := other.Member(t.Context(), "ada@example.com", "")
	if err != nil {
		t.Fatal(err)
	}
	// The listener of the one node goes through a gate; its requests do not.
	location, err := store.ParseLocation(way.store)
	if err != nil {
		t.Fatal(err)
	}
	deaf.store.ListenAt(location, deaf.api.Gateway.Log)
	for name, cut := range map[string]func(){"cut off": way.cut, "silent": way.mute} {
		t.Run(name, func(t *testing.T) {
			way.open()
			waitUntilHearing(t, deaf.Authority)
			victim := other.token("ada@example.com", "victim")
			waitUntil(t, "the node remembers the token", func() bool {
				deaf.works(victim.Value)
				return deaf.remembered() > 0
			})
			cut()
			if err := other.Revoke(t.Context(), member.ID, victim.ID); err != nil {
				t.Fatal(err)
			}
			revoked := time.Now()
			for time.Since(revoked) < 3*time.Second {
				started := time.Since(revoked)
				if deaf.works(victim.Value) && started > time.Second {
					t.Fatalf("accepted %s after it was revoked", started)
				}
				if !deaf.works(issued.Value) {
					t.Fatal("a good token is refused")
				}
			}
			if deaf.store.AnswersFromCache() {
				t.Error("it answers from memory")
			}
		})
	}
	way.open()
	waitUntilHearing(t, deaf.Authority)
	if !strings.Contains(deaf.log.String(), "cannot be heard") || !strings.Contains(deaf.log.String(), "heard again") {
		t.Error("the log does not tell of it")
	}
}

// The listener's connection is ended by the server itself, again and again.
func TestN5_NothingIsMissedWhileTheListenerIsKilled(t *testing.T) {
	store := newPostgres(t)
	nodes := newNodes(t, store, 2)
	nodes[0].user("ada@example.com", RoleMember)
	member, err := nodes[0].Member(t.Context(), "ada@example.com", "")
	if err != nil {
		t.Fatal(err)
	}
	admin, err := pgx.Connect(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := admin.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	for range 50 {
		victim := nodes[0].token("ada@example.com", "victim")
		nodes[1].accepted(t.Context(), victim.Value)
		if _, err := admin.Exec(t.Context(), `
			SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND (query LIKE 'SELECT epoch FROM %' OR query LIKE 'LISTEN %')`); err != nil {
			t.Fatal(err)
		}
		if err := nodes[0].Revoke(t.Context(), member.ID, victim.ID); err != nil {
			t.Fatal(err)
		}
		within(t, "the revocation", time.Second, func() bool { return !nodes[1].accepted(t.Context(), victim.Value) })
	}
}

// A node without its database says so, and lets nobody in.
func TestN4_WithoutItsDatabase(t *testing.T) {
	server := postgres.New(t)
	store := server.Database(t)
	f := newFixture(t, Config{Store: store, PepperFile: t.TempDir() + "/pepper", Now: time.Now})
	issued := f.user("ada@example.com", RoleMember)
	waitUntilHearing(t, f.Authority)
	if !f.works(issued.Value) {
		t.Fatal("the token does not work")
	}
	server.Stop(t)
	stopped := time.Now()
	for time.Since(stopped) < 700*time.Millisecond {
		f.send("GET", "/me", "", bearer(issued.Value))
	}
	for _, request := range [][2]string{{"GET", "/me"}, {"GET", "/settings/tokens"}, {"POST", "/settings/tokens"}, {"DELETE", "/settings/tokens/" + issued.ID}, {"GET", "/healthz"}} {
		body := ""
		if request[0] == "POST" {
			body = `{"name": "x"}`
		}
		got := f.send(request[0], request[1], body, bearer(issued.Value))
		wantProblem(t, got, http.StatusServiceUnavailable, "unavailable")
		if got.header.Get("Retry-After") == "" {
			t.Errorf("%s %s: no Retry-After", request[0], request[1])
		}
	}
	server.Start(t)
	waitUntil(t, "the node has its database again", func() bool {
		return f.send("GET", "/me", "", bearer(issued.Value)).status == http.StatusOK
	})
	if n := len(f.list(issued.Value)); n != 1 {
		t.Errorf("%d tokens", n)
	}
	if strings.Contains(f.log.String(), server.Password()) {
		t.Error("the log holds the password")
	}
}

// A database that answers nothing, as behind a network that drops packets, is
// not waited for without end, by requests or by the end of the node.
func TestN4_WithASilentDatabase(t *testing.T) {
	store := newPostgres(t)
	way := newGate(t, store)
	pepperFile, _ := pepperFiles.Load(store)
	f := newFixture(t, Config{Store: way.store, PepperFile: pepperFile.(string), Now: time.Now})
	issued := f.user("ada@example.com", RoleMember)
	way.mute()
	muted := time.Now()
	waitUntil(t, "the node does not answer from memory", func() bool { return !f.store.AnswersFromCache() })
	got := f.send("GET", "/me", "", bearer(issued.Value))
	wantProblem(t, got, http.StatusServiceUnavailable, "unavailable")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(muted); took > domain.VerifyTimeout+2*5*time.Second+patience {
		t.Errorf("the answer and the end took %s", took)
	}
}

// TestN4_NothingWaitsWithoutEndForASilentDatabase asks for what is answered
// before anybody is verified, and for a page of a session that is remembered.
func TestN4_NothingWaitsWithoutEndForASilentDatabase(t *testing.T) {
	store := newPostgres(t)
	way := newGate(t, store)
	pepperFile, _ := pepperFiles.Load(store)
	f := newWebFixture(t, Config{Store: way.store, PepperFile: pepperFile.(string), Now: time.Now})
	f.user("ada@example.com", RoleMember)
	link, visit := f.link("ada@example.com"), f.visit("ada@example.com")
	waitUntilHearing(t, f.Authority)
	wantStatus(t, visit.get("/web/tokens"), http.StatusOK) // and is remembered
	way.mute()
	ctx, cancel := context.WithTimeout(t.Context(), exchange.RequestTimeout+patience)
	defer cancel()
	var requests sync.WaitGroup
	for _, c := range [][]string{{"GET", "/healthz", ""}, {"GET", link, ""}, {"POST", link, "x=", formType}, {"GET", "/web/tokens", "", "Cookie: " + visit.cookie}} {
		requests.Go(func() {
			got, err := f.trySend(ctx, c[0], c[1], c[2], c[3:]...)
			if err != nil || got.status != http.StatusServiceUnavailable {
				t.Errorf("%s %.20s: status %d, %v", c[0], c[1], got.status, err)
			}
		})
	}
	requests.Wait()
}
