package audit

import (
	"fmt"
	"io"
	"log/slog"
)

// NewStream returns a log on a stream, such as standard output. Each entry is one
// call of Write.
func NewStream(out io.Writer, logger *slog.Logger) *Log {
	return newLog(stream{out}, logger)
}

type stream struct{ out io.Writer }

func (stream) check() error { return nil }

func (s stream) write(line []byte) error {
	if _, err := s.out.Write(line); err != nil {
		return fmt.Errorf("write to the stream of the audit log: %w", err)
	}
	return nil
}
