package terminal

import (
	"errors"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"
)

func TestTableFitsTheWidth(t *testing.T) {
	table := Table{
		Columns: []Column{{Title: "NAME", Shrink: true}, {Title: "ID"}, {Title: "EXPIRES"}},
		Rows: [][]Cell{
			{{Text: "a name that is far longer than a narrow terminal has room for"}, {Text: "pat_1"}, {Text: "in 12 days"}},
			{{Text: "日本語の名前がここにあります"}, {Text: "pat_22"}, {Text: "never"}},
			{{Text: "🚀 launch"}, {Text: "pat_3"}, {Text: "in 3 days"}},
		},
	}
	for _, width := range []int{0, 40, 60, 200} {
		var b strings.Builder
		if err := table.Write(&b, width, Style{}); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if len(lines) != 4 {
			t.Fatalf("width %d: %d lines, want 4", width, len(lines))
		}
		column := strings.Index(lines[0], "ID")
		for _, l := range lines {
			if w := runewidth.StringWidth(l); width > 0 && w > width {
				t.Errorf("width %d: line of %d columns: %q", width, w, l)
			}
		}
		for _, l := range lines[1:] {
			before, _, found := strings.Cut(l, "pat_")
			if !found || runewidth.StringWidth(before) != column {
				t.Errorf("width %d: the ids do not stand below each other:\n%s", width, b.String())
			}
		}
		if strings.Contains(b.String(), "\x1b") {
			t.Errorf("width %d: colour where there is no terminal", width)
		}
	}
}

func TestConfirmNeedsATerminal(t *testing.T) {
	yes, err := Confirm(t.Context(), strings.NewReader("yes\n"), &strings.Builder{}, "Sure?")
	if yes || !errors.Is(err, ErrNoTerminal) {
		t.Errorf("Confirm on a pipe = %v, %v; want false and ErrNoTerminal", yes, err)
	}
}
