package authority

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// pepperBytes is the size of a key: that of the hash, beyond which a longer
// one adds nothing (RFC 2104, section 3).
const pepperBytes = sha256.Size

type pepper struct {
	version int64
	key     []byte
}

// keyring holds the peppers by ascending version. New values are hashed under
// the last; those before it verify what was issued under them.
type keyring []pepper

func (p pepper) digest(value string) string {
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte(value)) // a hash never returns an error
	return hex.EncodeToString(mac.Sum(nil))
}

func (p pepper) proof() string { return p.digest("kenbun-mcp authority pepper") }

func (k keyring) current() pepper { return k[len(k)-1] }

// digests returns the value's digest under each pepper.
func (k keyring) digests(value string) []any {
	out := make([]any, len(k))
	for i, p := range k {
		out[i] = p.digest(value)
	}
	return out
}

func newPepper(version int64) pepper {
	p := pepper{version: version, key: make([]byte, pepperBytes)}
	_, _ = rand.Read(p.key) // ends the program rather than return an error
	return p
}

func pepperBeside(database string) string {
	return filepath.Join(filepath.Dir(database), "pepper")
}

// loadPeppers reads the file, or makes it for a database that never had one,
// and makes sure that file and database belong together: under another pepper
// every token would be refused without a word of why.
func loadPeppers(ctx context.Context, db *database, file string) (keyring, error) {
	known, err := knownPeppers(ctx, db)
	if err != nil {
		return nil, err
	}
	var keys keyring
	if file == "" {
		keys = keyring{newPepper(1)}
	} else {
		keys, err = readPepperFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			if len(known) > 0 {
				return nil, fmt.Errorf("the pepper file %s is missing and the tokens in the database cannot be verified without it: put it back, or start afresh with a new database", file)
			}
			keys = keyring{newPepper(1)}
			err = writePepperFile(file, keys)
		}
		if err != nil {
			return nil, err
		}
	}
	unknown, err := keys.compare(known, file)
	if err != nil {
		return nil, err
	}
	for _, p := range unknown {
		if err := rememberPepper(ctx, db, p); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// compare returns the peppers that the database does not know yet, or an error
// if those that it knows are not all there as they were.
func (k keyring) compare(known map[int64]string, file string) (unknown keyring, err error) {
	have := make(map[int64]bool, len(k))
	for _, p := range k {
		have[p.version] = true
		proof, seen := known[p.version]
		if seen && !hmac.Equal([]byte(proof), []byte(p.proof())) {
			return nil, fmt.Errorf("version %d of the pepper file %s is not the one that this database was written with: put the right file back", p.version, file)
		}
		if !seen {
			unknown = append(unknown, p)
		}
	}
	for version := range known {
		if !have[version] {
			return nil, fmt.Errorf("the pepper file %s lacks version %d, which tokens in this database need: put it back", file, version)
		}
	}
	return unknown, nil
}

func knownPeppers(ctx context.Context, db *database) (_ map[int64]string, err error) {
	rows, err := db.read.QueryContext(ctx, `SELECT version, proof FROM peppers`)
	if err != nil {
		return nil, fmt.Errorf("read the pepper versions: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	known := map[int64]string{}
	for rows.Next() {
		var version int64
		var proof string
		if err := rows.Scan(&version, &proof); err != nil {
			return nil, fmt.Errorf("read the pepper versions: %w", err)
		}
		known[version] = proof
	}
	return known, rows.Err()
}

func rememberPepper(ctx context.Context, db *database, p pepper) error {
	return db.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO peppers (version, proof) VALUES ($1, $2)`, p.version, p.proof())
		if err != nil {
			return fmt.Errorf("store the pepper version: %w", err)
		}
		return nil
	})
}

// The pepper file has a line for each pepper: its version, a space, the key in
// base64. Versions ascend.
func readPepperFile(file string) (_ keyring, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("open the pepper file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := requirePrivateFile(file); err != nil {
		return nil, err
	}
	var keys keyring
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		versionText, keyText, _ := strings.Cut(line, " ")
		version, versionErr := strconv.ParseInt(versionText, 10, 64)
		key, keyErr := base64.StdEncoding.DecodeString(keyText)
		// The line is not repeated in the error: it holds the key.
		if versionErr != nil || keyErr != nil || version < 1 || len(key) != pepperBytes {
			return nil, fmt.Errorf("line %d of the pepper file %s is damaged, expected a version, a space and %d bytes in base64: put the right file back", n, file, pepperBytes)
		}
		if len(keys) > 0 && version <= keys.current().version {
			return nil, fmt.Errorf("line %d of the pepper file %s repeats or goes back to version %d: versions must ascend", n, file, version)
		}
		keys = append(keys, pepper{version: version, key: key})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the pepper file: %w", err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("the pepper file %s is empty: put the right file back", file)
	}
	return keys, nil
}

func writePepperFile(file string, keys keyring) error {
	var text strings.Builder
	text.WriteString("# Tokens cannot be verified without this file. Keep it secret, and keep its backup apart from the database's.\n")
	for _, p := range keys {
		fmt.Fprintf(&text, "%d %s\n", p.version, base64.StdEncoding.EncodeToString(p.key))
	}
	if err := writePrivateFile(file, []byte(text.String())); err != nil {
		return fmt.Errorf("write the pepper file: %w", err)
	}
	return nil
}
