package auditlog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/auditlog"
	"github.com/kenbun/kenbun-mcp/tools/audit"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

func entry(id string) audit.Entry {
	return audit.Entry{
		Time: time.Now(), Caller: "ada", Action: audit.ActionRevoke, Target: id, Name: strings.Repeat("n", 100),
		Outcome: audit.OutcomeDone, Left: audit.LeftRevoked,
	}
}

// targets are those of the entries in text, every line of which has to be one.
func targets(t *testing.T, text string) []string {
	t.Helper()
	var ids []string
	for line := range strings.Lines(text) {
		var read struct{ Target string }
		if err := json.Unmarshal([]byte(line), &read); err != nil || !strings.HasSuffix(line, "\n") {
			t.Fatalf("%v in the line %q", err, line)
		}
		ids = append(ids, read.Target)
	}
	return ids
}

func contentOf(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func mustHold(t *testing.T, text string, want ...string) {
	t.Helper()
	if got := targets(t, text); !slices.Equal(got, want) {
		t.Errorf("the entries are %q, want %q", got, want)
	}
}

func mustClose(t *testing.T, log *auditlog.Log) {
	t.Helper()
	if err := log.Close(); err != nil {
		t.Error(err)
	}
}

// waitFor looks until something has happened.
func waitFor(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !happened(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come: %s", what)
		}
	}
}

// pipe is a stream that breaks when it is told to.
type pipe struct {
	mu     sync.Mutex
	broken bool
	takes  int // bytes before it breaks
	calls  int
	bytes.Buffer
}

func (p *pipe) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	if p.broken {
		n, _ := p.Buffer.Write(data[:p.takes])
		p.takes = 0
		return n, errors.New("the pipe is broken")
	}
	return p.Buffer.Write(data)
}

func (p *pipe) setBroken(broken bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = broken
}

// breakAfter has it take n bytes more and then break.
func (p *pipe) breakAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken, p.takes = true, n
}

func (p *pipe) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.String()
}

func logTo(w *pipe) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func TestStreamGetsOneCallForEachEntry(t *testing.T) {
	out := &pipe{}
	log := auditlog.NewStream(out, nil, logTo(&pipe{}))
	log.Record(entry("pat_1"))
	log.Record(entry("pat_2"))
	mustClose(t, log)
	mustHold(t, out.text(), "pat_1", "pat_2")
	if out.calls != 2 {
		t.Errorf("%d calls", out.calls)
	}
}

func TestEntriesThatCannotBeWrittenAreKeptInTheirOrder(t *testing.T) {
	out, said := &pipe{}, &pipe{}
	log := auditlog.NewStream(out, nil, logTo(said))
	if err := log.Ready(); err != nil {
		t.Fatal(err)
	}
	out.setBroken(true)
	log.Record(entry("pat_1"))
	log.Record(entry("pat_2"))
	if err := log.Ready(); err == nil || !strings.Contains(err.Error(), "the pipe is broken") {
		t.Errorf("with entries that are not written it is ready: %v", err)
	}
	if got := said.text(); strings.Count(got, "level=ERROR") != 1 || !strings.Contains(got, "the audit log cannot be written") {
		t.Errorf("the operator is told %q", got)
	}
	out.setBroken(false)
	if err := log.Ready(); err != nil {
		t.Errorf("it is not ready again: %v", err)
	}
	log.Record(entry("pat_3"))
	mustHold(t, out.text(), "pat_1", "pat_2", "pat_3")
	if !strings.Contains(said.text(), "can be written again") {
		t.Errorf("the operator is told %q", said.text())
	}
	mustClose(t, log)
}

func TestEntriesAreTriedAgainWhileNothingElseHappens(t *testing.T) {
	out := &pipe{broken: true}
	log := auditlog.NewStream(out, nil, logTo(&pipe{}))
	log.Record(entry("pat_1"))
	out.setBroken(false)
	waitFor(t, "the entry", func() bool { return out.text() != "" })
	mustHold(t, out.text(), "pat_1")
	mustClose(t, log)
}

func TestA28_EntriesThatAreKeptAreBounded(t *testing.T) {
	out, said := &pipe{broken: true}, &pipe{}
	log := auditlog.NewStream(out, nil, logTo(said))
	for i := range 1003 {
		log.Record(entry(fmt.Sprintf("pat_%d", i)))
	}
	// What is too much stands in the server's log at least.
	if got := said.text(); strings.Count(got, "an entry is missing") != 3 || !strings.Contains(got, "pat_1002") {
		t.Errorf("the operator is told %q", got)
	}
	out.setBroken(false)
	mustClose(t, log)
	if got := targets(t, out.text()); len(got) != 1000 || got[999] != "pat_999" {
		t.Errorf("%d entries were written", len(got))
	}
}

func TestAtTheEndWhatCannotBeWrittenStandsInTheServersLog(t *testing.T) {
	out, said := &pipe{broken: true}, &pipe{}
	log := auditlog.NewStream(out, nil, logTo(said))
	log.Record(entry("pat_1"))
	if err := log.Close(); err == nil || !strings.Contains(err.Error(), "1 entries") {
		t.Errorf("it ended with %v", err)
	}
	log.Record(entry("pat_2"))
	for _, id := range []string{"pat_1", "pat_2"} {
		if !strings.Contains(said.text(), id) {
			t.Errorf("%s is nowhere: %s", id, said.text())
		}
	}
	out.setBroken(false)
	log.Record(entry("pat_3"))
	mustHold(t, out.text(), "pat_3")
}
