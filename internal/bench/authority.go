package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// The budgets of the authority.
const (
	maxVerifyTail       = 2.0  // milliseconds, at the 99th percentile
	minVerifyThroughput = 0.70 // of the same handler without verification
	maxListRatio        = 1.2  // among a million tokens to among a thousand, at the median
)

// measureAuthority runs the package's own benchmarks: they alone can leave the
// verification out of a handler, and start a PostgreSQL. Budgets are for SQLite;
// PostgreSQL stands beside it where there is one.
func measureAuthority(ctx context.Context) ([]row, error) {
	command := exec.CommandContext(ctx, "go", "test", "github.com/kenbun/kenbun-mcp/internal/authority", "-run", "^$", "-bench", "^Benchmark(Budget|List)$", "-benchtime", "1x")
	output, err := command.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("measure the authority: %w\n%s", err, output)
	}
	var rows []row
	for line := range strings.Lines(string(output)) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		benchmark, rest, _ := strings.Cut(fields[0], "/")
		store, _, _ := strings.Cut(rest, "-")
		metrics := map[string]float64{}
		for i := 1; i+1 < len(fields); i++ {
			if value, err := strconv.ParseFloat(fields[i], 64); err == nil {
				metrics[fields[i+1]] = value
			}
		}
		switch benchmark {
		case "BenchmarkBudget":
			rows = append(rows, forStore(store, verifyRows(store, metrics))...)
		case "BenchmarkList":
			rows = append(rows, forStore(store, listRows(store, metrics))...)
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("the benchmarks of the authority printed no figures:\n%s", output)
	}
	return rows, nil
}

// forStore takes the budgets away where they are not promised.
func forStore(store string, rows []row) []row {
	if store != "sqlite" {
		for i := range rows {
			rows[i].budget, rows[i].kept = "none", true
		}
	}
	return rows
}

func verifyRows(store string, metrics map[string]float64) []row {
	tail, share := metrics["verify-p99-ms"], metrics["verified-%"]/100
	return []row{
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
}

func listRows(store string, metrics map[string]float64) []row {
	ratio := metrics["many-ms"] / metrics["few-ms"]
	return []row{{
		what:      fmt.Sprintf("authority on %s: list 100 tokens among 1,000,000 (seeded in %.0f s)", store, metrics["seeded-s"]),
		measured:  fmt.Sprintf("%.2f ms = %.2f x", metrics["many-ms"], ratio),
		reference: fmt.Sprintf("among 1,000 %.2f ms", metrics["few-ms"]),
		budget:    fmt.Sprintf("<= %.1f x", maxListRatio),
		kept:      ratio <= maxListRatio,
	}}
}
