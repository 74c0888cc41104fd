package pages

import (
	"os"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/atend"
)

func TestMain(m *testing.M) { os.Exit(atend.Run(m)) }
