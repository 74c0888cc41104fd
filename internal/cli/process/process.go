// Package process sets up the process itself: memory and signals.
package process

import (
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// CollectLess lets the heap grow to four times what is in use before garbage is
// collected, instead of two. The heap of a server is a few MiB, and its requests would
// otherwise pay for a collection several times a second. GOGC counts instead if it is
// set, and so does a memory limit.
func CollectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(300)
	}
}

// LimitMemory has Go keep within nine tenths of the memory that the control group
// of this process allows, so that it collects garbage before the kernel ends it.
// A limit in GOMEMLIMIT counts instead. For long-lived servers: what stdio needs
// is far below any limit.
func LimitMemory(logger *slog.Logger) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	allowed, err := memlimit.FromCgroup()
	if err != nil {
		// Without control groups, and without a limit, there is nothing to keep to.
		logger.Debug("no memory limit is known", "cause", err)
		return
	}
	limit := int64(min(allowed/10*9, 1<<62))
	debug.SetMemoryLimit(limit)
	logger.Debug("memory is limited by the control group", "limit_mib", limit>>20)
}

// EndSignals are those that ask the program to end. That its terminal was closed
// is one, so that what is under way is not cut off, unless nohup started it.
func EndSignals() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}
