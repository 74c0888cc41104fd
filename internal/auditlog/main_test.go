package auditlog_test

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/kenbun/kenbun-mcp/internal/auditlog"
)

// writerVariable has the test's own program write entries to a file in the place
// of testing, as another process of a server would.
const writerVariable = "AUDIT_TEST_WRITER"

const entriesPerProcess = 100

func TestMain(m *testing.M) {
	if path := os.Getenv(writerVariable); path != "" {
		os.Exit(writeEntries(path))
	}
	goleak.VerifyTestMain(m)
}

func writeEntries(path string) int {
	log, err := auditlog.OpenFile(path, nil, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for i := range entriesPerProcess {
		log.Record(entry(strconv.Itoa(os.Getpid()) + "-" + strconv.Itoa(i)))
	}
	if err := log.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
