package auditlog

import (
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
)

// NewStream returns a log on a stream, such as standard output. Each entry is one
// call of Write. The first one begins a chain. key signs the entries. Nil: nobody
// does.
func NewStream(out io.Writer, key ed25519.PrivateKey, logger *slog.Logger) *Log {
	return newLog(&stream{out: out, key: key}, logger)
}

type stream struct {
	out io.Writer
	key ed25519.PrivateKey
	// last is the hash of the last entry that was written whole.
	last string
	// isInLine tells that a part of an entry was written.
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
