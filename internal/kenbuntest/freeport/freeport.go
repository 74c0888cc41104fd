// Package freeport finds ports for programs under test that cannot choose one by
// themselves, or that have to come back to their own.
package freeport

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
)

// Ports from firstPort on that a system gives to nobody by itself: those for
// connections and for listeners without a wish begin at 32768 on Linux, and at
// 49152 elsewhere.
const (
	firstPort = 20_000
	ports     = 32_768 - firstPort
)

// given are the addresses that Address has returned.
var given sync.Map

// Address returns a loopback address, "127.0.0.1:PORT", on which nothing listens,
// another one each time. No connection takes the port meanwhile; another process
// that looks for one can, once in some ten thousand times. It fails if no port is
// found in a hundred tries.
func Address() (string, error) {
	for range 100 {
		n, err := rand.Int(rand.Reader, big.NewInt(ports))
		if err != nil {
			return "", err
		}
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+n.Int64())
		if _, before := given.LoadOrStore(address, true); before {
			continue
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue // somebody has it
		}
		return address, listener.Close()
	}
	return "", errors.New("no port is free")
}
