package delivery

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

const (
	// maxEnvFile bounds the size of a .env file, in bytes.
	maxEnvFile = 1 << 20
	// envFileLockTime bounds the wait for another writer in the folder.
	envFileLockTime = 5 * time.Second
	// roomForToken is more than a new line needs, in bytes.
	roomForToken = 512
)

// EnvFile delivers each new token as the value of one variable in a file of lines NAME=value,
// such as ".env". It replaces the previous value.
type EnvFile struct {
	path, variable string
}

// NewEnvFile delivers into the line of variable, of the form [A-Z_][A-Z0-9_]*, in a file.
func NewEnvFile(path, variable string) (*EnvFile, error) {
	if path == "" {
		return nil, errors.New("the delivery method env-file needs a file: name one with --deliver-env-file")
	}
	if !isVariableName(variable) {
		return nil, fmt.Errorf("%q cannot be the name of a variable: give capital letters, digits and underscores with --deliver-env-name, such as KENBUN_PAT", variable)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the file for new tokens: %w", err)
	}
	return &EnvFile{path: absolute, variable: variable}, nil
}

func isVariableName(name string) bool {
	for i, r := range name {
		if (r < 'A' || r > 'Z') && r != '_' && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

// Method implements tokens.Deliverer.
func (*EnvFile) Method() string { return "env-file" }

// Check implements tokens.Deliverer. It finds the line, and writes a file of the same size
// beside it.
func (e *EnvFile) Check(ctx context.Context) error {
	return e.withFile(ctx, func(file *privatefile.File) error {
		if _, err := findVariable(file.Content(), e.variable); err != nil {
			return err
		}
		return file.Probe(len(file.Content()) + roomForToken)
	})
}

// Current implements tokens.Overwriting.
func (e *EnvFile) Current(ctx context.Context) (current tokens.CurrentValue, err error) {
	err = e.withFile(ctx, func(file *privatefile.File) error {
		at, err := findVariable(file.Content(), e.variable)
		if err == nil {
			current = e.currentAt(file.Content(), at)
		}
		return err
	})
	return current, err
}

func (e *EnvFile) currentAt(content []byte, at envValue) tokens.CurrentValue {
	if !at.found || at.start == at.end {
		return tokens.CurrentValue{}
	}
	digest := sha256.Sum256(content[at.start:at.end])
	return tokens.CurrentValue{
		What:   "the present value of " + e.variable + " in the .env file",
		Digest: hex.EncodeToString(digest[:]),
	}
}

// Deliver sets the variable and leaves every other byte as it is.
func (e *EnvFile) Deliver(ctx context.Context, _ tools.Caller, token *client.CreatedToken) (tokens.Receipt, error) {
	return e.deliver(ctx, token, nil)
}

// Overwrite implements tokens.Overwriting.
func (e *EnvFile) Overwrite(ctx context.Context, _ tools.Caller, token *client.CreatedToken, current tokens.CurrentValue) (tokens.Receipt, error) {
	return e.deliver(ctx, token, &current)
}

// deliver replaces any value if expected is nil.
func (e *EnvFile) deliver(ctx context.Context, token *client.CreatedToken, expected *tokens.CurrentValue) (tokens.Receipt, error) {
	replaced := false
	err := e.withFile(ctx, func(file *privatefile.File) error {
		at, err := findVariable(file.Content(), e.variable)
		if err != nil {
			return err
		}
		current := e.currentAt(file.Content(), at)
		if expected != nil && current != *expected {
			return tokens.ErrCurrentChanged
		}
		replaced = current.What != ""
		content, err := at.with(file.Content(), e.variable, token.Value.Reveal())
		if err != nil {
			return err
		}
		return file.Replace(content)
	})
	if err != nil {
		return tokens.Receipt{}, err
	}
	note := fmt.Sprintf("The value is now that of %s in the file.", e.variable)
	if replaced {
		note += " The previous value is gone from the file, but its token is not revoked by this."
	}
	return tokens.Receipt{
		Method: e.Method(),
		Where:  fmt.Sprintf("%s, variable %s", e.path, e.variable),
		Note:   note + " Tell the user, and that programs that read the file have to be restarted. Do not open it.",
	}, nil
}

// withFile locks the file for do.
func (e *EnvFile) withFile(ctx context.Context, do func(*privatefile.File) error) error {
	file, err := privatefile.Open(e.path, privatefile.Options{MaxSize: maxEnvFile})
	if err != nil {
		return e.error(err)
	}
	waiting, cancel := context.WithTimeout(ctx, envFileLockTime)
	defer cancel()
	err = file.Lock(waiting)
	if err == nil {
		err = do(file)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return e.error(err)
	}
	return nil
}

func (e *EnvFile) error(err error) error {
	if errors.Is(err, tokens.ErrCurrentChanged) {
		return fmt.Errorf("%w: %s in %s", tokens.ErrCurrentChanged, e.variable, e.path)
	}
	why := strings.ReplaceAll(err.Error(), "\n", "; ")
	return fmt.Errorf("the token cannot be put into the .env file %s: %s", e.path, why)
}

// envValue is the position of a variable's value in a file of lines NAME=value.
type envValue struct {
	found bool
	// start and end enclose the value, without its quotation marks.
	start, end int
}

// findVariable finds the value of a variable. It refuses ambiguous files, such as one with two
// lines for it.
//
// There is no standard for such files. This is the common ground of programs: "export" before
// a name, white space around "=", values in single or double quotation marks, perhaps over
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

// lineAt returns the end of the line at position, before its line feed.
func lineAt(content []byte, position int) int {
	if i := bytes.IndexByte(content[position:], '\n'); i >= 0 {
		return position + i
	}
	return len(content)
}

// assignment returns the name that a line assigns to, or "", and the position after "=".
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

// valueAt returns the position of the value after position. A quoted value may end after lineEnd.
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

// closingQuote returns the end of the quotation at position, or -1. A backslash escapes a double
// quotation mark.
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

// with returns content with a new value, or with another line.
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
