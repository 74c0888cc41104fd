package kenbuntest

import (
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/freeport"
)

// FreeAddress is [freeport.Address] for a test.
func FreeAddress(t testing.TB) string {
	t.Helper()
	address, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	return address
}
