package claims_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human/claims"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/audit"
)

// auditBook is an audit log in memory.
type auditBook struct {
	mu     sync.Mutex
	lines  []string
	closed bool
}

func (b *auditBook) Ready() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errors.New("the disk is full")
	}
	return nil
}

func (b *auditBook) Record(entry audit.Entry) {
	line, err := json.Marshal(entry)
	if err != nil {
		panic(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, string(line))
}

func (b *auditBook) close(closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = closed
}

// take returns the entries since it was last called, in short.
func (b *auditBook) take(t *testing.T, id string, created *client.CreatedToken) string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var told []string
	for _, line := range b.lines {
		var e struct {
			Time, Caller, Action, Target, Name, Claim, Owner, Because, Outcome, Left string
			RequestID                                                                string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Target != created.ID || e.Name != created.Name || e.Claim != id || e.Time == "" {
			t.Errorf("the entry is about something else: %s", line)
		}
		if secret := created.Value.Reveal()[16:]; strings.Contains(line, secret) {
			t.Error("the entry holds the value")
		}
		told = append(told, strings.Join(strings.Fields(fmt.Sprint(e.Caller, ": ", e.Action, " ", e.Owner, " ", e.Because, " ", e.RequestID, " ", e.Outcome, ", ", e.Left)), " "))
	}
	b.lines = nil
	return strings.Join(told, "; ")
}

func (r *replicas) expectAudit(t *testing.T, id string, created *client.CreatedToken, want ...string) {
	t.Helper()
	if got := r.audit.take(t, id, created); got != strings.Join(want, "; ") {
		t.Errorf("the audit log holds %q, want %q", got, strings.Join(want, "; "))
	}
}

func TestR34_WhatBecomesOfAClaimIsInTheAuditLog(t *testing.T) {
	eachKind(t, func(t *testing.T, r *replicas) {
		created, id := r.deliver(t, r.here, r.ada, "nightly")
		r.expectAudit(t, id, created)

		ctx := tools.WithRequestID(t.Context(), "REQUEST")
		if _, err := r.there.Fetch(ctx, id, r.ben); !errors.Is(err, claims.ErrNoClaim) {
			t.Fatal(err)
		}
		r.expectAudit(t, id, created, "ben's id: fetch ada's id REQUEST forbidden, waiting")

		dead := tools.Caller{ID: r.ada.ID, API: r.api.As(t, "kbn"+"_pat_"+strings.Repeat("a", 46))}
		if _, err := r.there.Fetch(ctx, id, dead); !errors.Is(err, client.ErrUnauthenticated) {
			t.Fatal(err)
		}
		r.expectAudit(t, id, created, "ada's id: fetch REQUEST unauthenticated, waiting")

		if _, err := r.there.Fetch(ctx, id, r.ada); err != nil {
			t.Fatal(err)
		}
		r.expectAudit(t, id, created, "ada's id: fetch REQUEST done, live")

		_, err := r.here.Fetch(ctx, id, r.ada)
		wantGone(t, err, claims.GoneFetched)
		r.expectAudit(t, id, created, "ada's id: fetch REQUEST not_found, unknown", "ada's id: revoke fetched_twice REQUEST done, revoked")

		_, err = r.here.Fetch(ctx, id, r.ada)
		wantGone(t, err, claims.GoneFetched)
		r.expectAudit(t, id, created, "ada's id: fetch REQUEST not_found, revoked")
	})
}

func TestR34_TokensThatNobodyFetchedAreInTheAuditLog(t *testing.T) {
	eachKind(t, func(t *testing.T, r *replicas) {
		created, id := r.deliver(t, r.here, r.ada, "x")
		r.pass(claims.MaxLifetime)
		if err := r.brokenAPI(t).SweepDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.expectAudit(t, id, created, "ada's id: revoke never_fetched unavailable, unknown")
		r.pass(time.Hour)
		sweep(t, r.there, "the token is revoked", func() bool { return !r.works(t, created.Value) })
		r.expectAudit(t, id, created, "ada's id: revoke never_fetched done, revoked")

		// Its owner is faster than the sweep.
		created, id = r.deliver(t, r.here, r.ada, "x")
		r.pass(claims.MaxLifetime)
		_, err := r.there.Fetch(t.Context(), id, r.ada)
		wantGone(t, err, claims.GoneExpired)
		r.expectAudit(t, id, created, "ada's id: fetch not_found, waiting", "ada's id: revoke never_fetched done, revoked")

		// Its owner revoked it, which the list would show and the token itself cannot.
		created, id = r.deliver(t, r.here, r.ada, "x")
		if err := r.ada.API.RevokeToken(t.Context(), created.ID); err != nil {
			t.Fatal(err)
		}
		r.pass(claims.MaxLifetime)
		if err := r.here.SweepDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.expectAudit(t, id, created, "ada's id: revoke never_fetched outcome_unknown, unknown")
	})
}

func TestR34_TokenThatWasNotHandedOverIsInTheAuditLog(t *testing.T) {
	r := newReplicas(t, nil)
	created, id := r.deliver(t, r.here, r.ada, "x")
	claimed, err := r.here.Fetch(t.Context(), id, r.ada)
	if err != nil {
		t.Fatal(err)
	}
	r.here.TakeBack(t.Context(), id, claimed, r.ada)
	r.expectAudit(t, id, created, "ada's id: fetch done, live", "ada's id: revoke not_handed_over done, revoked")
}

func TestR34_NothingIsGivenOutThatCannotBeWrittenDown(t *testing.T) {
	r := newReplicas(t, nil)
	created, id := r.deliver(t, r.here, r.ada, "x")
	r.audit.close(true)
	if _, err := r.here.Fetch(t.Context(), id, r.ada); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("with the audit log closed: %v", err)
	}
	r.expectAudit(t, id, created)
	r.audit.close(false)
	if claimed, err := r.here.Fetch(t.Context(), id, r.ada); err != nil || !claimed.Value.Equal(created.Value) {
		t.Errorf("then its owner gets %v, %v", claimed, err)
	}
	r.audit.close(true)
	// What is for safety's sake is not put off.
	_, err := r.here.Fetch(t.Context(), id, r.ada)
	wantGone(t, err, claims.GoneFetched)
	if r.works(t, created.Value) {
		t.Error("after a second try it works")
	}
}
