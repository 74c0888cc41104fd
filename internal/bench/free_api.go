package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// The budgets before an API that costs nothing, beside a bare mcp-go server.
const (
	minFreeThroughput = 0.85
	maxFreeCPU        = 1.3
	freeRounds        = 7
	freeRound         = 1500 * time.Millisecond
)

// era is one of the forms of the protocol.
type era struct {
	name    string
	request func(ctx context.Context, url, pat, session string) (*http.Request, error)
	line    string // over stdio
}

var eras = []era{
	{"handshake", sessionRequest, listTokens},
	{"2026-07-28", func(ctx context.Context, url, pat, _ string) (*http.Request, error) {
		return toolRequest(ctx, url, pat)
	}, statelessCall},
}

// freeAPI answers the list with the first token that the API once listed, and everything
// else through the API.
func freeAPI(ctx context.Context, api *api) (*httptest.Server, error) {
	all, err := api.list(ctx)
	if err != nil {
		return nil, err
	}
	var tokens []json.RawMessage
	if err := json.Unmarshal(all, &tokens); err != nil {
		return nil, err
	}
	list, err := json.Marshal(tokens[:1])
	if err != nil {
		return nil, err
	}
	target, err := url.Parse(api.url)
	if err != nil {
		return nil, err
	}
	rest := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/settings/tokens" {
			rest.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(list) // a client that is gone is none of its business
	})), nil
}

// contest compares two servers, which are measured in turn.
type contest struct {
	what        string
	ours, their rival
	ourRates    []float64
	theirRates  []float64
}

// rival is a server in a contest.
type rival struct {
	pid  int
	rate func() (calls int64, rate float64, err error)

	calls int64
	cpu   time.Duration
}

func (r *rival) round() (float64, error) {
	before, err := cpuOf(r.pid)
	if err != nil {
		return 0, err
	}
	calls, rate, err := r.rate()
	if err != nil {
		return 0, err
	}
	after, err := cpuOf(r.pid)
	r.calls, r.cpu = r.calls+calls, r.cpu+after-before
	return rate, err
}

func (c *contest) run() ([]row, error) {
	for round := range freeRounds + 1 {
		if round == 1 { // the first round warms up
			c.ours.calls, c.ours.cpu, c.their.calls, c.their.cpu = 0, 0, 0, 0
		}
		our, err := c.ours.round()
		if err != nil {
			return nil, err
		}
		their, err := c.their.round()
		if err != nil {
			return nil, err
		}
		if round > 0 {
			c.ourRates, c.theirRates = append(c.ourRates, our), append(c.theirRates, their)
		}
	}
	our, their := at(c.ourRates, 0.5), at(c.theirRates, 0.5)
	ourCPU, theirCPU := c.ours.cpu/time.Duration(c.ours.calls), c.their.cpu/time.Duration(c.their.calls)
	share, cost := our/their, float64(ourCPU)/float64(theirCPU)
	return []row{
		{
			what:      c.what,
			measured:  fmt.Sprintf("%.0f calls/s = %.0f %%", our, share*100),
			reference: fmt.Sprintf("bare mcp-go %.0f/s", their),
			budget:    fmt.Sprintf(">= %.0f %%", minFreeThroughput*100),
			kept:      share >= minFreeThroughput,
		},
		{
			what:      "the same, CPU a call",
			measured:  fmt.Sprintf("%s = %.2f x", milliseconds(ourCPU), cost),
			reference: "bare mcp-go " + milliseconds(theirCPU),
			budget:    fmt.Sprintf("<= %.1f x", maxFreeCPU),
			kept:      cost <= maxFreeCPU,
		},
	}, nil
}

// measureFree compares the server with a bare one before an API that costs nothing.
func measureFree(ctx context.Context, ours, bare string, api *api) (_ []row, err error) {
	free, err := freeAPI(ctx, api)
	if err != nil {
		return nil, err
	}
	defer free.Close()
	environment := []string{"KENBUN_API_URL=" + free.URL, "HOME=" + os.TempDir()}
	ourHTTP, err := startListening(ctx, environment, ours, "http", "--listen", "127.0.0.1:0", "--log-level", "warn", "--rate-limit", "0", "--rate-limit-address", "0")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ourHTTP.stop()) }()
	bareHTTP, err := startListening(ctx, environment, bare, "http")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, bareHTTP.stop()) }()
	var rows []row
	for _, era := range eras {
		c := contest{what: fmt.Sprintf("http, %s, free API, %d callers", era.name, httpCallers)}
		for server, rival := range map[*listening]*rival{ourHTTP: &c.ours, bareHTTP: &c.their} {
			session, err := startSession(ctx, server.url, api.pat)
			if err != nil {
				return nil, err
			}
			kind := httpKind{era.name, func() (*http.Request, error) { return era.request(ctx, server.url, api.pat, session) }, `"content"`}
			rival.pid = server.command.Process.Pid
			rival.rate = func() (int64, float64, error) { return kind.rate(ctx, freeRound) }
		}
		found, err := c.run()
		if err != nil {
			return nil, err
		}
		rows = append(rows, found...)
	}
	for _, era := range eras {
		c := contest{what: fmt.Sprintf("stdio, %s, free API, one by one", era.name)}
		for binary, rival := range map[string]*rival{ours: &c.ours, bare: &c.their} {
			var arguments []string
			if binary == ours {
				arguments = []string{"stdio"}
			}
			p, err := start(ctx, binary, append(environment, "KENBUN_PAT="+api.pat), arguments...)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, p.stop()) }()
			if era.line == listTokens {
				if _, err := p.ask(initialize); err != nil {
					return nil, err
				}
			}
			rival.pid = p.command.Process.Pid
			rival.rate = func() (int64, float64, error) { return p.rate(era.line, freeRound) }
		}
		found, err := c.run()
		if err != nil {
			return nil, err
		}
		rows = append(rows, found...)
	}
	return rows, nil
}

// rate asks the same again and again.
func (p *process) rate(line string, round time.Duration) (calls int64, rate float64, err error) {
	began := time.Now()
	for time.Since(began) < round {
		if _, err := p.ask(line); err != nil {
			return 0, 0, err
		}
		calls++
	}
	return calls, float64(calls) / time.Since(began).Seconds(), nil
}

// startSession returns the id of a new session.
func startSession(ctx context.Context, url, pat string) (string, error) {
	r, err := sessionRequest(ctx, url, pat, "")
	if err != nil {
		return "", err
	}
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(initialize)), int64(len(initialize))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return response.Header.Get("Mcp-Session-Id"), errors.Join(err, response.Body.Close())
}

func sessionRequest(ctx context.Context, url, pat, session string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/mcp", strings.NewReader(listTokens))
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer " + pat, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Protocol-Version": "2025-11-25", "Mcp-Session-Id": session,
	} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	return r, nil
}

// cpuOf returns the processor time that a process has used, on Linux, where a tick is
// a hundredth of a second.
func cpuOf(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("processor time is measured on Linux only: %w", err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return 0, errors.New("the system does not show the processor time")
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, err
}
