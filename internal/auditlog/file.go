package auditlog

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/privatefile"
)

const (
	// lockPatience bounds how long an entry waits for another process to write its own.
	lockPatience = time.Second
	lockRetry    = 5 * time.Millisecond
)

// OpenFile returns a log in a file of mode 0600, and creates it if needed. It fails if
// nothing could be written now. The file is opened for each entry: after a rotation the next
// entry goes to a new file, and names the last entry of the old one. key signs the entries.
// Nil: they are not signed.
func OpenFile(path string, key ed25519.PrivateKey, logger *slog.Logger) (*Log, error) {
	f := &file{path: path, key: key}
	if err := f.check(); err != nil {
		f.close()
		return nil, fmt.Errorf("the audit log %s cannot be used: %w", path, err)
	}
	return newLog(f, logger), nil
}

type file struct {
	path   string
	key    ed25519.PrivateKey
	seen   *seenFile // nil where this process has seen none yet
	closed bool
}

func (f *file) check() error {
	opened, err := privatefile.OpenAppend(f.path)
	if err != nil {
		return err
	}
	info, err := opened.Stat()
	if err != nil {
		return errors.Join(privatefile.Explain("the file cannot be looked at", err), opened.Close())
	}
	// A new file that is still empty says less than the one before it.
	if f.seen == nil || info.Size() > 0 && !f.seen.is(info) {
		f.keep(&seenFile{File: opened, info: info})
		return nil
	}
	if err := opened.Close(); err != nil {
		return privatefile.Explain("the file cannot be closed", err)
	}
	return nil
}

func (f *file) write(entry []byte) error {
	opened, err := f.openLocked()
	if err != nil {
		return err
	}
	seen, err := f.add(opened, entry)
	if err != nil {
		return errors.Join(err, opened.Close())
	}
	if privatefile.Unlock(opened) != nil {
		// The entry is on the disk, and the lock ends with the file.
		_ = opened.Close()
		seen = nil
	}
	f.keep(seen)
	return nil
}

// openLocked opens the file, and locks it while it is the one at the path, so that nothing
// follows the end of a file that was moved away.
func (f *file) openLocked() (*os.File, error) {
	for deadline := time.Now().Add(lockPatience); ; {
		opened, err := privatefile.OpenAppend(f.path)
		if err != nil {
			return nil, err
		}
		// A line of another process must not come between part of this one and its removal.
		if err := lock(opened); err != nil {
			return nil, errors.Join(err, opened.Close())
		}
		atPath, err := f.isAtPath(opened)
		if err != nil {
			return nil, errors.Join(privatefile.Explain("the file cannot be looked at", err), opened.Close())
		}
		if atPath {
			return opened, nil
		}
		if err := opened.Close(); err != nil {
			return nil, privatefile.Explain("the file cannot be closed", err)
		}
		if time.Now().After(deadline) {
			return nil, errors.New("the file was moved away each time that it was opened: see who does that")
		}
	}
}

func (f *file) isAtPath(opened *os.File) (bool, error) {
	info, err := opened.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Lstat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(info, there), err
}

// add writes the line of entry to the end of the file, or leaves it as it was.
func (f *file) add(opened *os.File, entry []byte) (*seenFile, error) {
	info, err := opened.Stat()
	if err != nil {
		return nil, privatefile.Explain("the file cannot be looked at", err)
	}
	previous, err := f.previous(opened, info)
	if err != nil {
		return nil, err
	}
	line, hash := seal(entry, previous, f.key)
	whole, err := afterWholeLine(opened, info.Size(), append(line, '\n'))
	if err != nil {
		return nil, err
	}
	if _, err = opened.Write(whole); err == nil {
		err = opened.Sync()
	}
	if err == nil {
		return &seenFile{File: opened, info: info, end: info.Size() + int64(len(whole)), last: hash}, nil
	}
	problem := privatefile.Explain("the file cannot be written to", err)
	if err := opened.Truncate(info.Size()); err != nil {
		return nil, errors.Join(problem, privatefile.Explain("a part of an entry could not be removed", err))
	}
	return nil, problem
}

// previous is the hash that the next entry in the file has to name.
func (f *file) previous(opened *os.File, info fs.FileInfo) (string, error) {
	if f.seen != nil && f.seen.is(info) && info.Size() < f.seen.end {
		// Somebody cut its end off. Let the next entry show it.
		return f.seen.last, nil
	}
	end, err := readTail(opened, info.Size())
	if err != nil {
		return "", privatefile.Explain("the file cannot be read", err)
	}
	if end.found || f.seen == nil || f.seen.is(info) {
		return end.hash, nil
	}
	hash, err := f.seen.lastHash()
	if err != nil {
		// The next try begins a new chain: an unreadable file must not keep entries away for
		// ever.
		f.keep(nil)
		return "", fmt.Errorf("the end of the file before this one is not known: %w", err)
	}
	return hash, nil
}

// keep remembers a file in the place of the one that was remembered.
func (f *file) keep(seen *seenFile) {
	if f.seen != nil {
		_ = f.seen.Close() // what this process wrote to it is on the disk
	}
	f.seen = seen
	if f.closed && seen != nil {
		f.close()
	}
}

func (f *file) close() {
	f.closed = true
	if f.seen != nil {
		f.keep(nil)
	}
}

// afterWholeLine returns what to write so that line stands alone, even after an incomplete
// one.
func afterWholeLine(opened *os.File, size int64, line []byte) ([]byte, error) {
	if size == 0 {
		return line, nil
	}
	var last [1]byte
	if _, err := opened.ReadAt(last[:], size-1); err != nil {
		return nil, privatefile.Explain("the file cannot be read", err)
	}
	if last[0] == '\n' {
		return line, nil
	}
	return append([]byte{'\n'}, line...), nil
}

// lock ends when the file is closed, or unlocked.
func lock(opened *os.File) error {
	deadline := time.Now().Add(lockPatience)
	for {
		err := privatefile.TryLock(opened)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, privatefile.ErrLocked):
			return privatefile.Explain("the file cannot be locked", err)
		case time.Now().After(deadline):
			return errors.New("another program holds a lock on the file and does not come to an end")
		}
		time.Sleep(lockRetry)
	}
}

// seenFile is the file that this process last saw at the path. It stays open, so that its
// end can be read after it is moved away.
type seenFile struct {
	*os.File
	info fs.FileInfo
	// end is the size of the file after the last entry of this process, and last that
	// entry's hash; 0 and empty if it wrote none.
	end  int64
	last string
}

func (s *seenFile) is(info fs.FileInfo) bool { return os.SameFile(s.info, info) }

// lastHash returns the hash of the last entry in a file that was moved away, empty if it has
// none.
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

// tail is what the last whole entry of a file says to the next one.
type tail struct {
	// hash is empty where a new chain has to begin.
	hash string
	// found is false if the file holds no whole entry.
	found bool
}

// readTail looks for the last whole entry in the last maxLine bytes of a file, and skips
// other lines. If there is none, or it has no hash, a new chain has to begin.
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
