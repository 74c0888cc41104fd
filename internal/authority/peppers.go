package authority

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/privatefile"
)

// peppers are those that this process has. The file may gain a newer one while
// it runs.
type peppers struct {
	source pepperSource
	keys   atomic.Pointer[keyring]
	mu     sync.Mutex // held while they are renewed
}

func (p *peppers) current() pepper { return p.keys.Load().current() }

// digests yields the value's digest under each pepper, the newest first.
func (p *peppers) digests(value string) iter.Seq[string] {
	keys := *p.keys.Load()
	return func(yield func(string) bool) {
		for i := len(keys) - 1; i >= 0; i-- {
			if !yield(keys[i].digest(value)) {
				return
			}
		}
	}
}

// loadPeppers reads the peppers, or makes the first for a database that never
// had one, and makes sure that they and the database belong together: under
// another pepper every token would be refused without a word of why.
func loadPeppers(ctx context.Context, db *database, source pepperSource, now time.Time) (*peppers, error) {
	known, err := knownPeppers(ctx, db)
	if err != nil {
		return nil, err
	}
	p := &peppers{source: source}
	if source == (pepperSource{}) {
		keys := keyring{newPepper(1)}
		return p, p.adopt(ctx, db, keys, known, now)
	}
	keys, err := source.read()
	if errors.Is(err, fs.ErrNotExist) {
		if len(known) > 0 {
			return nil, fmt.Errorf("the pepper file %s is missing and the tokens in the database cannot be verified without it: put it back, or start afresh with a new database", source.file)
		}
		keys = keyring{newPepper(1)}
		err = writePepperFile(source.file, keys)
	}
	if err != nil {
		return nil, err
	}
	return p, p.adopt(ctx, db, keys, known, now)
}

// adopt has keys count from now on, and tells the database of those that are
// new to it. An old one may be missing once nothing needs it any more.
func (p *peppers) adopt(ctx context.Context, db *database, keys keyring, known map[int64]string, now time.Time) error {
	unknown, missing, err := keys.compare(known, p.source)
	if err != nil {
		return err
	}
	for _, version := range missing {
		needing, err := credentialsUnder(ctx, db, version, now)
		if err != nil {
			return err
		}
		if needing > 0 {
			return fmt.Errorf("%s lacks version %d, which %d tokens or sessions in this database need: put it back", p.source, version, needing)
		}
	}
	for _, key := range unknown {
		if err := rememberPepper(ctx, db, key); err != nil {
			return err
		}
	}
	p.keys.Store(&keys)
	return nil
}

// renew reads the source again if the database knows a newer pepper than this
// process, and tells whether that brought one. Without it a credential may be
// good that nobody here can recognize, and so it is an error.
func (p *peppers) renew(ctx context.Context, db *database) (renewed bool, err error) {
	newest := p.current().version
	var known sql.NullInt64
	if err := db.read.QueryRowContext(ctx, `SELECT max(version) FROM peppers`).Scan(&known); err != nil {
		return false, fmt.Errorf("read the pepper versions: %w", err)
	}
	if known.Int64 <= newest {
		return false, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current().version > newest {
		return true, nil // another request did it
	}
	keys, err := p.source.reread()
	if err != nil {
		return false, err
	}
	if keys.current().version < known.Int64 {
		return false, fmt.Errorf("the database knows version %d of the pepper, and %s ends with version %d: give this node the same as the others", known.Int64, p.source, keys.current().version)
	}
	proofs, err := knownPeppers(ctx, db)
	if err != nil {
		return false, err
	}
	if _, _, err := keys.compare(proofs, p.source); err != nil {
		return false, err
	}
	p.keys.Store(&keys)
	return true, nil
}

// reread is read for a process that runs already: what it was given as text
// cannot have changed.
func (s pepperSource) reread() (keyring, error) {
	if s.file == "" && s.text == "" {
		return nil, errors.New("another process gave the database a pepper of its own")
	}
	return s.read()
}

// credentialsUnder counts what cannot be verified without a pepper.
func credentialsUnder(ctx context.Context, db *database, version int64, now time.Time) (n int, err error) {
	err = db.read.QueryRowContext(ctx, `
		SELECT (SELECT count(*) FROM tokens WHERE pepper_version = $1 AND revoked_at IS NULL)
		     + (SELECT count(*) FROM sessions WHERE pepper_version = $2 AND expires_at > $3)
		     + (SELECT count(*) FROM sign_in_links WHERE pepper_version = $4 AND expires_at > $5)`,
		version, version, toMicros(now), version, toMicros(now)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the tokens under version %d of the pepper: %w", version, err)
	}
	return n, nil
}

// PepperVersion is one of the peppers of a store.
type PepperVersion struct {
	Version int64 `json:"version"`
	// Credentials is how many tokens that are not revoked, sessions and links
	// cannot be verified without it.
	Credentials int `json:"credentials"`
	// Current tells whether new tokens are hashed under it.
	Current bool `json:"current"`
}

// Peppers returns the peppers that this process has, the oldest first. One that
// is not current and has no credentials is not needed any more.
func (a *Authority) Peppers(ctx context.Context) ([]PepperVersion, error) {
	keys := *a.peppers.keys.Load()
	versions := make([]PepperVersion, 0, len(keys))
	for _, key := range keys {
		n, err := credentialsUnder(ctx, a.db, key.version, a.now())
		if err != nil {
			return nil, err
		}
		versions = append(versions, PepperVersion{Version: key.version, Credentials: n, Current: key.version == keys.current().version})
	}
	return versions, nil
}

// RotatePepper adds a pepper to the pepper file, under which tokens are hashed
// from now on, and returns its version. Tokens under an older one go on working
// and are hashed anew at their next use; [Authority.Peppers] tells when an older
// one is not needed any more. Other processes on the store read their file again
// when they meet a token under the new pepper, and cannot verify it until that
// holds it. It returns an [*InvalidError] if the peppers are in no file.
func (a *Authority) RotatePepper(ctx context.Context) (version int64, err error) {
	file := a.peppers.source.file
	if file == "" || a.peppers.source.text != "" {
		return 0, &InvalidError{Field: "pepper", Problem: "is in no file that could be added to: append a line with the next version where it is kept, and start again"}
	}
	unlock, err := privatefile.Lock(ctx, file)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	a.peppers.mu.Lock()
	defer a.peppers.mu.Unlock()
	keys, err := a.peppers.source.read()
	if err != nil {
		return 0, err
	}
	known, err := knownPeppers(ctx, a.db)
	if err != nil {
		return 0, err
	}
	keys = append(keys, newPepper(keys.current().version+1))
	if err := writePepperFile(file, keys); err != nil {
		return 0, err
	}
	return keys.current().version, a.peppers.adopt(ctx, a.db, keys, known, a.now())
}
