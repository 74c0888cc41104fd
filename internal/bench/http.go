package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	httpCallers   = 16
	httpRounds    = 5
	httpRound     = 2 * time.Second
	minThroughput = 0.50 // of a bare reverse proxy's
)

// listening is a program that serves HTTP on a port that it chose itself.
type listening struct {
	command *exec.Cmd
	in      io.WriteCloser
	log     sync.WaitGroup
	url     string
}

var addressInLog = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// startListening starts a program that tells its address on standard error.
func startListening(ctx context.Context, environment []string, binary string, arguments ...string) (*listening, error) {
	l := &listening{command: exec.CommandContext(ctx, binary, arguments...)}
	l.command.Env = environment
	var err error
	if l.in, err = l.command.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := l.command.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := l.command.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(output)
	for l.url == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s did not begin to serve: %w", binary, err), l.command.Wait())
		}
		l.url = addressInLog.FindString(line)
	}
	l.log.Go(func() { _, _ = io.Copy(io.Discard, lines) }) // it ends with the program
	return l, nil
}

func (l *listening) stop() error {
	err := errors.Join(l.in.Close(), l.command.Process.Signal(os.Interrupt))
	l.log.Wait()
	var exit *exec.ExitError
	if waited := l.command.Wait(); waited != nil && !errors.As(waited, &exit) {
		err = errors.Join(err, waited)
	}
	return err
}

// measureHTTP has 16 callers make calls for rounds of two seconds, in turn
// through the server and through a bare reverse proxy, to the same endpoint of
// the same API.
func measureHTTP(ctx context.Context, ours, proxy string, api *api) (_ []row, err error) {
	home := "HOME=" + os.TempDir()
	server, err := startListening(ctx, []string{"KENBUN_API_URL=" + api.url, home}, ours, "http", "--listen", "127.0.0.1:0", "--log-level", "warn", "--rate-limit", "0", "--rate-limit-address", "0")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	bare, err := startListening(ctx, []string{"KENBUN_API_URL=" + api.url, home}, proxy)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, bare.stop()) }()

	kinds := []httpKind{
		{"direct", func() (*http.Request, error) { return apiRequest(ctx, api.url, api.pat) }, ""},
		{"proxy", func() (*http.Request, error) { return apiRequest(ctx, bare.url, api.pat) }, ""},
		{"2026-07-28", func() (*http.Request, error) { return toolRequest(ctx, server.url, api.pat) }, `"structuredContent"`},
	}
	rates := map[string][]float64{}
	for round := range httpRounds + 1 {
		for _, kind := range kinds {
			_, rate, err := kind.rate(ctx, httpRound)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", kind.name, err)
			}
			if round > 0 { // the first round warms up
				rates[kind.name] = append(rates[kind.name], rate)
			}
		}
	}
	median := func(name string) float64 {
		sorted := slices.Sorted(slices.Values(rates[name]))
		return sorted[len(sorted)/2]
	}
	share := median("2026-07-28") / median("proxy")
	return []row{{
		what:      fmt.Sprintf("http: a tool call with one API call, %d callers", httpCallers),
		measured:  fmt.Sprintf("%.0f calls/s = %.0f %%", median("2026-07-28"), share*100),
		reference: fmt.Sprintf("ReverseProxy %.0f/s (direct %.0f/s)", median("proxy"), median("direct")),
		budget:    fmt.Sprintf(">= %.0f %%", minThroughput*100),
		kept:      share >= minThroughput,
	}}, nil
}

func apiRequest(ctx context.Context, url, pat string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/settings/tokens", http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+pat)
	return r, nil
}

const statelessCall = `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"list_tokens","arguments":{"limit":1},` +
	`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`

func toolRequest(ctx context.Context, url, pat string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/mcp", strings.NewReader(statelessCall))
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer " + pat, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "list_tokens",
	} {
		r.Header.Set(name, value)
	}
	return r, nil
}

// httpKind is one way to the API. holds is what a good answer holds.
type httpKind struct {
	name    string
	request func() (*http.Request, error)
	holds   string
}

// rate returns how many calls all callers together make in a round, and how many that
// is a second.
func (k httpKind) rate(ctx context.Context, round time.Duration) (calls int64, rate float64, err error) {
	transport := &http.Transport{MaxIdleConnsPerHost: httpCallers}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	ctx, cancel := context.WithTimeoutCause(ctx, round, nil)
	defer cancel()
	var made atomic.Int64
	failed := make(chan error, httpCallers)
	began := time.Now()
	for range httpCallers {
		go func() {
			for ctx.Err() == nil {
				if err := k.call(client); err != nil {
					failed <- err
					return
				}
				made.Add(1)
			}
			failed <- nil
		}()
	}
	var errs []error
	for range httpCallers {
		errs = append(errs, <-failed)
	}
	return made.Load(), float64(made.Load()) / time.Since(began).Seconds(), errors.Join(errs...)
}

func (k httpKind) call(client *http.Client) error {
	request, err := k.request()
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(k.holds)) {
		return fmt.Errorf("status %d, %s", response.StatusCode, body[:min(len(body), 300)])
	}
	return nil
}
