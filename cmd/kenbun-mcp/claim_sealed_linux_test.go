package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// The identity may come from a file or a pipe that is for the user alone.
func TestR36_ClaimReadsNoIdentityThatOthersCanReach(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	own, value := "kbn"+"_pat_"+strings.Repeat("o", 46), client.NewSecret("kbn"+"_pat_"+strings.Repeat("s", 46))
	folder := t.TempDir()
	write := func(name, content string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(folder, name)
		err := errors.Join(os.WriteFile(path, []byte(content), 0o600), os.Chmod(path, mode))
		if os.Geteuid() == 0 {
			err = errors.Join(err, os.Chown(path, 0, 54321)) // a group that root is not in
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write("sealed.age", sealedTo(t, identity.Recipient(), own, value), 0o600)
	for name, mode := range map[string]os.FileMode{"identity": 0o600, "readable": 0o644, "group": 0o640, "writable": 0o602} {
		write(name, identity.String()+"\n", mode)
	}
	for _, pipe := range []string{"pipe", "open-pipe"} {
		if err := syscall.Mkfifo(filepath.Join(folder, pipe), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(folder, "open-pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ shell, says string }{
		"a file":                 {`open -i identity`, ""},
		"a link to it":           {`ln -s identity link; open -i link`, ""},
		"a command":              {`open -i <(cat identity)`, ""},
		"a descriptor":           {`open -i /dev/fd/7 7< <(cat identity)`, ""},
		"a descriptor, by /proc": {`open -i /proc/self/fd/7 7< <(cat identity)`, ""},
		"standard input":         {`cat identity | open -i /dev/stdin`, ""},
		"a pipe with a name":     {`cat identity >pipe & open -i pipe`, ""},
		"others can read it":     {`open -i readable`, "the file readable has mode 0644: other users can read it. Run chmod 600 readable"},
		"its group can read it":  {`open -i group`, "the file group has mode 0640: other users can read it"},
		"others can write to it": {`open -i writable`, "the file writable has mode 0602: other users can write to it"},
		"by a link":              {`ln -s readable link2; open -i link2`, "the file link2 has mode 0644: other users can read it"},
		"a pipe of everybody's":  {`open -i open-pipe`, "the file open-pipe has mode 0666: other users can write to it"},
		"by a descriptor":        {`open -i /dev/fd/7 7<readable`, "the file /dev/fd/7 has mode 0644: other users can read it"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			command := exec.CommandContext(ctx, "bash", "-c", `open() { "$KENBUN_PROGRAM" claim --stdout --sealed sealed.age "$@"; }; `+c.shell)
			command.Dir, command.WaitDelay = folder, time.Second
			command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			// What the shell started ends with it.
			command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
			command.Env = kenbuntest.Environment(t, "KENBUN_PAT="+own, "KENBUN_PROGRAM="+kenbuntest.Binary(t))
			var stdout, stderr bytes.Buffer
			command.Stdout, command.Stderr = &stdout, &stderr
			err := command.Run()
			switch {
			case c.says == "" && (err != nil || stdout.String() != value.Reveal()+"\n"):
				t.Errorf("%v: %s", err, stderr.String())
			case c.says != "" && (err == nil || stdout.Len() > 0 || !strings.Contains(stderr.String(), c.says)):
				t.Errorf("it prints %d bytes, %v, and says: %s", stdout.Len(), err, stderr.String())
			}
			if bytes.Contains(stderr.Bytes(), []byte(identity.String()[:24])) {
				t.Error("the identity is shown")
			}
		})
	}
}
