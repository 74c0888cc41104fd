// Package auditlog writes the operator's log of changes: one line of JSON for each entry, in
// a file that several processes may share, or on a stream. Each line names the hash of the
// one before, so that [Verifier] notices entries that were removed, moved or changed.
package auditlog

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/tools/audit"
)

const (
	// maxUnwritten is how many entries are kept that cannot be written.
	maxUnwritten = 1000
	// retryEvery is how often they are tried again while nothing else happens.
	retryEvery = 2 * time.Second
)

// destination takes entries, each of which is one JSON object.
type destination interface {
	// check reports whether a line could be written, as far as that is known without
	// writing.
	check() error
	// write writes one whole line, linked to the entry before it, or nothing.
	write(entry []byte) error
	// close releases what is kept between entries. Writing remains possible.
	close()
}

// Log implements audit.Log. An entry that cannot be written is kept in memory and retried:
// every two seconds, before the next entry, and at the end.
type Log struct {
	destination destination
	log         *slog.Logger

	mu sync.Mutex
	// unwritten are entries in their order.
	unwritten [][]byte
	retry     *time.Timer // nil while nothing waits to be tried again
	closed    bool
}

func newLog(d destination, logger *slog.Logger) *Log {
	return &Log{destination: d, log: logger}
}

// Ready implements audit.Log. It writes the backlog first.
func (l *Log) Ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unwritten) > 0 {
		return l.flush()
	}
	if err := l.destination.check(); err != nil {
		l.log.Error("the audit log cannot be written; changes are refused", "cause", err)
		return err
	}
	return nil
}

// Record implements audit.Log.
func (l *Log) Record(entry audit.Entry) {
	object, err := json.Marshal(entry)
	if err != nil {
		l.log.Error("an entry of the audit log could not be written as JSON", "action", entry.Action, "id", entry.Target, "outcome", entry.Outcome, "cause", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unwritten) >= maxUnwritten {
		l.lost(object)
		return
	}
	l.unwritten = append(l.unwritten, object)
	if l.flush() != nil && l.closed {
		l.giveUp()
	}
}

// flush writes what is unwritten, and has it tried again later where it cannot.
func (l *Log) flush() error {
	before := l.retry
	for len(l.unwritten) > 0 {
		if err := l.destination.write(l.unwritten[0]); err != nil {
			if before == nil {
				l.log.Error("the audit log cannot be written; entries are kept in memory and changes are refused until it can be", "cause", err)
			}
			l.tryAgain()
			return err
		}
		l.unwritten = l.unwritten[1:]
	}
	l.unwritten = nil
	if before != nil {
		before.Stop()
		l.retry = nil
		l.log.Warn("the audit log can be written again")
	}
	return nil
}

func (l *Log) tryAgain() {
	if l.closed {
		return
	}
	if l.retry != nil {
		l.retry.Reset(retryEvery)
		return
	}
	l.retry = time.AfterFunc(retryEvery, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.closed {
			_ = l.flush() // it is tried again, and was logged when it began
		}
	})
}

// Close tries once more to write the backlog, and logs what still cannot be written. Later
// entries are written or logged at once.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	defer l.destination.close()
	err := l.flush()
	if l.retry != nil {
		l.retry.Stop()
		l.retry = nil
	}
	if err == nil {
		return nil
	}
	n := len(l.unwritten)
	l.giveUp()
	return fmt.Errorf("%d entries of the audit log could not be written and stand in the server's log instead: %w", n, err)
}

// giveUp leaves what cannot be written to the server's own log.
func (l *Log) giveUp() {
	for _, entry := range l.unwritten {
		l.lost(entry)
	}
	l.unwritten = nil
}

func (l *Log) lost(entry []byte) {
	l.log.Error("an entry is missing in the audit log", "entry", string(entry))
}

// NewStream returns a log on a stream, such as standard output. Each entry is one call of
// Write. The first one begins a chain. key signs the entries. Nil: they are not signed.
func NewStream(out io.Writer, key ed25519.PrivateKey, logger *slog.Logger) *Log {
	return newLog(&stream{out: out, key: key}, logger)
}

type stream struct {
	out io.Writer
	key ed25519.PrivateKey
	// last is the hash of the last entry that was written whole.
	last string
	// isInLine means that a part of an entry was written.
	isInLine bool
}

func (*stream) check() error { return nil }

func (*stream) close() {}

func (s *stream) write(entry []byte) error {
	line, hash := seal(entry, s.last, s.key)
	line = append(line, '\n')
	if s.isInLine {
		line = append([]byte{'\n'}, line...)
	}
	if n, err := s.out.Write(line); err != nil {
		s.isInLine = s.isInLine || n > 0
		return fmt.Errorf("write to the stream of the audit log: %w", err)
	}
	s.last, s.isInLine = hash, false
	return nil
}
