// Package pepper holds the keys under which credentials are hashed. They are kept outside
// of the database.
package pepper

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
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

// Store knows which peppers its credentials were hashed under.
type Store interface {
	// Peppers returns a proof of each pepper, by version.
	Peppers(ctx context.Context) (map[int64]string, error)
	AddPepper(ctx context.Context, version int64, proof string) error
	NewestPepper(ctx context.Context) (version int64, err error)
	// CredentialsUnder counts the credentials that only this pepper verifies.
	CredentialsUnder(ctx context.Context, version int64, now time.Time) (int, error)
}

// Ring holds the peppers of this process. A newer one may be added while it runs.
type Ring struct {
	store  Store
	source Source
	now    func() time.Time
	keys   atomic.Pointer[keyring]
	mu     sync.Mutex // held while they are renewed
}

// Digest implements [domain.Hasher].
func (r *Ring) Digest(value string) (digest string, version int64) {
	current := r.keys.Load().current()
	return current.digest(value), current.version
}

// Digests implements [domain.Hasher].
func (r *Ring) Digests(value string) iter.Seq[string] {
	keys := *r.keys.Load()
	return func(yield func(string) bool) {
		for i := len(keys) - 1; i >= 0; i-- {
			if !yield(keys[i].digest(value)) {
				return
			}
		}
	}
}

// Load reads the peppers, or makes the first one for a new store. It refuses peppers
// that do not belong to the store, under which every token would be refused.
func Load(ctx context.Context, store Store, source Source, now func() time.Time) (*Ring, error) {
	known, err := store.Peppers(ctx)
	if err != nil {
		return nil, err
	}
	r := &Ring{store: store, source: source, now: now}
	if source == (Source{}) {
		return r, r.adopt(ctx, keyring{newPepper(1)}, known)
	}
	keys, err := source.read()
	if errors.Is(err, fs.ErrNotExist) {
		if len(known) > 0 {
			return nil, fmt.Errorf("the pepper file %s is missing and the tokens in the database cannot be verified without it: put it back, or start afresh with a new database", source.File)
		}
		keys = keyring{newPepper(1)}
		err = writeFile(source.File, keys)
	}
	if err != nil {
		return nil, err
	}
	return r, r.adopt(ctx, keys, known)
}

// adopt puts keys into use and adds new ones to the store. An old one may be missing if
// no credential needs it.
func (r *Ring) adopt(ctx context.Context, keys keyring, known map[int64]string) error {
	unknown, missing, err := keys.compare(known, r.source)
	if err != nil {
		return err
	}
	for _, version := range missing {
		needing, err := r.store.CredentialsUnder(ctx, version, r.now())
		if err != nil {
			return err
		}
		if needing > 0 {
			return fmt.Errorf("%s lacks version %d, which %d tokens or sessions in this database need: put it back", r.source, version, needing)
		}
	}
	for _, key := range unknown {
		if err := r.store.AddPepper(ctx, key.version, key.proof()); err != nil {
			return err
		}
	}
	r.keys.Store(&keys)
	return nil
}

// Renew implements [domain.Hasher]. The error says that the store has a newer pepper that
// the source lacks, so that a good credential may go unrecognized.
func (r *Ring) Renew(ctx context.Context) (renewed bool, err error) {
	newest := r.keys.Load().current().version
	known, err := r.store.NewestPepper(ctx)
	if err != nil {
		return false, fmt.Errorf("verify a credential: %w", err)
	}
	if known <= newest {
		return false, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys.Load().current().version > newest {
		return true, nil // another request did it
	}
	keys, err := r.source.reread()
	if err != nil {
		return false, err
	}
	if keys.current().version < known {
		return false, fmt.Errorf("the database knows version %d of the pepper, and %s ends with version %d: give this node the same as the others", known, r.source, keys.current().version)
	}
	proofs, err := r.store.Peppers(ctx)
	if err != nil {
		return false, err
	}
	if _, _, err := keys.compare(proofs, r.source); err != nil {
		return false, err
	}
	r.keys.Store(&keys)
	return true, nil
}

// reread returns the peppers again, for a running process. Text cannot have changed.
func (s Source) reread() (keyring, error) {
	if s.File == "" && s.Text == "" {
		return nil, errors.New("another process gave the database a pepper of its own")
	}
	return s.read()
}

// Version is one of the peppers of a store.
type Version struct {
	Version int64 `json:"version"`
	// Credentials counts the live credentials that cannot be verified without it.
	Credentials int `json:"credentials"`
	// Current reports whether new tokens are hashed under it.
	Current bool `json:"current"`
}

// Peppers returns the peppers of this process, the oldest first. One that is not current
// and has no credentials is no longer needed.
func (r *Ring) Peppers(ctx context.Context) ([]Version, error) {
	keys := *r.keys.Load()
	versions := make([]Version, 0, len(keys))
	for _, key := range keys {
		n, err := r.store.CredentialsUnder(ctx, key.version, r.now())
		if err != nil {
			return nil, err
		}
		versions = append(versions, Version{Version: key.version, Credentials: n, Current: key.version == keys.current().version})
	}
	return versions, nil
}

// RotatePepper adds a pepper to the file, hashes new tokens under it, and returns its
// version. Older tokens keep working and are rehashed at their next use; [Ring.Peppers]
// shows when an older pepper is no longer needed. Other processes reread their file when
// they meet a token under the new pepper. The error is a [*domain.InvalidError] if the
// peppers are not in a file.
func (r *Ring) RotatePepper(ctx context.Context) (version int64, err error) {
	if r.source.File == "" || r.source.Text != "" {
		return 0, &domain.InvalidError{Field: "pepper", Problem: "is not in a file that could be extended: append a line with the next version where you keep it, and start again"}
	}
	unlock, err := privatefile.Lock(ctx, r.source.File)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	r.mu.Lock()
	defer r.mu.Unlock()
	keys, err := r.source.read()
	if err != nil {
		return 0, err
	}
	known, err := r.store.Peppers(ctx)
	if err != nil {
		return 0, err
	}
	keys = append(keys, newPepper(keys.current().version+1))
	if err := writeFile(r.source.File, keys); err != nil {
		return 0, err
	}
	return keys.current().version, r.adopt(ctx, keys, known)
}
