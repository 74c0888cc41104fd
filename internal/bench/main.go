// Command bench measures the program against its budgets, each figure beside
// something that runs in the same minute on the same machine, and prints a
// table. It exits with 1 if a budget is broken.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"text/tabwriter"
)

// row is one line of the table.
type row struct {
	what      string
	measured  string
	reference string
	budget    string
	kept      bool
}

func main() {
	starts := flag.Int("starts", 21, "how often each server is started")
	calls := flag.Int("calls", 2000, "how many calls are made of each kind")
	only := flag.String("only", "", "measure one group of figures: start, calls, sizes, http, free or authority")
	flag.Parse()
	rows, err := measure(context.Background(), *only, *starts, *calls)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if err := printTable(rows); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	for _, r := range rows {
		if !r.kept {
			os.Exit(1)
		}
	}
}

func measure(ctx context.Context, only string, starts, calls int) (rows []row, err error) {
	folder, err := os.MkdirTemp("", "kenbun-mcp-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	ours, bare, proxy := filepath.Join(folder, "kenbun-mcp"), filepath.Join(folder, "bare"), filepath.Join(folder, "proxy")
	for binary, source := range map[string]string{ours: "./cmd/kenbun-mcp", bare: "./internal/bench/bare", proxy: "./internal/bench/proxy"} {
		command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, source)
		command.Env = append(os.Environ(), "CGO_ENABLED=0")
		if output, err := command.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", source, err, output)
		}
	}
	api, err := startAPI(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, api.close()) }()

	for _, group := range []struct {
		name    string
		measure func() ([]row, error)
	}{
		{"start", func() ([]row, error) { return measureStart(ctx, ours, bare, api, starts) }},
		{"calls", func() ([]row, error) { return measureCalls(ctx, ours, api, calls) }},
		{"sizes", func() ([]row, error) { return measureSizes(ctx, ours, api) }},
		{"http", func() ([]row, error) { return measureHTTP(ctx, ours, proxy, api) }},
		{"free", func() ([]row, error) { return measureFree(ctx, ours, bare, api) }},
		{"authority", func() ([]row, error) { return measureAuthority(ctx) }},
	} {
		if only != "" && only != group.name {
			continue
		}
		measured, err := group.measure()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", group.name, err)
		}
		rows = append(rows, measured...)
	}
	return rows, nil
}

func printTable(rows []row) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\tmeasured\treference in the same run\tbudget\tkept")
	for _, r := range rows {
		kept := "yes"
		if !r.kept {
			kept = "NO"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.what, r.measured, r.reference, r.budget, kept)
	}
	return w.Flush()
}
