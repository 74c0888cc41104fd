//go:build unix && !linux

package unixsocket

import "errors"

func makeDevice(string) error { return errors.ErrUnsupported }
