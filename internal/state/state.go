// Package state keeps short-lived state of a server's replicas: secrets that wait to be
// fetched, answers that count once, and counts of attempts. It is in the memory of one
// process or in Redis.
package state

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/internal/ratelimit"
	"github.com/kenbun/kenbun-mcp/internal/settings"
	"github.com/kenbun/kenbun-mcp/internal/trust"
)

// Store is short-lived state. Its keys are not secret, and callers encrypt secret
// values. Methods may be called concurrently. After an error that is not one of
// this package it is not known whether the operation took effect.
type Store interface {
	// Get returns the value at key. ok is false if there is none.
	Get(ctx context.Context, key string) (value []byte, ok bool, err error)
	// Swap stores next at key for keep if the present value is old, and reports whether next
	// is stored now. A nil old stands for no value. The same Swap may be repeated after an
	// error, if nobody else would store the same next.
	Swap(ctx context.Context, key string, old, next []byte, keep time.Duration) (swapped bool, err error)
	// Count increments the counter at key and returns it. The counter restarts when window
	// has passed since its first count.
	Count(ctx context.Context, key string, window time.Duration) (int, error)
	// Take takes a token from the bucket at key, if there is one, and returns the level. An
	// unused bucket is full. A key always has the same limit.
	Take(ctx context.Context, key string, limit ratelimit.Limit) (ratelimit.Level, error)
	// Schedule makes Due return name from the time at on. A name has one time; the last
	// counts.
	Schedule(ctx context.Context, name string, at time.Time) error
	// Due returns up to limit names whose time has come and postpones them by lease, so that
	// one caller gets each, and another does if the first dies.
	Due(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]string, error)
	// Unschedule forgets name.
	Unschedule(ctx context.Context, name string) error
	// Shared reports whether other processes see the store, and whether it outlives this
	// one.
	Shared() bool
	// Ping reports whether the store can be used now. The error says what the operator must
	// change.
	Ping(ctx context.Context) error
	// Close frees what the store holds.
	Close() error
}

// Errors that are about what was asked for, and not about reaching the store.
var (
	// ErrFull means that a store in memory holds as much as it may.
	ErrFull = errors.New("the memory for short-lived state is full: wait, or keep it in Redis with --state")
	// ErrOtherKey means that the store is used by replicas with another key.
	ErrOtherKey = errors.New("the replicas that share this Redis have another key: give all of them the same --state-key-file, " +
		"or this one another database number at the end of the address")
)

// Once reports whether it is called for key for the first time within keep.
func Once(ctx context.Context, store Store, key string, keep time.Duration) (first bool, err error) {
	return store.Swap(ctx, key, nil, []byte(rand.Text()), keep)
}

// InMemory is the address of a store that ends with the process.
const InMemory = "memory"

// ErrBadAddress indicates an address that cannot be read. It does not repeat it.
var ErrBadAddress = errors.New("the address is \"memory\", or that of Redis: redis://user:password@host:port/database, over TLS rediss://, " +
	"with characters such as @ and / in the password as %40 and %2F")

// Config is what a store is opened from.
type Config struct {
	// Address is "memory", or where Redis or Valkey is:
	// redis://[user:password@]host[:port][/database], with rediss:// over TLS.
	Address string
	// Key is the deployment's. Replicas with another key cannot use the same Redis.
	Key *Key
	// CAFile holds further certificate authorities (PEM) to trust for rediss://.
	CAFile string
}

// Open returns the store at config.Address once it can be used. Its errors hold no part of
// the address that could be a password.
func Open(ctx context.Context, config Config) (Store, error) {
	if config.Address == InMemory {
		return NewMemory(), nil
	}
	if !strings.HasPrefix(config.Address, "redis://") && !strings.HasPrefix(config.Address, "rediss://") {
		return nil, ErrBadAddress
	}
	if config.Key == nil {
		return nil, errors.New("state in Redis is encrypted under a key that all replicas share: name its file with --state-key-file")
	}
	if strings.HasPrefix(config.Address, "rediss://") {
		if err := trust.CheckEnvironment(); err != nil {
			return nil, err
		}
	}
	trusted, err := trust.TLSConfig(config.CAFile)
	if err != nil {
		return nil, err
	}
	store, err := newRedis(config.Address, config.Key, trusted)
	if err != nil {
		return nil, err
	}
	if err := store.Ping(ctx); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// keyBytes is the size of a deployment's key and of the keys derived from it.
const keyBytes = 32

// Key is the secret that the replicas of a deployment share. It is never in the store
// itself.
type Key struct{ secret [keyBytes]byte }

// NewKey returns a random key.
func NewKey() *Key {
	k := &Key{}
	_, _ = rand.Read(k.secret[:]) // never fails: crypto/rand.Read ends the process instead
	return k
}

// Derive returns 32 bytes for purpose (HKDF-SHA-256, RFC 5869), independent of those for
// others.
func (k *Key) Derive(purpose string) []byte {
	derived, err := hkdf.Expand(sha256.New, k.secret[:], "kenbun-mcp "+purpose+" v1", keyBytes)
	if err != nil {
		panic(err) // only lengths beyond 255 hashes fail
	}
	return derived
}

// LoadKey reads the key from file: 32 bytes in base64, on one line. It creates a missing
// file for its owner alone, with a random key. Errors never hold the key.
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

// writeKey writes a new file with all of its content or not at all.
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
