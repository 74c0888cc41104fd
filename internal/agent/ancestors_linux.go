package agent

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// lookUp returns a function that returns a process's parent and arguments.
func lookUp(context.Context) func(pid int) (parent int, arguments []string, ok bool) {
	return func(pid int) (int, []string, bool) {
		status, err := readStart(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, nil, false
		}
		// The name in brackets may hold anything, brackets too.
		opening, closing := bytes.IndexByte(status, '('), bytes.LastIndexByte(status, ')')
		if opening < 0 || closing < opening {
			return 0, nil, false
		}
		fields := strings.Fields(string(status[closing+1:]))
		if len(fields) < 2 {
			return 0, nil, false
		}
		parent, err := strconv.Atoi(fields[1])
		if err != nil {
			return 0, nil, false
		}
		// A process may have given itself a name (Claude Code does).
		arguments := []string{string(status[opening+1 : closing])}
		if _, known := programs[programName(arguments[0])]; known {
			return parent, arguments, true
		}
		// Other users' argument lists can be hidden: their names remain.
		if line, err := readStart(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && len(line) > 0 {
			arguments = strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")
		}
		return parent, arguments, true
	}
}

func readStart(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return io.ReadAll(io.LimitReader(f, maxArguments))
}
