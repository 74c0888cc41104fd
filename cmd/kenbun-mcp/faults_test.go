package main

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// faultyCalls is what came of calls under faults.
type faultyCalls struct {
	mu     sync.Mutex
	counts map[string]int
	// doubtful are the names of creates that say that a token may be live.
	doubtful map[string]bool
}

func (c *faultyCalls) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what]++
}

// 2,000 calls through the client, to the program with all faults at once. No
// create leaves a live token that nobody holds, or two, unless it says that it
// cannot know, and no failure is told as something that it is not.
func TestN4_ClientGetsOverFaults(t *testing.T) {
	const users, workersEach, callsEach = 10, 20, 10
	store := "sqlite:" + filepath.Join(t.TempDir(), "data", "kenbun.db")
	sound := kenbuntest.StartOn(t, store) // the same store, without faults
	faulty := startAuthority(t, kenbuntest.Environment(t), "--store", store, "--token-limit", "100000", "--fault-seed", "20260328",
		"--fault", "503:5%", "--fault", "429:3%", "--fault", "500:2%", "--fault", "drop-answer:5%", "--fault", "latency:2ms")

	calls := &faultyCalls{counts: map[string]int{}, doubtful: map[string]bool{}}
	api, err := client.New(client.WithBaseURL(faulty.url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.CloseIdleConnections)
	var work sync.WaitGroup
	pats := map[string]string{}
	var held sync.Map // the name of each token that a caller holds, and its id
	for u := range users {
		email := fmt.Sprintf("user%d@example.com", u)
		pats[email] = sound.User(t, email, authority.RoleMember)
		caller := api.As(client.Credential{PAT: client.NewSecret(pats[email])})
		for w := range workersEach {
			work.Go(func() {
				calls.make(t, caller, fmt.Sprintf("user %d worker %d", u, w), callsEach, &held)
			})
		}
	}
	work.Wait()

	live, twins := 0, 0
	for _, pat := range pats {
		tokens, err := sound.As(t, pat).ListTokens(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		liveByName := map[string]string{}
		for _, token := range tokens {
			if token.Status(time.Now()) != client.StatusActive || token.Name == "first" {
				continue
			}
			live++
			if liveByName[token.Name] != "" {
				twins++
				t.Errorf("two live tokens are named %q", token.Name)
			}
			liveByName[token.Name] = token.ID
			id, isHeld := held.Load(token.Name)
			if (!isHeld || id != token.ID) && !calls.doubtful[token.Name] {
				t.Errorf("the token %q lives and nobody holds it", token.Name)
			}
		}
	}
	total := 0
	for _, n := range calls.counts {
		total += n
	}
	if total != users*workersEach*callsEach {
		t.Errorf("%d calls were counted, want %d", total, users*workersEach*callsEach)
	}
	t.Logf("%d calls: %v; %d tokens live, %d twins", total, calls.counts, live, twins)
	checkFaultLog(t, faulty.stop())
}

// make makes calls of all kinds and checks what each of them says.
func (c *faultyCalls) make(t *testing.T, caller *client.Caller, name string, times int, held *sync.Map) {
	var mine []*client.CreatedToken
	for i := range times {
		switch kind := i % 5; {
		case kind == 0:
			_, err := caller.ListTokens(t.Context())
			c.settle(t, "list", err)
		case kind == 1:
			_, err := caller.Me(t.Context())
			c.settle(t, "me", err)
		case kind == 4 && len(mine) > 0:
			token := mine[0]
			mine = mine[1:]
			c.settle(t, "revoke", caller.RevokeToken(t.Context(), token.ID))
		default:
			wanted := fmt.Sprintf("%s call %d", name, i)
			token, err := caller.CreateToken(t.Context(), client.NewToken{Name: wanted})
			c.settle(t, "create", err)
			if err == nil {
				held.Store(wanted, token.ID)
				mine = append(mine, token)
			} else if errors.Is(err, client.ErrOutcomeUnknown) {
				c.mu.Lock()
				c.doubtful[wanted] = true
				c.mu.Unlock()
			}
		}
	}
}

// settle counts a call by what it says, which has to be one of what the faults
// can lead to.
func (c *faultyCalls) settle(t *testing.T, what string, err error) {
	var create *client.CreateError
	switch {
	case err == nil:
		c.count(what + " done")
	case errors.As(err, &create):
		c.count(what + " " + string(create.Outcome))
	case errors.Is(err, client.ErrUnavailable), errors.Is(err, client.ErrRateLimited):
		c.count(what + " not done for now")
	default:
		c.count(what + " wrong")
		t.Errorf("%s: no fault leads to this: %v", what, err)
	}
}

// checkFaultLog counts the faults that the server tells of.
func checkFaultLog(t *testing.T, log []string) {
	t.Helper()
	announced, requests, faults := false, 0, map[string]int{}
	for _, line := range log {
		if strings.Contains(line, "FAULTS ON DEMAND") && strings.Contains(line, "seed=20260328") {
			announced = true
		}
		if !strings.Contains(line, "msg=request") {
			continue
		}
		requests++
		if _, rest, found := strings.Cut(line, " fault="); found {
			fault, _, _ := strings.Cut(rest, " ")
			faults[fault]++
		}
	}
	for fault, share := range map[string]float64{"503": 0.05, "429": 0.03, "500": 0.02, "drop-answer": 0.05} {
		expected, n := share*float64(requests), float64(faults[fault])
		if math.Abs(n-expected) > 5*math.Sqrt(expected) {
			t.Errorf("%d of %d requests met %s, expected about %.0f", faults[fault], requests, fault, expected)
		}
	}
	if !announced || len(faults) != 4 {
		t.Errorf("announced: %t, faults %v", announced, faults)
	}
	t.Logf("%d requests, faults %v", requests, faults)
}

// The embedded API has the same faults, so that automation over stdio can be
// tried.
func TestN4_EmbeddedFaultsReachTheAssistantInTheRightWords(t *testing.T) {
	for fault, says := range map[string]string{"503:100%": "unavailable: ", "429:100%": "rate_limited: ", "drop-answer:100%": "unavailable: "} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			got := runProgram(t, kenbuntest.Environment(t), initialize+toolCall(2, "list_tokens", `{}`),
				"stdio", "--embedded", "--embedded-store", "memory", "--embedded-fault", fault)
			result := resultOf(t, answers(t, got.stdout)["2"])
			if !result.IsError || !strings.HasPrefix(result.text(), says) {
				t.Errorf("the assistant is told %q, want %q", result.text(), says)
			}
			if !strings.Contains(got.stderr, "FAULTS ON DEMAND") {
				t.Errorf("the log does not say so: %s", got.stderr)
			}
		})
	}
}
