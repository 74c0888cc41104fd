//go:build unix

package pages

import (
	"os/exec"
	"syscall"
)

// detach keeps a browser running after this program's terminal or process group ends.
func detach(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
}
