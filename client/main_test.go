package client

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(proxyChild) != "" {
		os.Exit(runProxyChild())
	}
	goleak.VerifyTestMain(m)
}
