package main

import (
	"flag"
	"os"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

var update = flag.Bool("update", false, "rewrite the generated parts of the documentation")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(kenbuntest.Run(m))
}
