//go:build !linux && !windows

package agent

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
)

// lookUp returns a function that tells a process's parent and arguments, as the
// system's own ps shows them.
func lookUp(ctx context.Context) func(pid int) (parent int, arguments []string, ok bool) {
	type process struct {
		parent    int
		arguments []string
	}
	processes := map[int]process{}
	// An argument with a space in it becomes two, which is no matter here.
	list, err := exec.CommandContext(ctx, "/bin/ps", "-axww", "-o", "pid=,ppid=,args=").Output()
	if err == nil {
		for line := range strings.Lines(string(list)) {
			fields := strings.Fields(line)
			if len(fields) < 3 {
				continue
			}
			pid, pidErr := strconv.Atoi(fields[0])
			parent, parentErr := strconv.Atoi(fields[1])
			if pidErr == nil && parentErr == nil {
				processes[pid] = process{parent, fields[2:]}
			}
		}
	}
	return func(pid int) (int, []string, bool) {
		found, ok := processes[pid]
		return found.parent, found.arguments, ok
	}
}
