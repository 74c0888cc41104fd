package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// addressToAttack names the server for [TestHelper_AttacksAServer] in its
// environment.
const addressToAttack = "STRANGERS_TEST_ADDRESS"

// attackPause is how long each stranger waits between two requests.
const attackPause = 2 * time.Second

// TestHelper_AttacksAServer is another process of the test below: 400 strangers
// who send bodies of 1 MiB again and again. For each line of its input it writes
// how many requests the server has refused so far.
func TestHelper_AttacksAServer(t *testing.T) {
	a := &attacked{address: os.Getenv(addressToAttack)}
	if a.address == "" {
		return // not called by a test
	}
	bodies := costlyBodies()
	const strangers = 400
	var refused atomic.Int64
	for i := range strangers {
		go func() {
			for time.Sleep(time.Duration(i) * attackPause / strangers); ; time.Sleep(attackPause) {
				if status, err := a.stranger(i, bodies[i%len(bodies)]); err == nil && strings.HasPrefix(status, "HTTP/1.1 4") {
					refused.Add(1)
				}
			}
		}()
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println(refused.Load())
	}
}

// attackers are 400 strangers in a process of their own.
type attackers struct {
	process *os.Process
	input   io.Writer
	output  *bufio.Reader
}

// startAttackers has strangers attack a server at the lowest priority: what
// they do takes as little from the server as if they had machines of their own.
func startAttackers(t *testing.T, a *attacked) *attackers {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("nice", "-n", "19", own, "-test.run=^TestHelper_AttacksAServer$", "-test.count=1")
	command.Env = append(os.Environ(), addressToAttack+"="+a.address)
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait() // it was killed
	})
	return &attackers{command.Process, input, bufio.NewReader(output)}
}

// refused is how many requests of the strangers the server has refused so far.
func (a *attackers) refused(t *testing.T) int {
	t.Helper()
	if _, err := io.WriteString(a.input, "\n"); err != nil {
		t.Fatal(err)
	}
	line, err := a.output.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (a *attackers) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := a.process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// work is the processor time that the server has used so far.
func (a *attacked) work(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", a.pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // proc_pid_stat(5): utime and stime are the 12th and 13th from here
	fields := strings.Fields(rest)
	var total time.Duration
	for _, field := range fields[11:13] {
		ticks, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		total += time.Duration(ticks) * time.Second / 100
	}
	return total
}

// TestA22_AUserIsServedWhileStrangersSendBodies compares the p99 of a user's calls
// with and without 400 strangers. Other programs on the machine disturb both, so
// that of a few rounds the best one counts. Then the strangers are alone: the server
// must work less for one of their requests than for a call of the user.
func TestA22_AUserIsServedWhileStrangersSendBodies(t *testing.T) {
	a := startAttacked(t, []string{"KENBUN_RATE_LIMIT=0", "KENBUN_RATE_LIMIT_ADDRESS=1000000"})
	strangers := startAttackers(t, a)
	time.Sleep(2 * attackPause) // until each has sent a request, and guesses are held back
	const calls, most = 300, 2.0
	const rounds, enough = 5, 20
	best := math.Inf(1)
	var forCalls time.Duration
	round := 1
	for ; round <= rounds && best > most; round++ {
		strangers.signal(t, syscall.SIGSTOP)
		began := a.work(t)
		alone := a.p99(t, calls)
		forCalls += a.work(t) - began

		strangers.signal(t, syscall.SIGCONT)
		time.Sleep(attackPause / 4)
		before := strangers.refused(t)
		beside := a.p99(t, calls)
		here := strangers.refused(t) - before
		t.Logf("p99 of %d calls: %s alone, %s beside %d requests of strangers; %d MiB at most", calls, alone, beside, here, a.highWater(t)>>20)
		if here >= enough { // or else the machine was too busy for an attack
			best = min(best, float64(beside)/float64(alone))
		}
	}
	if best > most {
		t.Errorf("the p99 beside 400 strangers is %.1f times that without them, want at most %.1f", best, most)
	}
	before, began := strangers.refused(t), a.work(t)
	time.Sleep(2 * attackPause)
	refused, work := strangers.refused(t)-before, a.work(t)-began
	perCall, perStranger := forCalls/time.Duration(calls*(round-1)), work/time.Duration(max(refused, 1))
	t.Logf("the server works %s for a call of a user, and %s for one of %d requests of strangers", perCall, perStranger, refused)
	if perStranger > perCall {
		t.Errorf("the server works %s for a stranger, and %s for a call of a user", perStranger, perCall)
	}
}
