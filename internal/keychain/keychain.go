// Package keychain keeps secrets in the operating system's keychain: the Keychain of macOS,
// the Credential Manager of Windows, and elsewhere the Secret Service API of
// freedesktop.org.
package keychain

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/kenbun/kenbun-mcp/client"
)

// Service is the name under which all entries of this program are kept.
const Service = "kenbun-mcp"

// Limit bounds an operation. A locked keychain may ask its user for a password for ever.
const Limit = 5 * time.Second

// What can be wrong, for errors.Is.
var (
	// ErrNotFound: there is no such entry.
	ErrNotFound = errors.New("the keychain has no such entry")
	// ErrNoKeychain: this process cannot reach any keychain.
	ErrNoKeychain = errors.New("there is no keychain here")
	// ErrNoAnswer: the keychain did not answer in time. It may be waiting for its user.
	ErrNoAnswer = errors.New("the keychain does not answer")
)

// Store is the operating system's keychain. Get and Delete return an error that matches
// [ErrNotFound] if there is no such entry. An operation may hang.
type Store interface {
	Set(service, account, value string) error
	Get(service, account string) (string, error)
	Delete(service, account string) error
}

// Keychain is a [Store] with a time limit. It is safe for concurrent use.
type Keychain struct {
	store Store
	limit time.Duration
	// turn holds one value while no operation runs. An operation that hangs keeps it, and no
	// other can hang.
	turn chan struct{}
}

// Over returns store with a limit for each operation.
func Over(store Store, limit time.Duration) *Keychain {
	k := &Keychain{store: store, limit: limit, turn: make(chan struct{}, 1)}
	k.turn <- struct{}{}
	return k
}

// System returns the keychain of the user of this process. It does no I/O.
func System() *Keychain { return Over(systemStore{}, Limit) }

// Set replaces or creates the entry of account. On an error nothing has changed. If the
// keychain answers only after the limit, the change is undone then, as long as this process
// lives.
func (k *Keychain) Set(ctx context.Context, account string, value client.Secret) error {
	_, err := k.run(ctx, func() (string, error) {
		return "", k.store.Set(Service, account, value.Reveal())
	}, k.restorer(account))
	return err
}

// restorer returns a function that remembers the entry of account and returns what restores
// it.
func (k *Keychain) restorer(account string) func() (func() error, error) {
	return func() (func() error, error) {
		before, err := k.store.Get(Service, account)
		switch {
		case errors.Is(err, ErrNotFound):
			return func() error { return k.store.Delete(Service, account) }, nil
		case err != nil:
			return nil, err
		}
		return func() error { return k.store.Set(Service, account, before) }, nil
	}
}

// Get returns an entry, or an error that matches [ErrNotFound].
func (k *Keychain) Get(ctx context.Context, account string) (client.Secret, error) {
	value, err := k.run(ctx, func() (string, error) { return k.store.Get(Service, account) }, nil)
	return client.NewSecret(value), err
}

// Delete removes an entry. Its error matches [ErrNotFound] where there is none.
func (k *Keychain) Delete(ctx context.Context, account string) error {
	_, err := k.run(ctx, func() (string, error) { return "", k.store.Delete(Service, account) }, nil)
	return err
}

type outcome struct {
	value string
	err   error
}

// run runs one operation, no longer than the limit. An operation cannot be stopped: one that
// ends after that is undone by what prepare, if any, returned before it.
func (k *Keychain) run(ctx context.Context, operation func() (string, error), prepare func() (undo func() error, err error)) (string, error) {
	limit := time.NewTimer(k.limit)
	defer limit.Stop()
	select {
	case <-k.turn:
	case <-ctx.Done():
		return "", fmt.Errorf("nobody waited for the keychain: %w", ctx.Err())
	case <-limit.C:
		return "", k.noAnswer()
	}
	done, abandoned := make(chan outcome), make(chan struct{})
	go func() {
		defer func() { k.turn <- struct{}{} }()
		var undo func() error
		result := guarded(func() (_ string, err error) {
			if prepare != nil {
				undo, err = prepare()
			}
			return "", err
		})
		if result.err == nil {
			select {
			case <-abandoned:
				return
			default:
			}
			result = guarded(operation)
		}
		select {
		case done <- result:
		case <-abandoned:
			if undo != nil && result.err == nil {
				// Nobody is left to hear of an error.
				_ = guarded(func() (string, error) { return "", undo() })
			}
		}
	}()
	select {
	case result := <-done:
		return result.value, result.err
	case <-ctx.Done():
		close(abandoned)
		return "", fmt.Errorf("nobody waited for the keychain: %w", ctx.Err())
	case <-limit.C:
		close(abandoned)
		return "", k.noAnswer()
	}
}

// guarded turns a panic into an error: the library for the Secret Service panics when the
// bus goes away during a password prompt.
func guarded(do func() (string, error)) (result outcome) {
	defer func() {
		if r := recover(); r != nil {
			result = outcome{err: fmt.Errorf("%w: it broke down while it was asked", ErrNoKeychain)}
		}
	}()
	value, err := do()
	return outcome{value, err}
}

func (k *Keychain) noAnswer() error {
	return fmt.Errorf("%w within %s; it may be locked and asking for its password: unlock it and try again", ErrNoAnswer, k.limit)
}

// systemStore is the keychain that the operating system has.
type systemStore struct{}

func (systemStore) Set(service, account, value string) error {
	if err := reachable(); err != nil {
		return err
	}
	return plain(keyring.Set(service, account, value))
}

func (systemStore) Get(service, account string) (string, error) {
	if err := reachable(); err != nil {
		return "", err
	}
	value, err := keyring.Get(service, account)
	return value, plain(err)
}

func (systemStore) Delete(service, account string) error {
	if err := reachable(); err != nil {
		return err
	}
	return plain(keyring.Delete(service, account))
}

// plain says in words what the library's error means. On macOS its text is that of another
// program.
func plain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keyring.ErrNotFound):
		return ErrNotFound
	case errors.Is(err, keyring.ErrUnsupportedPlatform):
		return fmt.Errorf("%w: this system has none that is known here", ErrNoKeychain)
	case errors.Is(err, keyring.ErrSetDataTooBig):
		return errors.New("the value is too large for the keychain")
	case isUnlockFailure(err):
		return fmt.Errorf("%w: it is locked and was not unlocked; unlock it and try again", ErrNoKeychain)
	default:
		return fmt.Errorf("%w: %s", ErrNoKeychain, refusal(err))
	}
}

// isUnlockFailure recognizes the library's error after a user closed the password prompt; it
// has no error value for it.
func isUnlockFailure(err error) bool {
	return strings.HasPrefix(err.Error(), "failed to unlock")
}

// Program returns the program in which a user sees the entries.
func Program() string {
	switch runtime.GOOS {
	case "darwin":
		return "Keychain Access"
	case "windows":
		return "Credential Manager, under Generic Credentials"
	}
	return "the program for passwords and keys (Seahorse, KWalletManager)"
}

// EntryName returns what Program shows for the entry of account.
func EntryName(account string) string {
	switch runtime.GOOS {
	case "darwin":
		return fmt.Sprintf("%s, account %s", Service, account)
	case "windows":
		return Service + ":" + account
	}
	return fmt.Sprintf("Password for '%s' on '%s'", account, Service)
}
