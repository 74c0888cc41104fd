package postgres

import (
	"errors"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// PostgreSQL refuses to run as root. Its package makes a user for it.
const serverUser = "postgres"

func serverCredential() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup(serverUser)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err, gidErr)
}

func giveToServer(paths ...string) error {
	account, err := serverCredential()
	if account == nil || err != nil {
		return err
	}
	for _, path := range paths {
		if err := os.Chown(path, int(account.Uid), int(account.Gid)); err != nil {
			return err
		}
	}
	return nil
}

func runAsServer(command *exec.Cmd, folder string) error {
	account, err := serverCredential()
	// The kernel ends the server when the tests are killed.
	command.SysProcAttr = &syscall.SysProcAttr{Credential: account, Pdeathsig: syscall.SIGQUIT}
	command.Dir = folder
	command.Env = append(os.Environ(), "HOME="+folder)
	return err
}
