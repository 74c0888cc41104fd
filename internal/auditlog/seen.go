package auditlog

import (
	"io/fs"
	"os"

	"github.com/kenbun/kenbun-mcp/internal/privatefile"
)

// seenFile is the file that this process saw last at the path. It stays open:
// when it is moved away, its end can still be read, also if another process wrote
// that.
type seenFile struct {
	*os.File
	info fs.FileInfo
	// end is the size that the file had after the last entry of this process, and
	// last that entry's hash; 0 and empty if it wrote none.
	end  int64
	last string
}

func (s *seenFile) is(info fs.FileInfo) bool { return os.SameFile(s.info, info) }

// lastHash is that of the last entry in a file that was moved away, empty if it
// has none. Nobody writes to it after that.
func (s *seenFile) lastHash() (string, error) {
	if err := lock(s.File); err != nil {
		return "", err
	}
	end, err := s.tail()
	if err != nil {
		return "", err
	}
	if err := privatefile.Unlock(s.File); err != nil {
		return "", privatefile.Explain("the file cannot be unlocked", err)
	}
	return end.hash, nil
}

func (s *seenFile) tail() (tail, error) {
	info, err := s.Stat()
	if err != nil {
		return tail{}, privatefile.Explain("the file cannot be looked at", err)
	}
	end, err := readTail(s, info.Size())
	if err != nil {
		return tail{}, privatefile.Explain("the file cannot be read", err)
	}
	return end, nil
}
