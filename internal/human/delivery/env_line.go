package delivery

import (
	"bytes"
	"errors"
	"fmt"
)

// envValue is where the value of a variable stands in a file of lines
// NAME=value.
type envValue struct {
	found bool
	// start and end enclose the value, without quotation marks around it.
	start, end int
}

// findVariable finds the value of a variable. What it cannot tell for sure, such
// as which of two lines counts, it refuses.
//
// There is no standard for such files. What is understood here is what the
// programs that read them have in common: "export" before a name, white space
// around "=", values in single or double quotation marks, which may then go over
// several lines, and comments after "#".
func findVariable(content []byte, variable string) (envValue, error) {
	if bytes.IndexByte(content, 0) >= 0 {
		return envValue{}, errors.New("it is no text file")
	}
	var value envValue
	for next := 0; next < len(content); {
		line := lineAt(content, next)
		name, at := assignment(content, next, line)
		ours := name == variable
		next = line
		if next < len(content) {
			next++ // the line feed
		}
		if name == "" {
			continue
		}
		start, end, err := valueAt(content, at, line)
		switch {
		case err != nil && ours:
			return envValue{}, fmt.Errorf("the line of %s cannot be understood (%w): write it anew as %s=", variable, err, variable)
		case err != nil:
			continue
		case end > line && ours:
			return envValue{}, fmt.Errorf("the value of %s goes over several lines: write it anew as %s=", variable, variable)
		case end > line:
			if holdsAssignment(content[line+1:end], variable) {
				return envValue{}, fmt.Errorf("a line that looks like that of %s stands inside the value of another variable: take it out there", variable)
			}
			next = min(lineAt(content, end)+1, len(content))
		case ours && value.found:
			return envValue{}, fmt.Errorf("there is more than one line for %s, and programs differ in which one counts: leave one", variable)
		case ours:
			value = envValue{found: true, start: start, end: end}
		}
	}
	return value, nil
}

// lineAt returns where the line that holds position ends, before its line feed.
func lineAt(content []byte, position int) int {
	if i := bytes.IndexByte(content[position:], '\n'); i >= 0 {
		return position + i
	}
	return len(content)
}

// assignment returns the name that the line from start to end assigns to, ""
// for other lines, and where what follows "=" begins.
func assignment(content []byte, start, end int) (name string, after int) {
	line := content[start:end]
	equals := bytes.IndexByte(line, '=')
	if equals < 0 {
		return "", 0
	}
	left := bytes.Trim(line[:equals], " \t")
	if start == 0 {
		left = bytes.TrimLeft(bytes.TrimPrefix(left, []byte("\ufeff")), " \t")
	}
	if rest, ok := bytes.CutPrefix(left, []byte("export")); ok && len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t') {
		left = bytes.TrimLeft(rest, " \t")
	}
	if len(left) == 0 || left[0] == '#' || bytes.ContainsAny(left, " \t'\"") {
		return "", 0
	}
	return string(left), start + equals + 1
}

func holdsAssignment(content []byte, variable string) bool {
	for next := 0; next < len(content); {
		line := lineAt(content, next)
		if name, _ := assignment(content, next, line); name == variable {
			return true
		}
		next = line + 1
	}
	return false
}

// valueAt returns where the value that begins after position stands. lineEnd is
// where the line ends; a value in quotation marks may end behind it.
func valueAt(content []byte, position, lineEnd int) (start, end int, err error) {
	for position < lineEnd && (content[position] == ' ' || content[position] == '\t') {
		position++
	}
	if position < lineEnd && (content[position] == '"' || content[position] == '\'') {
		end := closingQuote(content, position)
		if end < 0 {
			return 0, 0, errors.New("a quotation mark is not closed")
		}
		if !isEmptyOrComment(content[end+1 : lineAt(content, end)]) {
			return 0, 0, errors.New("something follows after the quotation marks")
		}
		return position + 1, end, nil
	}
	end = lineEnd
	for i := position; i < lineEnd; i++ {
		if content[i] == '#' && (i == position || content[i-1] == ' ' || content[i-1] == '\t') {
			end = i
			break
		}
	}
	for end > position && isBlank(content[end-1]) {
		end--
	}
	return position, end, nil
}

// closingQuote returns where the quotation mark at position is closed, negative
// if nowhere. A backslash keeps a double one from closing.
func closingQuote(content []byte, position int) int {
	quote := content[position]
	for i := position + 1; i < len(content); i++ {
		switch {
		case content[i] == '\\' && quote == '"':
			i++
		case content[i] == quote:
			return i
		}
	}
	return -1
}

func isEmptyOrComment(rest []byte) bool {
	rest = bytes.TrimFunc(rest, func(r rune) bool { return r < 0x80 && isBlank(byte(r)) }) //nolint:gosec // one byte, as just checked
	return len(rest) == 0 || rest[0] == '#'
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' || b == '\r' }

// with returns content with value in the place of the present one, or with one
// line more.
func (v envValue) with(content []byte, variable, value string) ([]byte, error) {
	for i := range len(value) {
		if b := value[i]; (b < '0' || b > '9') && (b < 'A' || b > 'Z') && (b < 'a' || b > 'z') && b != '_' && b != '-' {
			return nil, errors.New("the value has characters that no token has")
		}
	}
	if v.found {
		before, after := content[:v.start], content[v.end:]
		if len(after) > 0 && after[0] == '#' {
			// "NAME=# comment": the value must not run into the comment.
			value += " "
		}
		return bytes.Join([][]byte{before, []byte(value), after}, nil), nil
	}
	lineEnd := "\n"
	if bytes.Contains(content, []byte("\r\n")) {
		lineEnd = "\r\n"
	}
	line := variable + "=" + value + lineEnd
	if len(content) > 0 && content[len(content)-1] != '\n' {
		line = lineEnd + variable + "=" + value
	}
	return append(bytes.Clone(content), line...), nil
}
