package authority

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
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

func newPepper(version int64) pepper {
	p := pepper{version: version, key: make([]byte, pepperBytes)}
	_, _ = rand.Read(p.key) // ends the program rather than return an error
	return p
}

// compare returns the peppers that the database does not know yet, and the
// versions that it knows and k lacks, or an error if one of them is another.
func (k keyring) compare(known map[int64]string, source pepperSource) (unknown keyring, missing []int64, err error) {
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
