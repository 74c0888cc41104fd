package identity

import (
	"os"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

func TestMain(m *testing.M) { os.Exit(kenbuntest.Run(m)) }
