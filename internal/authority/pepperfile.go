package authority

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/internal/settings"
)

// maxPepperFile bounds the pepper file, in bytes.
const maxPepperFile = 1 << 20

// pepperSource is where the peppers come from: a file, or the text of one. If
// neither is named there is one for the life of the process.
type pepperSource struct {
	file string
	text string
}

func (s pepperSource) String() string {
	if s.text != "" {
		return "the pepper that was given"
	}
	return "the pepper file " + s.file
}

func pepperBeside(database string) string {
	return filepath.Join(filepath.Dir(database), "pepper")
}

// read returns the peppers, or fs.ErrNotExist if the file is missing.
func (s pepperSource) read() (keyring, error) {
	if s.text != "" {
		return s.parse([]byte(s.text))
	}
	content, err := privatefile.ReadSecret(s.file, maxPepperFile)
	if err != nil {
		return nil, fmt.Errorf("read the pepper file: %w", err)
	}
	return s.parse(content)
}

// parse reads a line for each pepper: its version, a space or a colon, the key
// in base64. Versions ascend.
func (s pepperSource) parse(content []byte) (keyring, error) {
	var keys keyring
	lines, err := settings.Lines(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	for i, line := range lines {
		n := i + 1
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		versionText, keyText, _ := strings.Cut(strings.Replace(strings.Join(strings.FieldsFunc(line, settings.IsBlank), " "), ":", " ", 1), " ")
		version, versionErr := strconv.ParseInt(versionText, 10, 64)
		key, keyErr := base64.StdEncoding.DecodeString(strings.TrimSpace(keyText))
		// The line is not repeated in the error: it holds the key.
		if versionErr != nil || keyErr != nil || version < 1 || len(key) != pepperBytes {
			return nil, fmt.Errorf("line %d of %s is damaged, expected a version, a space or colon, and %d bytes in base64: put the right one back", n, s, pepperBytes)
		}
		if len(keys) > 0 && version <= keys.current().version {
			return nil, fmt.Errorf("line %d of %s repeats or goes back to version %d: versions must ascend", n, s, version)
		}
		keys = append(keys, pepper{version: version, key: key})
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s is empty: put the right one back", s)
	}
	return keys, nil
}

func writePepperFile(file string, keys keyring) error {
	var text strings.Builder
	text.WriteString("# Tokens cannot be verified without this file. Keep it secret, and keep its backup apart from the database's.\n")
	for _, p := range keys {
		fmt.Fprintf(&text, "%d %s\n", p.version, base64.StdEncoding.EncodeToString(p.key))
	}
	if err := privatefile.Write(file, []byte(text.String())); err != nil {
		return fmt.Errorf("write the pepper file: %w", err)
	}
	return nil
}
