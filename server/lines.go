package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// maxLine bounds one JSON-RPC message over stdio, in bytes.
const maxLine = 4 << 20

// lineTooLong means that a line was passed over.
type lineTooLong struct {
	// id is that of the request in the line, where it could be read.
	id json.RawMessage
}

func (*lineTooLong) Error() string { return "the message is longer than 4 MiB" }

// lineReader reads lines of bounded length. A line that is too long is passed
// over without being held in memory.
type lineReader struct{ r *bufio.Reader }

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{bufio.NewReaderSize(r, 64<<10)}
}

// next returns the next line without its end, a *lineTooLong for one that was
// passed over, or io.EOF. A last line without an end counts as a line.
func (l *lineReader) next() ([]byte, error) {
	var line []byte
	for {
		part, err := l.r.ReadSlice('\n')
		if len(line)+len(part) > maxLine+1 {
			var request idFinder
			request.write(bytes.TrimPrefix(line, byteOrderMark))
			request.write(part)
			if errors.Is(err, bufio.ErrBufferFull) {
				err = l.skip(&request)
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, err
			}
			return nil, &lineTooLong{request.found()}
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

// skip passes over the rest of a line, and has request look at it.
func (l *lineReader) skip(request *idFinder) error {
	for {
		part, err := l.r.ReadSlice('\n')
		request.write(part)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}
