package settings

import (
	"errors"
	"strings"
)

// ErrOpenQuote means that a quotation mark in a list is not closed.
var ErrOpenQuote = errors.New("a quotation mark is not closed")

// List returns the entries of a list: between commas or line breaks, without the
// blanks around them and without those that are empty. An entry may stand in
// quotation marks.
func List(text string) ([]string, error) {
	entries := []string{}
	for entry := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		entry = Trim(entry)
		if quoted, ok := strings.CutPrefix(entry, `"`); ok {
			if entry, ok = strings.CutSuffix(quoted, `"`); !ok {
				return nil, ErrOpenQuote
			}
			entry = Trim(entry)
		}
		if strings.Contains(entry, `"`) {
			return nil, ErrOpenQuote
		}
		if entry != "" {
			entries = append(entries, entry)
		}
	}
	return entries, nil
}
