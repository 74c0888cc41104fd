//go:build unix

package edge

import "golang.org/x/sys/unix"

// openFiles is how many files this process may have open, or 0 if that cannot be
// told. Go raises the soft limit to the hard one.
func openFiles() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return int(min(uint64(limit.Cur), 1<<30)) //nolint:unconvert // it is signed on some systems
}
