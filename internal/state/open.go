package state

import (
	"context"
	"errors"
	"strings"

	"github.com/kenbun/kenbun-mcp/internal/trust"
)

// InMemory is the address of a store that ends with the process.
const InMemory = "memory"

// ErrBadAddress is in the chain of the error for an address that cannot be read.
// It does not repeat it.
var ErrBadAddress = errors.New("the address is \"memory\", or that of Redis: redis://user:password@host:port/database, over TLS rediss://, " +
	"with characters such as @ and / in the password as %40 and %2F")

// Config is what a store is opened from.
type Config struct {
	// Address is "memory", or where Redis or Valkey is:
	// redis://[user:password@]host[:port][/database], with rediss:// over TLS.
	Address string
	// Key is the deployment's. Replicas with another key are kept out of the
	// same Redis.
	Key *Key
	// CAFile holds further certificate authorities (PEM) to trust for rediss://.
	CAFile string
}

// Open returns the store at config.Address once it can be used. Its errors hold
// no part of the address that could be a password.
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
