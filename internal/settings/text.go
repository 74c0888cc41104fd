package settings

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
)

// ErrNotText means that a file is neither UTF-8 nor UTF-16.
var ErrNotText = errors.New("it is not a text file: save it as plain text in UTF-8")

// IsBlank reports whether r shows nothing: white space of any kind, byte order
// marks and characters without width. Other control characters are not blank: they
// are signs of damage.
func IsBlank(r rune) bool {
	return unicode.IsSpace(r) || r != utf8.RuneError && !unicode.IsControl(r) && !plaintext.IsVisible(r)
}

// Trim returns a value without the blanks around it: see [IsBlank]. They come
// from editors, forms and copied text, and no setting begins or ends with one.
func Trim(value string) string { return strings.TrimFunc(value, IsBlank) }

// Text returns the content of a text file in UTF-8 and without a byte order
// mark. It takes UTF-8 and, as PowerShell and Notepad write it, UTF-16 in both
// byte orders.
func Text(content []byte) (string, error) {
	if order := utf16Order(content); order != nil {
		if last := len(content) - 1; len(content)%2 != 0 {
			// A line of such a text, cut off before or within its end.
			if content[last] != 0 {
				return "", ErrNotText
			}
			content = content[:last]
		}
		units := make([]uint16, 0, len(content)/2)
		for i := 0; i < len(content); i += 2 {
			units = append(units, order.Uint16(content[i:]))
		}
		content = []byte(string(utf16.Decode(units)))
	}
	content = bytes.TrimPrefix(content, []byte("\uFEFF"))
	if !utf8.Valid(content) {
		return "", ErrNotText
	}
	return string(content), nil
}

// utf16Order returns the byte order of a text in UTF-16, nil for another text.
// Without a mark, a text is taken for UTF-16 if its first character would be
// ASCII, which in UTF-8 cannot stand beside a zero.
func utf16Order(content []byte) binary.ByteOrder {
	switch {
	case len(content) < 2:
		return nil
	case content[0] == 0xFF && content[1] == 0xFE, content[0] != 0 && content[1] == 0:
		return binary.LittleEndian
	case content[0] == 0xFE && content[1] == 0xFF, content[0] == 0 && content[1] != 0:
		return binary.BigEndian
	}
	return nil
}

// Value returns the one value that a file holds: its text without the blanks
// around it.
func Value(content []byte) (string, error) {
	text, err := Text(content)
	return Trim(text), err
}

// lineEnds makes one line end of each of the three that systems have.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// Lines returns the lines of a text file, each without the blanks around it.
func Lines(content []byte) ([]string, error) {
	text, err := Text(content)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(lineEnds.Replace(text), "\n")
	for i := range lines {
		lines[i] = Trim(lines[i])
	}
	return lines, nil
}

// PEM returns a PEM file as the standard library reads it, which passes over a
// block whose first line has anything before its hyphens. What stands between
// the blocks may be in any encoding.
func PEM(content []byte) []byte {
	if text, err := Text(content); err == nil {
		content = []byte(text)
	}
	lines := bytes.FieldsFunc(content, func(r rune) bool { return r == '\n' || r == '\r' })
	for i := range lines {
		lines[i] = bytes.TrimFunc(lines[i], IsBlank)
	}
	return append(bytes.Join(lines, []byte("\n")), '\n')
}
