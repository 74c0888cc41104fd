package terminal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// maxSecret bounds what is read as a secret, in bytes.
const maxSecret = 64 << 10

// ErrNothingEntered means that the person, or the program at the other end of
// the pipe, gave nothing.
var ErrNothingEntered = errors.New("nothing was entered")

// ReadSecret reads one line without showing it: from a person if in is a
// terminal, asked by prompt on out, and otherwise from the program at the other
// end, which is not asked. The line comes without its end. When ctx ends while a
// person is asked, the terminal shows again what is typed.
func ReadSecret(ctx context.Context, in io.Reader, out io.Writer, prompt string) ([]byte, error) {
	file, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return readLine(in)
	}
	if _, err := fmt.Fprint(out, prompt); err != nil {
		return nil, err
	}
	state, err := term.GetState(int(file.Fd()))
	if err != nil {
		return nil, fmt.Errorf("look at the terminal: %w", err)
	}
	type entry struct {
		line []byte
		err  error
	}
	entered := make(chan entry, 1)
	go func() {
		line, err := term.ReadPassword(int(file.Fd()))
		entered <- entry{line, err}
	}()
	select {
	case got := <-entered:
		// What was typed was not shown, the end of its line neither.
		if _, err := fmt.Fprintln(out); err != nil {
			return nil, err
		}
		switch {
		case errors.Is(got.err, io.EOF):
			return nil, ErrNothingEntered
		case got.err != nil:
			return nil, fmt.Errorf("read from the terminal: %w", got.err)
		}
		return nonEmpty(got.line)
	case <-ctx.Done():
		// Reading from a terminal cannot be broken off; the process ends soon.
		return nil, errors.Join(ctx.Err(), term.Restore(int(file.Fd()), state))
	}
}

func readLine(in io.Reader) ([]byte, error) {
	line, err := bufio.NewReader(io.LimitReader(in, maxSecret)).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return nonEmpty(bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")))
}

func nonEmpty(line []byte) ([]byte, error) {
	if len(line) == 0 {
		return nil, ErrNothingEntered
	}
	return line, nil
}
