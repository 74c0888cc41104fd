package pages

import (
	"os/exec"
	"syscall"
)

// detach keeps a browser from ending with the console that this program was
// started in.
func detach(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
