package kenbuntest

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"net"
	"sync"
	"testing"
)

// Ports from firstPort on that a system gives to nobody by itself: those for
// connections and for listeners without a wish begin at 32768 on Linux, and at
// 49152 elsewhere.
const (
	firstPort = 20_000
	ports     = 32_768 - firstPort
)

// given are the addresses that FreeAddress has returned.
var given sync.Map

// FreeAddress returns a loopback address on which nothing listens, another one
// each time, for a program that cannot choose a port by itself, or that has to
// come back to its own. No connection takes the port meanwhile.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		n, err := rand.Int(rand.Reader, big.NewInt(ports))
		if err != nil {
			t.Fatal(err)
		}
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+n.Int64())
		if _, before := given.LoadOrStore(address, true); before {
			continue
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue // somebody has it
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		return address
	}
	t.Fatal("no port is free")
	return ""
}
