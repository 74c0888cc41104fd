//go:build linux

package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Replicas count the changes of a user together, whichever token they use, and
// without the store nothing is changed.
func TestA1_ReplicasShareTheChangesOfAUser(t *testing.T) {
	d := newDeployment(t)
	environment := append(d.environment, "KENBUN_MAX_CHANGES_PER_MINUTE=3")
	replicas := []string{startHTTP(t, environment), startHTTP(t, environment)}
	tokens := []string{d.ada, d.api.Token(t, "ada@example.com", "second", nil).Value}
	before := len(d.live(t))
	create := func(replica, pat string, i int) string {
		return postMCP(t, replica, pat, callTool("create_token", fmt.Sprintf(`{"name":"token %d","expires":"7d"}`, i)))
	}
	var mu sync.Mutex
	made, held := 0, 0
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			answer := create(replicas[i%2], tokens[i/2%2], i)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case claimID.MatchString(answer):
				made++
			case strings.Contains(answer, "rate_limited: the operator of this server allows 3 changes a minute"):
				held++
			default:
				t.Errorf("a call is answered with %s", answer)
			}
		})
	}
	all.Wait()
	if made != 3 || held != 9 || len(d.live(t)) != before+3 {
		t.Errorf("%d tokens were made and %d calls held back", made, held)
	}
	// Another user has changes of their own.
	if answer := create(replicas[0], d.ben, 0); !claimID.MatchString(answer) {
		t.Errorf("another user is answered with %s", answer)
	}
	for name := range strings.Lines(d.redis.Dump(t)) {
		if strings.Contains(name, "changes:") && (strings.Contains(name, "ada@") || strings.Contains(name, d.ada[:16])) {
			t.Errorf("the store names the user: %s", name)
		}
	}
	inline := startHTTP(t, append(d.environment, "KENBUN_DELIVER=inline")) // only the count needs Redis
	d.redis.Stop()
	if answer := create(inline, d.ben, 1); !strings.Contains(answer, "unavailable: the user's changes cannot be counted") {
		t.Errorf("without Redis a call is answered with %s", answer)
	}
}
