package process

import (
	"os"
	"os/signal"
	"syscall"
)

// EndSignals are those that ask the program to end. That its terminal was closed
// is one, so that what is under way is not cut off, unless nohup started it.
func EndSignals() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}
