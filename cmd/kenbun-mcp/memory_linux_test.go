package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

const nobody = 65534

// asNobody has a command run as a user without any rights, whom root could
// otherwise not be told from.
func asNobody(t *testing.T, command *exec.Cmd) *exec.Cmd {
	t.Helper()
	if os.Getuid() == 0 {
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return command
}

// openFolder is one that every user may use, with a copy of the program in it.
func openFolder(t *testing.T) (folder, program string) {
	t.Helper()
	folder, err := os.MkdirTemp("", "kenbun-memory-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	program = filepath.Join(folder, "kenbun-mcp")
	content, err := os.ReadFile(kenbuntest.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, content, 0o700); err != nil {
		t.Fatal(err)
	}
	// Under any umask.
	mustDo(t, os.Chmod(program, 0o755), os.Chmod(folder, 0o777))
	return folder, program
}

// TestA47_OtherProcessesOfTheUserCannotReadTheProgram looks at the program as
// what an assistant runs on its user's machine could.
func TestA47_OtherProcessesOfTheUserCannotReadTheProgram(t *testing.T) {
	folder, program := openFolder(t)
	secret := "kbn" + "_pat_" + strings.Repeat("b2", 16)
	command := asNobody(t, exec.Command(program, "stdio"))
	command.Dir, command.Env = folder, []string{"HOME=" + folder, "KENBUN_PAT=" + secret, "KENBUN_API_URL=http://127.0.0.1:1"}
	c := startChild(t, command)
	c.ask(t, initialize)
	look := func(pid int) (string, error) {
		read := asNobody(t, exec.Command("/bin/cat", fmt.Sprintf("/proc/%d/environ", pid)))
		read.Env = []string{"LC_ALL=C"} // says "denied" in no other language
		shown, err := read.CombinedOutput()
		return string(shown), err
	}
	if shown, err := look(c.Process.Pid); err == nil || strings.Contains(shown, secret) || !strings.Contains(shown, "denied") {
		t.Errorf("the environment can be read: %v (%d bytes)", err, len(shown))
	}
	bystander := asNobody(t, exec.Command("/bin/cat"))
	bystander.Env = []string{"SHOWN=1"}
	tell, err := bystander.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	told, err := bystander.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	// Start returns before the kernel has set up the new program's environment;
	// a program that answers has one.
	if _, err := fmt.Fprintln(tell, "there?"); err != nil {
		t.Fatal(err)
	}
	if answer, err := bufio.NewReader(told).ReadString('\n'); err != nil || answer != "there?\n" {
		t.Fatalf("the bystander says %q, %v", answer, err)
	}
	if shown, err := look(bystander.Process.Pid); err != nil || !strings.Contains(shown, "SHOWN=1") {
		t.Errorf("nor can that of any other program: %v %q", err, shown)
	}
	if err := tell.Close(); err != nil {
		t.Error(err)
	}
	if err := bystander.Wait(); err != nil {
		t.Errorf("the bystander ended with %v", err)
	}
	if err := c.in.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
}

func TestA47_ACrashLeavesNoCoreDump(t *testing.T) {
	folder, program := openFolder(t)
	// A shell that allows core dumps of any size, if it may.
	command := asNobody(t, exec.Command("/bin/sh", "-c", `ulimit -c unlimited 2>/dev/null; exec "$0" stdio`, program))
	command.Dir, command.Env = folder, []string{"HOME=" + folder, "GOTRACEBACK=crash", "KENBUN_API_URL=http://127.0.0.1:1"}
	command.Stderr = io.Discard // the traces of all goroutines
	c := startChild(t, command)
	c.ask(t, initialize)
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", c.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		if rest, found := strings.CutPrefix(line, "Max core file size"); found && strings.Fields(rest)[0] != "0" {
			t.Errorf("the limit is %s", rest)
		}
	}
	if err := c.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c.out); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err == nil || c.ProcessState.Sys().(syscall.WaitStatus).CoreDump() {
		t.Errorf("it ended with %v; core dumped: %t", err, c.ProcessState.Sys().(syscall.WaitStatus).CoreDump())
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "core") {
			t.Errorf("the crash left %s", entry.Name())
		}
	}
}
