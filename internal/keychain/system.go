package keychain

import (
	"errors"
	"fmt"
	"strings"

	"github.com/zalando/go-keyring"
)

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

// plain says in words what the library's error means. The library's own text
// is left out: on macOS it is that of another program.
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

// isUnlockFailure recognizes what the library says after a person closed the
// window that asked for the password; it has no error value for it.
func isUnlockFailure(err error) bool {
	return strings.HasPrefix(err.Error(), "failed to unlock")
}
