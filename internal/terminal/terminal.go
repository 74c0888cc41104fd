// Package terminal shows things to a person at a terminal: tables that fit,
// colour where it can be seen, questions.
package terminal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Is reports whether stream is a terminal.
func Is(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Width returns how many columns the terminal behind w has, or 0 if w is no
// terminal.
func Width(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// Style writes in colour where that can be seen.
type Style struct{ colour bool }

// StyleFor returns the style for w: without colour where w is no terminal,
// where NO_COLOR is set (no-color.org), or where the terminal is "dumb".
func StyleFor(w io.Writer) Style {
	return Style{colour: Is(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// Bold returns s in bold.
func (s Style) Bold(text string) string { return s.wrap("1", text) }

// Dim returns s less bright than the rest.
func (s Style) Dim(text string) string { return s.wrap("2", text) }

// Warn returns s in yellow.
func (s Style) Warn(text string) string { return s.wrap("33", text) }

// Good returns s in green.
func (s Style) Good(text string) string { return s.wrap("32", text) }

func (s Style) wrap(code, text string) string {
	if !s.colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// ErrNoTerminal means that there is nobody to ask.
var ErrNoTerminal = errors.New("there is no terminal at which a person could answer")

// Confirm puts a question to the person at the terminal and reports whether the
// answer was yes. Anything but "y" or "yes" is no. Without a terminal it
// returns ErrNoTerminal, and when ctx is done, ctx's error.
func Confirm(ctx context.Context, in io.Reader, out io.Writer, question string) (bool, error) {
	if !Is(in) {
		return false, ErrNoTerminal
	}
	if _, err := fmt.Fprintf(out, "%s [y/N] ", question); err != nil {
		return false, err
	}
	type entry struct {
		line string
		err  error
	}
	entered := make(chan entry, 1)
	go func() {
		line, err := bufio.NewReader(in).ReadString('\n')
		entered <- entry{line, err}
	}()
	select {
	case got := <-entered:
		if got.err != nil && !errors.Is(got.err, io.EOF) {
			return false, got.err
		}
		answer := strings.ToLower(strings.TrimSpace(got.line))
		return answer == "y" || answer == "yes", nil
	case <-ctx.Done():
		// Reading from a terminal cannot be broken off; the process ends soon.
		_, err := fmt.Fprintln(out)
		return false, errors.Join(ctx.Err(), err)
	}
}
