package server

import (
	"bufio"
	"errors"
	"io"
)

// maxLine bounds one JSON-RPC message over stdio, in bytes.
const maxLine = 4 << 20

var errLineTooLong = errors.New("the message is longer than 4 MiB")

// lineReader reads lines of bounded length. A line that is too long is passed
// over without being held in memory.
type lineReader struct{ r *bufio.Reader }

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{bufio.NewReaderSize(r, 64<<10)}
}

// next returns the next line without its end, errLineTooLong for one that was
// passed over, or io.EOF. A last line without an end counts as a line.
func (l *lineReader) next() ([]byte, error) {
	var line []byte
	for {
		part, err := l.r.ReadSlice('\n')
		if len(line)+len(part) > maxLine+1 {
			if errors.Is(err, bufio.ErrBufferFull) {
				err = l.skip()
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, err
			}
			return nil, errLineTooLong
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

func (l *lineReader) skip() error {
	for {
		_, err := l.r.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}
