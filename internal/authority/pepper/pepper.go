// Package pepper holds the keys under which credentials are hashed. They are kept outside
// of the database.
package pepper

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/internal/settings"
)

// keyBytes is the size of a key. A longer one adds nothing (RFC 2104, section 3).
const keyBytes = sha256.Size

// pepper is one key.
type pepper struct {
	version int64
	key     []byte
}

func newPepper(version int64) pepper {
	p := pepper{version: version, key: make([]byte, keyBytes)}
	_, _ = rand.Read(p.key) // ends the program rather than return an error
	return p
}

func (p pepper) digest(value string) string {
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte(value)) // a hash never returns an error
	return hex.EncodeToString(mac.Sum(nil))
}

func (p pepper) proof() string { return p.digest("kenbun-mcp authority pepper") }

// keyring holds the peppers by ascending version. The last is for new values.
type keyring []pepper

func (k keyring) current() pepper { return k[len(k)-1] }

// compare returns the peppers that the store does not know, and the versions that k
// lacks. The error says that one of them differs.
func (k keyring) compare(known map[int64]string, source Source) (unknown keyring, missing []int64, err error) {
	have := make(map[int64]bool, len(k))
	for _, p := range k {
		have[p.version] = true
		proof, seen := known[p.version]
		if seen && !hmac.Equal([]byte(proof), []byte(p.proof())) {
			return nil, nil, fmt.Errorf("version %d of %s is not the one that this database was written with: put the right one back", p.version, source)
		}
		if !seen {
			unknown = append(unknown, p)
		}
	}
	for version := range known {
		if !have[version] {
			missing = append(missing, version)
		}
	}
	slices.Sort(missing)
	return unknown, missing, nil
}

// maxFile bounds the pepper file, in bytes.
const maxFile = 1 << 20

// Source is where the peppers come from: a file, or the text of one. The zero value is
// one pepper for the life of the process.
type Source struct {
	File string
	Text string
}

func (s Source) String() string {
	if s.Text != "" {
		return "the pepper that was given"
	}
	return "the pepper file " + s.File
}

// Beside returns the pepper file that belongs to a database file.
func Beside(database string) string { return filepath.Join(filepath.Dir(database), "pepper") }

// read returns the peppers. The error matches fs.ErrNotExist for a missing file.
func (s Source) read() (keyring, error) {
	if s.Text != "" {
		return s.parse([]byte(s.Text))
	}
	content, err := privatefile.ReadSecret(s.File, maxFile)
	if err != nil {
		return nil, fmt.Errorf("read the pepper file: %w", err)
	}
	return s.parse(content)
}

// parse reads one pepper a line: version, space or colon, key in base64. Versions ascend.
func (s Source) parse(content []byte) (keyring, error) {
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
		// The error does not repeat the line, which holds the key.
		if versionErr != nil || keyErr != nil || version < 1 || len(key) != keyBytes {
			return nil, fmt.Errorf("line %d of %s is damaged, expected a version, a space or colon, and %d bytes in base64: put the right one back", n, s, keyBytes)
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

func writeFile(file string, keys keyring) error {
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
