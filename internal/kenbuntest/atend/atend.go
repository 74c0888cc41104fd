// Package atend ends what all tests of a package share, such as a server or a
// browser that takes seconds to start.
package atend

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
)

var (
	mu   sync.Mutex
	ends []func() error
)

// Do has [Run] call end once all tests are over. The last is called first.
func Do(end func() error) {
	mu.Lock()
	defer mu.Unlock()
	ends = append(ends, end)
}

// Run runs a package's tests and then ends what they shared. It returns the exit
// code for TestMain.
func Run(m interface{ Run() int }) int {
	code := m.Run()
	mu.Lock()
	defer mu.Unlock()
	var errs []error
	for _, end := range slices.Backward(ends) {
		errs = append(errs, end())
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}
