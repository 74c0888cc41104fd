package privatefile

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// containerSecrets is where Docker and Podman mount secrets: files of root that all users in
// the container can read.
const containerSecrets = "/run/secrets/"

// UnsafeError reports a file that must not hold a secret.
type UnsafeError struct {
	path string
	// problem is what is wrong, such as "has mode 0644: other users can read it".
	problem string
	// mode is what chmod has to set, empty if that does not help.
	mode string
	// advice is what else to do.
	advice string
}

// Error names the file.
func (e *UnsafeError) Error() string {
	if e.mode == "" {
		return fmt.Sprintf("the file %s %s. %s", e.path, e.problem, e.advice)
	}
	return fmt.Sprintf("the file %s %s. Run chmod %s %s%s", e.path, e.problem, e.mode, e.path, e.advice)
}

// ReadSecret returns the content of a file that holds a secret, of at most maxSize bytes. It
// follows symbolic links, as Kubernetes makes them, and checks what it has opened. A file
// that another user could have written, or could read, is an [*UnsafeError]: it must belong
// to the user of this process or to root, and allow nothing to its group or others. Two
// kinds of files of root are accepted besides: one that this process reads through its
// group, and in /run/secrets one that everybody can read. Windows keeps access in lists,
// which are not checked.
func ReadSecret(path string, maxSize int64) ([]byte, error) {
	file, err := openWithoutWaiting(path)
	if err != nil {
		return nil, err
	}
	return readSecret(file, path, maxSize, false)
}

// ReadSecretOnce is [ReadSecret] for a secret that is read once. It also accepts pipes, such
// as a shell's <(command), and waits for their content until ctx is done. A named pipe must
// be for the user alone.
func ReadSecretOnce(ctx context.Context, path string, maxSize int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode()&fs.ModeNamedPipe == 0 {
		return ReadSecret(path, maxSize)
	}
	// It is checked before it is opened, too, so that others do not learn that somebody
	// waits.
	if problem := secretProblem(path, info, true); problem != nil {
		return nil, problem
	}
	type outcome struct {
		content []byte
		err     error
	}
	done := make(chan outcome, 1)
	go func() {
		file, err := os.Open(path)
		if err != nil {
			done <- outcome{nil, err}
			return
		}
		content, err := readSecret(file, path, maxSize, true)
		done <- outcome{content, err}
	}()
	select {
	case read := <-done:
		return read.content, read.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// readSecret checks what was opened, reads it to its end and closes it.
func readSecret(file *os.File, path string, maxSize int64, pipes bool) ([]byte, error) {
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if problem := secretProblem(path, info, pipes); problem != nil {
		return nil, problem
	}
	content, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > maxSize {
		return nil, &UnsafeError{path: path, problem: fmt.Sprintf("is larger than %d bytes, which is too large for its purpose", maxSize), advice: "Name another file"}
	}
	return content, nil
}

// secretProblem returns nil for a file, or with pipes a pipe, that may hold a secret.
func secretProblem(path string, info fs.FileInfo, pipes bool) *UnsafeError {
	problem := &UnsafeError{path: path, mode: "600"}
	if !ownedByUser(info) {
		// With 600 this process could not read a file of root any more.
		problem.mode, problem.advice = "440", ", or set defaultMode: 0440 for a Kubernetes secret"
	}
	mode := fmt.Sprintf("has mode %04o: ", info.Mode().Perm())
	switch {
	case info.IsDir():
		return &UnsafeError{path: path, problem: "is a folder, not a regular file", advice: "Name a regular file"}
	case !info.Mode().IsRegular() && (!pipes || info.Mode()&fs.ModeNamedPipe == 0):
		return &UnsafeError{path: path, problem: "is a device or a pipe, not a regular file", advice: "Name a regular file"}
	case !ownedByUserOrSystem(info):
		return &UnsafeError{path: path, problem: "belongs to another user", advice: "Use a file of your own"}
	case pipes && hasNoName(info):
		return nil // nobody else can open it
	case writableByOthers(info):
		problem.problem = mode + "other users can write to it"
		return problem
	case readableByOthers(info) && !handedOut(path, info):
		problem.problem = mode + "other users can read it"
		return problem
	}
	return nil
}

// handedOut reports whether an orchestrator gave this process a file that more than its
// owner can read.
func handedOut(path string, info fs.FileInfo) bool {
	if !ownedBySystem(info) {
		return false
	}
	absolute, err := filepath.Abs(path)
	return err == nil && strings.HasPrefix(absolute, containerSecrets) || readableByOwnGroupAlone(info)
}
