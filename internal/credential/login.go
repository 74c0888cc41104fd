package credential

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/keychain"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/internal/settings"
)

const (
	// placeKeychain and placeLoginFile name where a login is kept.
	placeKeychain  = "the keychain"
	placeLoginFile = "the login file"
	// loginKept is how long a login from the keychain is used before it is read again, so
	// that changes by other processes count without a restart.
	loginKept = 10 * time.Second
	// keychainRest is how long a keychain that does not answer is left alone.
	keychainRest = 10 * time.Second
)

// Login is the token that `kenbun-mcp login` keeps for one API: in the keychain, or if there
// is none in a private file. It is safe for concurrent use.
type Login struct {
	keychain *keychain.Keychain
	account  string
	file     string

	mu      sync.Mutex
	kept    client.Secret
	readAt  time.Time
	silence error     // how the keychain did not answer
	until   time.Time // until when it is left alone
}

// NewLogin returns the login for the API at baseURL. dir is the folder for the file if there
// is no keychain, created when needed; if it is empty, only the keychain is used. NewLogin
// does no I/O.
func NewLogin(chain *keychain.Keychain, dir, baseURL string) *Login {
	if dir == "" {
		return &Login{keychain: chain, account: "pat " + baseURL}
	}
	return &Login{keychain: chain, account: "pat " + baseURL, file: filepath.Join(dir, loginFileName(baseURL))}
}

// loginFileName is the API's host, with a hash of the address if that has more.
func loginFileName(baseURL string) string {
	u, err := url.Parse(baseURL)
	if err == nil && baseURL == "https://"+u.Hostname() && !strings.Contains(u.Hostname(), ":") {
		return u.Hostname() + ".pat"
	}
	sum := sha256.Sum256([]byte(baseURL))
	host := ""
	if err == nil {
		host = strings.ReplaceAll(u.Hostname(), ":", "_") + "-"
	}
	return host + hex.EncodeToString(sum[:8]) + ".pat"
}

// Store replaces the stored token and returns where it is, in words for a user.
func (l *Login) Store(ctx context.Context, pat client.Secret) (where string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	chainErr := l.keychain.Set(ctx, l.account, pat)
	if chainErr == nil {
		l.keep(pat)
		// A file would count before the keychain.
		if err := l.removeFile(); err != nil {
			return "", fmt.Errorf("the token is in the keychain, but an older one in %s is in its way: %w", l.file, err)
		}
		return placeKeychain, nil
	}
	if ctx.Err() != nil {
		return "", chainErr
	}
	if l.file == "" {
		return "", fmt.Errorf("the token cannot be kept: %w; and there is no folder for a file, since HOME names none. Set HOME", chainErr)
	}
	if err := l.writeFile(pat); err != nil {
		return "", fmt.Errorf("the token cannot be kept: %w; and the file %s cannot be used in its place: %w", chainErr, l.file, err)
	}
	l.forget()
	return fmt.Sprintf("the file %s (%s)", l.file, chainErr), nil
}

// Remove removes the token and returns the places where it was. The error names places that
// it could not check.
func (l *Login) Remove(ctx context.Context) (places []string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget()
	if _, readErr := l.readFile(); !errors.Is(readErr, fs.ErrNotExist) {
		if err = l.removeFile(); err != nil {
			err = fmt.Errorf("the file %s: %w", l.file, err)
		} else {
			places = append(places, "the file "+l.file)
		}
	}
	switch chainErr := l.keychain.Delete(ctx, l.account); {
	case chainErr == nil:
		places = append(places, placeKeychain)
	case errors.Is(chainErr, keychain.ErrNotFound), errors.Is(chainErr, keychain.ErrNoKeychain):
	default:
		err = errors.Join(err, chainErr)
	}
	return places, err
}

// read returns the token, or an error that matches ErrNone. The file comes first: Store
// writes one only when the keychain failed, so that it is the newer.
func (l *Login) read(ctx context.Context) (value, place string, err error) {
	content, err := l.readFile()
	switch {
	case err == nil:
		if value, err = settings.Value(content); err != nil {
			return "", placeLoginFile, fmt.Errorf("%s (%s): %w", placeLoginFile, l.file, err)
		}
		return value, placeLoginFile, nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", placeLoginFile, fmt.Errorf("%s (%s): %w", placeLoginFile, l.file, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	switch {
	case !l.kept.IsZero() && now.Sub(l.readAt) < loginKept:
		return l.kept.Reveal(), placeKeychain, nil
	case now.Before(l.until):
		return "", placeKeychain, l.silence
	}
	pat, err := l.keychain.Get(ctx, l.account)
	switch {
	case err == nil:
		l.keep(pat)
		return pat.Reveal(), placeKeychain, nil
	case errors.Is(err, keychain.ErrNotFound):
		return "", "", ErrNone
	case errors.Is(err, keychain.ErrNoKeychain):
		return "", "", fmt.Errorf("%w (%w)", ErrNone, err)
	}
	err = fmt.Errorf("%w; %w", ErrNone, err)
	if errors.Is(err, keychain.ErrNoAnswer) {
		l.silence, l.until = err, now.Add(keychainRest)
	}
	return "", placeKeychain, err
}

// replace puts pat where the present login is. On an error that one is unchanged.
func (l *Login) replace(ctx context.Context, pat client.Secret) (place string, err error) {
	_, place, err = l.read(ctx)
	if err != nil {
		return place, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if place == placeLoginFile {
		return place, l.writeFile(pat)
	}
	if err := l.keychain.Set(ctx, l.account, pat); err != nil {
		return place, err
	}
	l.keep(pat)
	return place, nil
}

func (l *Login) keep(pat client.Secret) {
	l.kept, l.readAt, l.until = pat, time.Now(), time.Time{}
}

func (l *Login) forget() { l.kept, l.until = client.Secret{}, time.Time{} }

// readFile returns fs.ErrNotExist where there is no file.
func (l *Login) readFile() ([]byte, error) {
	if l.file == "" {
		return nil, fs.ErrNotExist
	}
	return privatefile.Read(l.file, maxRead)
}

func (l *Login) writeFile(pat client.Secret) error {
	return replaceFile(l.file, pat, privatefile.Options{MaxSize: maxRead, MakeFolder: true})
}

func (l *Login) removeFile() error {
	if l.file == "" {
		return nil
	}
	f, err := privatefile.Open(l.file, privatefile.Options{MaxSize: maxRead, AllowReaders: true})
	if err != nil {
		if _, readErr := l.readFile(); errors.Is(readErr, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return errors.Join(f.Remove(), f.Close())
}

// replaceFile makes a token the content of a file.
func replaceFile(path string, pat client.Secret, options privatefile.Options) error {
	f, err := privatefile.Open(path, options)
	if err != nil {
		return err
	}
	return errors.Join(f.Replace([]byte(pat.Reveal()+"\n")), f.Close())
}
