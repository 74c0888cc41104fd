package state

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
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
	trust, err := tlsConfig(config.CAFile)
	if err != nil {
		return nil, err
	}
	store, err := newRedis(config.Address, config.Key, trust)
	if err != nil {
		return nil, err
	}
	if err := store.Ping(ctx); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// tlsConfig trusts the system's certificate authorities and those in file.
func tlsConfig(file string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if file == "" {
		return config, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the file of certificate authorities: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("load the system's certificate authorities: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	config.RootCAs = pool
	return config, nil
}
