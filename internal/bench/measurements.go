package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// The budgets.
const (
	maxStartRatio    = 1.3
	maxMemory        = 19 << 20
	maxCallOverhead  = 400 * time.Microsecond // at the median
	maxCallTailRatio = 2.0                    // at the 99th percentile
	maxToolListBytes = 9000
	maxRowsRatio     = 0.40
)

func measureStart(ctx context.Context, ours, bare string, api *api, times int) ([]row, error) {
	var our, theirs []time.Duration
	var ourMemory, theirMemory []int64
	for range times {
		took, memory, err := startedIn(func() (*process, error) { return startOurs(ctx, ours, api) })
		if err != nil {
			return nil, err
		}
		our, ourMemory = append(our, took), append(ourMemory, memory)
		if took, memory, err = startedIn(func() (*process, error) { return start(ctx, bare, []string{}) }); err != nil {
			return nil, err
		}
		theirs, theirMemory = append(theirs, took), append(theirMemory, memory)
	}
	ratio := float64(at(our, 0.5)) / float64(at(theirs, 0.5))
	return []row{
		{
			what:      fmt.Sprintf("stdio: start to first answer (median of %d)", times),
			measured:  fmt.Sprintf("%s = %.2f x", milliseconds(at(our, 0.5)), ratio),
			reference: "bare mcp-go " + milliseconds(at(theirs, 0.5)),
			budget:    fmt.Sprintf("<= %.1f x", maxStartRatio),
			kept:      ratio <= maxStartRatio,
		},
		{
			what:      "stdio: memory after the first answer",
			measured:  megabytes(at(ourMemory, 0.5)),
			reference: "bare mcp-go " + megabytes(at(theirMemory, 0.5)),
			budget:    "<= " + megabytes(maxMemory),
			kept:      at(ourMemory, 0.5) <= maxMemory,
		},
	}, nil
}

// measureCalls alternates a tool call with the same request made directly.
func measureCalls(ctx context.Context, ours string, api *api, times int) (_ []row, err error) {
	p, err := startOurs(ctx, ours, api)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if _, err := p.ask(initialize); err != nil {
		return nil, err
	}
	var tool, direct []time.Duration
	for i := range times + times/10 {
		began := time.Now()
		if _, err := p.ask(listTokens); err != nil {
			return nil, err
		}
		middle := time.Now()
		if _, err := api.user.ListTokens(ctx); err != nil {
			return nil, err
		}
		if i >= times/10 { // the first tenth warms up
			tool, direct = append(tool, middle.Sub(began)), append(direct, time.Since(middle))
		}
	}
	overhead := at(tool, 0.5) - at(direct, 0.5)
	tail := float64(at(tool, 0.99)) / float64(at(direct, 0.99))
	return []row{
		{
			what:      fmt.Sprintf("stdio: a tool call with one API call, p50 of %d", times),
			measured:  fmt.Sprintf("%s = + %s", milliseconds(at(tool, 0.5)), milliseconds(overhead)),
			reference: "direct call " + milliseconds(at(direct, 0.5)),
			budget:    "<= + " + milliseconds(maxCallOverhead),
			kept:      overhead <= maxCallOverhead,
		},
		{
			what:      "the same, p99",
			measured:  fmt.Sprintf("%s = %.2f x", milliseconds(at(tool, 0.99)), tail),
			reference: "direct call " + milliseconds(at(direct, 0.99)),
			budget:    fmt.Sprintf("<= %.1f x", maxCallTailRatio),
			kept:      tail <= maxCallTailRatio,
		},
	}, nil
}

func measureSizes(ctx context.Context, ours string, api *api) (_ []row, err error) {
	p, err := startOurs(ctx, ours, api)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if _, err := p.ask(initialize); err != nil {
		return nil, err
	}
	tools, err := p.ask(listTools)
	if err != nil {
		return nil, err
	}
	answer, err := p.ask(listAll)
	if err != nil {
		return nil, err
	}
	var rows struct {
		Result struct {
			Content []struct {
				Text string `json:"text"`
			} `json:"content"`
		} `json:"result"`
	}
	if err := json.Unmarshal(answer, &rows); err != nil {
		return nil, err
	}
	upstream, err := api.list(ctx)
	if err != nil {
		return nil, err
	}
	text := len(rows.Result.Content[0].Text)
	ratio := float64(text) / float64(len(upstream))
	return []row{
		{
			what:      "tools/list with default settings",
			measured:  fmt.Sprintf("%d bytes", len(tools)),
			reference: "-",
			budget:    fmt.Sprintf("<= %d bytes", maxToolListBytes),
			kept:      len(tools) <= maxToolListBytes,
		},
		{
			what:      "list_tokens, 100 rows, text",
			measured:  fmt.Sprintf("%d bytes = %.0f %%", text, ratio*100),
			reference: fmt.Sprintf("the API's JSON %d bytes", len(upstream)),
			budget:    fmt.Sprintf("<= %.0f %%", maxRowsRatio*100),
			kept:      ratio <= maxRowsRatio,
		},
	}, nil
}

// list returns the API's own answer.
func (a *api) list(ctx context.Context) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+"/settings/tokens", http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+a.pat)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	return body, errors.Join(err, response.Body.Close())
}

// at is the value below which the given share of all values lies.
func at[T int64 | float64 | time.Duration](values []T, share float64) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(float64(len(sorted)-1)*share)]
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/(1<<20)) }
