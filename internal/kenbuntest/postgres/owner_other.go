//go:build !linux

package postgres

import "os/exec"

func giveToServer(...string) error { return nil }

func runAsServer(command *exec.Cmd, folder string) error {
	command.Dir = folder
	return nil
}
