package pages

import (
	"os/exec"
	"syscall"
)

// detach keeps a browser running after this program's console ends.
func detach(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
