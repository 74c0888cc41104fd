package serve

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/internal/settings"
)

// serverKeyForm is the form of keys: rand.Text gives 130 random bits.
// It is compiled at its first use, as it costs every start two milliseconds.
var serverKeyForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^kms_[0-9A-Za-z_-]{22,200}$`) })

// serverKeyFile returns the path of the server's key: the one named, or that in
// the user's data folder.
func serverKeyFile(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	path, err := command.DataFolder("server.key")
	if err != nil {
		return "", fmt.Errorf("the server's key has no folder: %w, or name a file with --server-key-file", err)
	}
	return path, nil
}

// OpenServerKey reads the key of a server that acts with its own token, and makes
// one if there is none.
func OpenServerKey(ctx context.Context, path string) (_ client.Secret, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("the server's key in %s: %w", path, err)
		}
	}()
	file, err := privatefile.Open(path, privatefile.Options{MaxSize: 4 << 10, MakeFolder: true})
	if err != nil {
		return client.Secret{}, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if !file.Exists() {
		locking, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		// Another server may be making one at the same moment.
		if err := file.Lock(locking); err != nil {
			return client.Secret{}, err
		}
	}
	if !file.Exists() {
		if err := file.Replace([]byte("kms_" + rand.Text() + "\n")); err != nil {
			return client.Secret{}, err
		}
	}
	key, err := settings.Value(file.Content())
	if err != nil || !serverKeyForm().MatchString(key) {
		return client.Secret{}, errors.New("the file holds something else: remove it, and a new key is made")
	}
	return client.NewSecret(key), nil
}
