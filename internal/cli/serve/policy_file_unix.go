//go:build unix

package serve

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// readOfRoot reads a file that belongs to root, in a folder that does, and that
// nobody else can change.
func readOfRoot(path string) ([]byte, error) {
	folder, err := os.Lstat(filepath.Dir(path))
	if err != nil {
		return nil, unreadable(err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, unreadable(err)
	}
	if !rootsAlone(folder) || !rootsAlone(info) || !info.Mode().IsRegular() {
		return nil, errors.New("it, or its folder, does not belong to root alone. Run chown root and chmod go-w on both")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, unreadable(err)
	}
	defer func() { _ = file.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(file, maxPolicyFile+1))
	switch {
	case err != nil:
		return nil, unreadable(err)
	case len(content) > maxPolicyFile:
		return nil, fmt.Errorf("it is larger than %d bytes", maxPolicyFile)
	}
	return content, nil
}

func rootsAlone(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == 0 && info.Mode().Perm()&0o022 == 0
}

func isOwn(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
