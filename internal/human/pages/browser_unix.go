//go:build unix

package pages

import (
	"os/exec"
	"syscall"
)

// detach keeps a browser from ending with the terminal or the process group
// that this program was started in.
func detach(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
}
