package auditlog

import (
	"bytes"
	"io"
)

// tail is what the last whole entry of a file says to the next one.
type tail struct {
	// hash is empty where a new chain has to begin.
	hash string
	// found is false if the file holds no whole entry.
	found bool
}

// readTail looks for the last whole entry in the last maxLine bytes of a file of
// size bytes. What is no entry is passed over. If there is none in them, or the
// last one is from before there were hashes, a new chain has to begin.
func readTail(file io.ReaderAt, size int64) (tail, error) {
	rest := make([]byte, min(size, maxLine))
	if _, err := file.ReadAt(rest, size-int64(len(rest))); err != nil {
		return tail{}, err
	}
	isAll := int64(len(rest)) == size
	for len(rest) > 0 {
		rest = bytes.TrimSuffix(rest, []byte{'\n'})
		start := bytes.LastIndexByte(rest, '\n') + 1
		line := rest[start:]
		if end, ok := readLink(line); ok {
			return tail{hash: end.hash, found: true}, nil
		}
		if isUnlinked(line) {
			return tail{found: true}, nil
		}
		rest = rest[:start]
	}
	return tail{found: !isAll}, nil
}
