package claim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/kenbun/kenbun-mcp/internal/claimkey"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
)

// maxKnown bounds the file of known servers, in bytes.
const maxKnown = 64 << 10

// Known is a private file with the addresses of the servers at which a claim was fetched.
type Known struct {
	// Path names the file, which need not exist. Without it, no server is known.
	Path string
}

// Has reports whether a claim was fetched at server before.
func (k Known) Has(server string) (bool, error) {
	origin, err := Origin(server)
	if err != nil {
		return false, err
	}
	content, err := privatefile.Read(k.Path, maxKnown)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read the servers that you know, %s: %w", k.Path, err)
	}
	return slices.Contains(strings.Split(string(content), "\n"), origin), nil
}

// Add adds server.
func (k Known) Add(ctx context.Context, server string) (err error) {
	origin, err := Origin(server)
	if err != nil {
		return err
	}
	if k.Path == "" {
		return errors.New("there is no folder to remember it in, since HOME names none. Set HOME")
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("remember the server in %s: %w", k.Path, err)
		}
	}()
	file, err := privatefile.Open(k.Path, privatefile.Options{MaxSize: maxKnown, MakeFolder: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := file.Lock(ctx); err != nil {
		return err
	}
	lines := strings.Fields(string(file.Content()))
	if slices.Contains(lines, origin) {
		return nil
	}
	return file.Replace([]byte(strings.Join(append(lines, origin), "\n") + "\n"))
}

// Origin returns the normal form of a server's address, such as "https://mcp.example.com". The
// error is [ErrInvalidServer].
func Origin(server string) (string, error) {
	u, err := parseServer(server)
	if err != nil {
		return "", err
	}
	host, ok := claimkey.NormalHost(u.Scheme, u.Host)
	if !ok {
		return "", ErrInvalidServer
	}
	return u.Scheme + "://" + host, nil
}
