package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// process is a server under measurement. It is spoken to in bare lines of JSON,
// so that no client library's time is counted.
type process struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

const (
	initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`
	listTools  = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	listTokens = `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"list_tokens","arguments":{"limit":1}}}`
	listAll    = `{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"list_tokens","arguments":{"limit":200}}}`
)

func start(ctx context.Context, binary string, environment []string, arguments ...string) (*process, error) {
	p := &process{command: exec.CommandContext(ctx, binary, arguments...)}
	p.command.Env = environment
	p.command.Stderr = os.Stderr
	var err error
	if p.in, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReaderSize(out, 1<<20)
	return p, p.command.Start()
}

func startOurs(ctx context.Context, binary string, api *api) (*process, error) {
	return start(ctx, binary, []string{"KENBUN_API_URL=" + api.url, "KENBUN_PAT=" + api.pat, "HOME=" + os.TempDir()}, "stdio")
}

// ask sends one line and returns the next one.
func (p *process) ask(line string) ([]byte, error) {
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		return nil, err
	}
	answer, err := p.out.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	var outcome struct {
		Error  json.RawMessage `json:"error"`
		Result struct {
			IsError bool `json:"isError"`
		} `json:"result"`
	}
	if err := json.Unmarshal(answer, &outcome); err != nil {
		return nil, err
	}
	if outcome.Error != nil || outcome.Result.IsError {
		return nil, fmt.Errorf("%s was answered with an error: %s", line, answer)
	}
	return answer, nil
}

// memory is the most that the process held in memory, in bytes (Linux).
func (p *process) memory() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("memory is measured on Linux only: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, errors.New("the system does not tell the process's memory")
}

func (p *process) stop() error { return errors.Join(p.in.Close(), p.command.Wait()) }

// startedIn measures from the start of a process to its first answer, and its
// memory then.
func startedIn(run func() (*process, error)) (time.Duration, int64, error) {
	began := time.Now()
	p, err := run()
	if err != nil {
		return 0, 0, err
	}
	if _, err := p.ask(initialize); err != nil {
		return 0, 0, errors.Join(err, p.stop())
	}
	took := time.Since(began)
	memory, err := p.memory()
	return took, memory, errors.Join(err, p.stop())
}
