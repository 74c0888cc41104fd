package privatefile

import "errors"

// ErrLocked means that another holds the lock.
var ErrLocked = errors.New("another process holds the lock")
