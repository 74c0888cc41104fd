package state

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/internal/settings"
)

// keyBytes is the size of a deployment's key, that of the ciphers and hashes
// that use what is derived from it.
const keyBytes = 32

// Key is the secret that the replicas of a deployment share. What protects
// state is derived from it, and it is never in the store itself.
type Key struct{ secret [keyBytes]byte }

// NewKey returns a random key.
func NewKey() *Key {
	k := &Key{}
	_, _ = rand.Read(k.secret[:]) // never fails: crypto/rand.Read ends the process instead
	return k
}

// Derive returns the 32 bytes for purpose (HKDF-SHA-256, RFC 5869). Other
// purposes give independent bytes.
func (k *Key) Derive(purpose string) []byte {
	derived, err := hkdf.Expand(sha256.New, k.secret[:], "kenbun-mcp "+purpose+" v1", keyBytes)
	if err != nil {
		panic(err) // only lengths beyond 255 hashes fail
	}
	return derived
}

// LoadKey reads the key from file: 32 bytes in base64, on one line. A file that
// is not there is made, for its owner alone, with a random key. Errors never
// hold the key.
func LoadKey(file string) (*Key, error) {
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return readKey(file)
	}
	if err := writeKey(file, NewKey()); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, privatefile.Explain("the key file "+file+" is not there and cannot be made", err)
	}
	// Another process may have made it at the same time.
	return readKey(file)
}

func readKey(file string) (*Key, error) {
	text, err := privatefile.ReadSecret(file, 1<<10)
	var unsafeFile *privatefile.UnsafeError
	if errors.As(err, &unsafeFile) {
		return nil, fmt.Errorf("the key cannot be used: %w", err)
	}
	if err != nil {
		return nil, privatefile.Explain("the key file "+file+" cannot be read", err)
	}
	value, err := settings.Value(text)
	if err != nil {
		return nil, fmt.Errorf("the key file %s: %w", file, err)
	}
	decoded, err := base64.StdEncoding.DecodeString(value)
	if err != nil || len(decoded) != keyBytes {
		return nil, fmt.Errorf("the key file %s does not hold a key, which is %d random bytes in base64 on one line: "+
			"write one with `head -c %d /dev/urandom | base64`, or name a file that is not there and it is made", file, keyBytes, keyBytes)
	}
	key := &Key{}
	copy(key.secret[:], decoded)
	return key, nil
}

// writeKey writes a new file that is there with all of its content or not at
// all.
func writeKey(file string, key *Key) (err error) {
	temporary := file + ".new-" + rand.Text()
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(temporary)) }()
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(key.secret[:]) + "\n")
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	// A link fails where a file is already, a rename would put it away.
	return os.Link(temporary, file)
}
