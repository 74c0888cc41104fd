package process

import (
	"errors"

	"golang.org/x/sys/unix"
)

// ProtectMemory keeps tokens in this process's memory and environment from other
// processes of the same user, such as a command that an assistant runs: they can
// neither attach to it nor read it, and nothing of it is written down when it
// crashes (https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html).
// Whoever is root can read it all the same. The hard limit on core dumps stays,
// so that a program that this one starts may have its own.
func ProtectMemory() error {
	return errors.Join(forbidCoreDumps(), unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
}

func forbidCoreDumps() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return err
	}
	limit.Cur = 0
	return unix.Setrlimit(unix.RLIMIT_CORE, &limit)
}
