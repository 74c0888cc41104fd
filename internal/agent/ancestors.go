package agent

import (
	"context"
	"os"
	"time"
)

// maxAncestors bounds how far up the tree of processes is looked at.
const maxAncestors = 32

// lookingLimit bounds how long it takes, where another program has to be asked.
const lookingLimit = 2 * time.Second

// maxArguments bounds how much of one argument list is read, in bytes.
const maxArguments = 8 << 10

// Ancestors returns the argument lists of the processes above this one, the
// parent first: at most 32, and none where the system does not show them.
func Ancestors() [][]string {
	ctx, cancel := context.WithTimeout(context.Background(), lookingLimit)
	defer cancel()
	look := lookUp(ctx)
	var lists [][]string
	for pid, n := os.Getppid(), 0; pid > 1 && n < maxAncestors; n++ {
		parent, arguments, ok := look(pid)
		if !ok {
			break
		}
		if len(arguments) > 0 {
			lists = append(lists, arguments)
		}
		pid = parent
	}
	return lists
}
