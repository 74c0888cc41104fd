package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// peakMemory is the most that the process held in memory, in bytes.
func (c child) peakMemory(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	t.Fatal("the system does not tell the memory of a process")
	return 0
}

func TestA22_ProgramStaysSmallUnderAHugeLine(t *testing.T) {
	c := startStdioProgram(t, kenbuntest.Environment(t), "--embedded", "--embedded-store", "memory")
	c.ask(t, initialize)
	chunk := strings.Repeat("x", 1<<20)
	for range 64 {
		if _, err := io.WriteString(c.in, chunk); err != nil {
			t.Fatal(err)
		}
	}
	if answer := c.ask(t, "\n"); !strings.Contains(answer, `"error"`) || !strings.Contains(answer, "4 MiB") {
		t.Errorf("the line is answered with %s", answer)
	}
	if answer := c.ask(t, toolCall(2, "whoami", "{}")); !strings.Contains(answer, "role: owner") {
		t.Errorf("the next call is answered with %s", answer)
	}
	peak := c.peakMemory(t)
	t.Logf("peak memory %d MiB", peak>>20)
	if peak >= 64<<20 {
		t.Errorf("the program took %d MiB", peak>>20)
	}
	if err := c.in.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
}

func TestSignalEndsTheProgramThoughTheAPIDoesNotAnswer(t *testing.T) {
	api, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := api.Close(); err != nil {
			t.Error(err)
		}
	}()
	kenbuntest.Within(t, time.Second, 3, "the end", func() time.Duration { return endOfAnUnansweredCall(t, api) })
}

// endOfAnUnansweredCall is how long the program takes for its end when a signal
// comes while it waits for api.
func endOfAnUnansweredCall(t *testing.T, api net.Listener) time.Duration {
	t.Helper()
	c := startStdioProgram(t, append(kenbuntest.Environment(t), "KENBUN_API_URL=http://"+api.Addr().String(), "KENBUN_PAT="+"kbn"+"_pat_"+strings.Repeat("a1", 16)))
	c.ask(t, initialize)
	if _, err := io.WriteString(c.in, toolCall(2, "list_tokens", "{}")); err != nil {
		t.Fatal(err)
	}
	connection, err := api.Accept()
	if err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(c.out)
	if err != nil || len(rest) > 0 {
		t.Errorf("after the signal came %q, %v", rest, err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
	took := time.Since(stopped)
	if err := connection.Close(); err != nil {
		t.Error(err)
	}
	return took
}
