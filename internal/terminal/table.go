package terminal

import (
	"fmt"
	"io"
	"strings"

	"github.com/mattn/go-runewidth"
)

// Column is a column of a Table.
type Column struct {
	Title string
	// Shrink lets the column be cut where the table is wider than the terminal.
	Shrink bool
}

// Cell is one field of a row.
type Cell struct {
	Text string
	// Paint, if any, colours the text after it was cut and padded.
	Paint func(string) string
}

// Table is rows under titles. Texts must be on one line and free of control
// characters.
type Table struct {
	Columns []Column
	Rows    [][]Cell
}

const (
	columnGap = 2
	narrowest = 8
)

// Write prints the table, at most width columns wide as far as the columns that
// may shrink allow. A width of 0 means as wide as it needs to be.
func (t Table) Write(w io.Writer, width int, style Style) error {
	widths := t.widths(width)
	header := make([]Cell, len(t.Columns))
	for i, column := range t.Columns {
		header[i] = Cell{Text: column.Title, Paint: style.Dim}
	}
	for _, row := range append([][]Cell{header}, t.Rows...) {
		if _, err := fmt.Fprintln(w, line(row, widths)); err != nil {
			return err
		}
	}
	return nil
}

func (t Table) widths(width int) []int {
	widths := make([]int, len(t.Columns))
	total := columnGap * (len(t.Columns) - 1)
	for i, column := range t.Columns {
		widths[i] = runewidth.StringWidth(column.Title)
		for _, row := range t.Rows {
			widths[i] = max(widths[i], runewidth.StringWidth(row[i].Text))
		}
		total += widths[i]
	}
	for i, column := range t.Columns {
		if width == 0 || total <= width {
			break
		}
		if column.Shrink {
			less := min(total-width, max(widths[i]-narrowest, 0))
			widths[i] -= less
			total -= less
		}
	}
	return widths
}

func line(row []Cell, widths []int) string {
	var b strings.Builder
	for i, cell := range row {
		text := runewidth.Truncate(cell.Text, widths[i], "…")
		gap := ""
		if i < len(row)-1 {
			gap = strings.Repeat(" ", widths[i]-runewidth.StringWidth(text)+columnGap)
		}
		if cell.Paint != nil {
			text = cell.Paint(text)
		}
		b.WriteString(text + gap)
	}
	return b.String()
}
