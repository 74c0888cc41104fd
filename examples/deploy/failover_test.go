//go:build linux

package deploy_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// unhurried lets the users of a test change more in a minute than people do.
const unhurried = "KENBUN_MAX_CHANGES_PER_MINUTE=0"

func TestReplicas_OneKilledLosesTheCallsInFlightOnItAlone(t *testing.T) {
	api := kenbuntest.Start(t)
	d := newDeployment(t)
	// What nobody fetches is to be revoked while the test waits.
	replica1, replica2 := d.startAll(t, api, unhurried, "KENBUN_CLAIM_LIFETIME=10s")
	l := newLoad(t, api, d)
	var inFlight int64
	l.run(1000, func() {
		l.waitFor(t, 334)
		inFlight = l.inFlight.Load()
		replica1.signal(t, os.Kill)
		<-replica1.ended
	})
	if len(l.lostReads) > 0 {
		t.Errorf("%d reads were lost, the first with %v", len(l.lostReads), l.lostReads[0])
	}
	if int64(len(l.failed)) > inFlight {
		t.Errorf("%d changes failed, and %d calls were in flight: %v", len(l.failed), inFlight, l.failed)
	}
	for _, err := range l.failed {
		if !notDone(err) {
			t.Errorf("a change failed with %v", err)
		}
	}
	// The service manager starts it again, and it sees at each user's first call to
	// what it left behind.
	again := d.startReplica(t, "replica1", unhurried, "KENBUN_API_URL="+api.URL)
	waitUntil(t, "nginx has noticed that it is back", func() bool {
		for _, u := range l.users {
			if _, err := u.call("whoami", `{}`); err != nil {
				t.Fatal(err)
			}
		}
		return calls(again) > 20*len(l.users)
	})
	made := l.expectNoStray(t)
	t.Logf("%d reads (%d tries more), %d tokens made: %d answered and %d held; %d changes failed of %d calls in flight; refetched %d, not given out %v",
		l.reads, l.retries, made, l.changes, len(l.held), len(l.failed), inFlight, l.refetches, l.unfetched)
	if replica2.hasEnded() {
		t.Error("the other replica ended, too")
	}
}

func TestReplicas_RollingRestartFailsNoCall(t *testing.T) {
	api := kenbuntest.Start(t)
	d := newDeployment(t)
	variables := []string{unhurried, "KENBUN_API_URL=" + api.URL}
	replica1, replica2 := d.startAll(t, api, variables...)
	l := newLoad(t, api, d)
	l.run(1000, func() {
		for service, p := range map[string]*process{"replica1": replica1, "replica2": replica2} {
			l.waitFor(t, l.done.Load()+200)
			p.signal(t, syscall.SIGTERM)
			<-p.ended
			if code := p.ProcessState.ExitCode(); code != 0 {
				t.Errorf("%s ended with %d", service, code)
			}
			next := d.startReplica(t, service, variables...)
			waitUntil(t, "nginx has noticed that it is back", func() bool { return calls(next) > 0 })
		}
	})
	for _, errs := range [][]error{l.lostReads, l.failed, l.unfetched} {
		for _, err := range errs {
			t.Error(err)
		}
	}
	if l.retries+l.refetches > 0 {
		t.Errorf("%d reads and %d claims needed another try", l.retries, l.refetches)
	}
	made := l.expectNoStray(t)
	t.Logf("%d reads, %d changes, %d tokens made, %d held", l.reads, l.changes, made, len(l.held))
}
