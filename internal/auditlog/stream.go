package auditlog

import (
	"fmt"
	"io"
	"log/slog"
)

// NewStream returns a log on a stream, such as standard output. Each entry is one
// call of Write. The first one begins a chain.
func NewStream(out io.Writer, logger *slog.Logger) *Log {
	return newLog(&stream{out: out}, logger)
}

type stream struct {
	out io.Writer
	// last is the hash of the last entry that was written whole.
	last string
	// isInLine tells that a part of an entry was written.
	isInLine bool
}

func (*stream) check() error { return nil }

func (*stream) close() {}

func (s *stream) write(entry []byte) error {
	line, hash := seal(entry, s.last)
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
