//go:build linux

package deploy_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// load is what several users do at once, and how it went. Reads are tried again
// as a client may that knows them to be reads; changes are not.
type load struct {
	api   *kenbuntest.API
	users []user
	// own are the users as the API knows them.
	own []*client.Caller
	// done counts calls that have ended, inFlight those that have begun.
	done, inFlight atomic.Int64

	mu sync.Mutex
	// reads and changes count calls that were answered.
	reads, changes int
	// retries is how many more reads were sent, refetches how many claims.
	retries, refetches int
	// lostReads are reads that no try answered, failed are changes.
	lostReads, failed []error
	// held are the values of new tokens by name, as their users got them.
	held map[string]string
	// unfetched are the reasons why others were not given out.
	unfetched []error
}

func newLoad(t *testing.T, api *kenbuntest.API, d *deployment) *load {
	t.Helper()
	l := &load{api: api, held: map[string]string{}}
	for _, name := range []string{"ada", "ben", "cleo", "dev"} {
		u := user{d.client(t), api.User(t, name+"@example.com", authority.RoleMember)}
		l.users, l.own = append(l.users, u), append(l.own, api.As(t, u.pat))
	}
	return l
}

// run makes calls, of which every fifth changes something, with 16 at once, until
// there were enough of them and during is done with what it does meanwhile.
func (l *load) run(calls int, during func()) {
	var over atomic.Bool
	var all sync.WaitGroup
	// Also where during ends the test.
	defer all.Wait()
	defer over.Store(true)
	var next atomic.Int64
	for range 16 {
		all.Go(func() {
			for {
				i := int(next.Add(1))
				if i > calls && over.Load() {
					return
				}
				l.inFlight.Add(1)
				if i%5 == 0 {
					l.change(l.users[i%len(l.users)], fmt.Sprintf("made by call %d", i))
				} else {
					l.read(l.users[i%len(l.users)], []string{"list_tokens", "whoami"}[i%2])
				}
				l.inFlight.Add(-1)
				l.done.Add(1)
			}
		})
	}
	during()
}

// waitFor waits until n calls have ended, however long that takes, as long as
// there are ever more.
func (l *load) waitFor(t *testing.T, n int64) {
	t.Helper()
	for done := l.done.Load(); done < n; {
		before := done
		waitUntil(t, "a call has ended", func() bool { done = l.done.Load(); return done > before })
	}
}

// notDone reports whether an answer tells that something on the way failed.
func notDone(err error) bool {
	var f *failure
	return !errors.As(err, &f) || f.status == http.StatusBadGateway || f.status == http.StatusGatewayTimeout || f.status == http.StatusServiceUnavailable
}

func (l *load) read(u user, tool string) {
	_, err := u.call(tool, `{}`)
	retries := 0
	for ; err != nil && notDone(err) && retries < 3; retries++ {
		_, err = u.call(tool, `{}`)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retries += retries
	if err != nil {
		l.lostReads = append(l.lostReads, err)
	} else {
		l.reads++
	}
}

// change has a token made and fetches it. A claim may be asked for again, since
// it is given out once: a second answer tells what became of it.
func (l *load) change(u user, name string) {
	answer, err := u.call("create_token", `{"name":"`+name+`","expires":"7d"}`)
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.failed = append(l.failed, fmt.Errorf("%s: %w", name, err))
		return
	}
	value, err := u.fetch(claimID.FindString(answer))
	again := 0
	for ; err != nil && notDone(err) && again < 3; again++ {
		value, err = u.fetch(claimID.FindString(answer))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes++
	l.refetches += again
	if err != nil {
		l.unfetched = append(l.unfetched, fmt.Errorf("%s: %w", name, err))
		return
	}
	l.held[name] = value
}

// expectNoStray waits until the tokens that live are those that their users
// hold, and sees that none was made twice.
func (l *load) expectNoStray(t *testing.T) (made int) {
	t.Helper()
	var live map[string]int
	waitUntil(t, "only tokens live that somebody holds", func() bool {
		live, made = map[string]int{}, 0
		names := map[string]int{}
		for _, own := range l.own {
			tokens, err := own.ListTokens(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for i := range tokens {
				if tokens[i].Name == "first" {
					continue
				}
				made++
				names[tokens[i].Name]++
				if tokens[i].Status(time.Now()) == client.StatusActive {
					live[tokens[i].Name]++
				}
			}
		}
		for name, n := range names {
			if n > 1 {
				t.Errorf("%s: %d tokens", name, n)
			}
		}
		if len(live) < len(l.held) {
			t.Fatalf("%d tokens live, and %d are held", len(live), len(l.held))
		}
		return len(live) == len(l.held) || t.Failed()
	})
	for name, value := range l.held {
		if live[name] != 1 {
			t.Errorf("%s is held and does not live", name)
		}
		if _, err := l.api.As(t, value).Me(t.Context()); err != nil {
			t.Errorf("%s does not work: %v", name, err)
		}
	}
	return made
}
