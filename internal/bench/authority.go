package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
)

// The budgets of the authority.
const (
	maxVerifyTail       = 2.0  // milliseconds, at the 99th percentile
	minVerifyThroughput = 0.70 // of the same handler without verification
	maxListRatio        = 1.2  // among a million tokens to among a thousand, at the median
)

const (
	fewTokens, manyTokens = 1_000, 1_000_000
	tokensPerUser         = 20
	ownTokens             = 100
)

// measureVerify runs the package's own benchmark, which alone can leave the
// verification out of a handler. Budgets are for SQLite; PostgreSQL stands
// beside it where there is one.
func measureVerify(ctx context.Context) ([]row, error) {
	command := exec.CommandContext(ctx, "go", "test", "github.com/kenbun/kenbun-mcp/internal/authority", "-run", "^$", "-bench", "^BenchmarkBudget$", "-benchtime", "1x")
	output, err := command.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("measure the verification: %w\n%s", err, output)
	}
	var rows []row
	for line := range strings.Lines(string(output)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || !strings.HasPrefix(fields[0], "BenchmarkBudget/") {
			continue
		}
		store, _, _ := strings.Cut(strings.TrimPrefix(fields[0], "BenchmarkBudget/"), "-")
		metrics := map[string]float64{}
		for i := 1; i+1 < len(fields); i++ {
			if value, err := strconv.ParseFloat(fields[i], 64); err == nil {
				metrics[fields[i+1]] = value
			}
		}
		rows = append(rows, verifyRows(store, metrics)...)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("the benchmark of the verification printed no figures:\n%s", output)
	}
	return rows, nil
}

func verifyRows(store string, metrics map[string]float64) []row {
	tail, share := metrics["verify-p99-ms"], metrics["verified-%"]/100
	rows := []row{
		{
			what:      "authority on " + store + ": verify a token, p99",
			measured:  fmt.Sprintf("%.2f ms", tail),
			reference: "-",
			budget:    fmt.Sprintf("<= %.1f ms", maxVerifyTail),
			kept:      tail > 0 && tail <= maxVerifyTail,
		},
		{
			what:      "authority on " + store + ": GET /me, 16 callers",
			measured:  fmt.Sprintf("%.0f calls/s = %.0f %%", metrics["verified/s"], share*100),
			reference: fmt.Sprintf("without verification %.0f/s", metrics["unverified/s"]),
			budget:    fmt.Sprintf(">= %.0f %%", minVerifyThroughput*100),
			kept:      share >= minVerifyThroughput,
		},
	}
	if store != "sqlite" {
		for i := range rows {
			rows[i].budget, rows[i].kept = "none", true
		}
	}
	return rows
}

// measureList lists one user's tokens in turn among few and among many tokens of
// others.
func measureList(ctx context.Context, folder string, times int) (_ []row, err error) {
	few, _, err := startSeeded(ctx, filepath.Join(folder, "few.db"), fewTokens)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, few.close()) }()
	many, seeded, err := startSeeded(ctx, filepath.Join(folder, "many.db"), manyTokens)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, many.close()) }()
	var amongFew, amongMany []time.Duration
	for i := range times + times/10 {
		began := time.Now()
		if _, err := few.user.ListTokens(ctx); err != nil {
			return nil, err
		}
		middle := time.Now()
		if _, err := many.user.ListTokens(ctx); err != nil {
			return nil, err
		}
		if i >= times/10 { // the first tenth warms up
			amongFew, amongMany = append(amongFew, middle.Sub(began)), append(amongMany, time.Since(middle))
		}
	}
	ratio := float64(at(amongMany, 0.5)) / float64(at(amongFew, 0.5))
	return []row{{
		what:      fmt.Sprintf("authority on sqlite: list %d tokens among 1,000,000 (seeded in %.0f s)", ownTokens, seeded.Seconds()),
		measured:  fmt.Sprintf("%s = %.2f x", milliseconds(at(amongMany, 0.5)), ratio),
		reference: "among 1,000 " + milliseconds(at(amongFew, 0.5)),
		budget:    fmt.Sprintf("<= %.1f x", maxListRatio),
		kept:      ratio <= maxListRatio,
	}}, nil
}

func startSeeded(ctx context.Context, path string, tokens int) (*api, time.Duration, error) {
	a, err := authority.Open(ctx, authority.Config{Store: "sqlite:" + path, TokenLimit: 1000})
	if err != nil {
		return nil, 0, err
	}
	made, err := a.Seed(ctx, authority.SeedConfig{Users: tokens / tokensPerUser, Tokens: tokens})
	if err != nil {
		return nil, 0, errors.Join(err, a.Close())
	}
	running, err := serveAPI(ctx, a)
	return running, made.Took, err
}
