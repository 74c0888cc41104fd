package rpc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// MaxLine bounds one JSON-RPC message over stdio, in bytes.
const MaxLine = 4 << 20

// LineTooLong indicates that a line was skipped.
type LineTooLong struct {
	// ID is that of the request in the line, if it could be read.
	ID json.RawMessage
}

func (*LineTooLong) Error() string { return "the message is longer than 4 MiB" }

// LineReader reads lines of bounded length. A line that is too long is skipped
// without being held in memory.
type LineReader struct{ r *bufio.Reader }

// NewLineReader returns a LineReader of r.
func NewLineReader(r io.Reader) *LineReader {
	return &LineReader{bufio.NewReaderSize(r, 64<<10)}
}

// Next returns the next line without its end, a *LineTooLong for one that was
// skipped, or io.EOF. A last line without an end counts as a line.
func (l *LineReader) Next() ([]byte, error) {
	var line []byte
	for {
		part, err := l.r.ReadSlice('\n')
		if len(line)+len(part) > MaxLine+1 {
			var request idFinder
			request.write(bytes.TrimPrefix(line, byteOrderMark))
			request.write(part)
			if errors.Is(err, bufio.ErrBufferFull) {
				err = l.skip(&request)
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, err
			}
			return nil, &LineTooLong{request.found()}
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		default:
			return nil, err
		}
	}
}

// skip skips the rest of a line, and shows it to request.
func (l *LineReader) skip(request *idFinder) error {
	for {
		part, err := l.r.ReadSlice('\n')
		request.write(part)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}
