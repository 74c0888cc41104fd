package delivery

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/keychain"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// Keychain delivers each new token into an entry of the operating system's keychain, named by the
// token's id.
type Keychain struct {
	chain *keychain.Keychain
}

// NewKeychain delivers into chain. It does no I/O.
func NewKeychain(chain *keychain.Keychain) *Keychain { return &Keychain{chain: chain} }

// Method implements tokens.Deliverer.
func (*Keychain) Method() string { return "keychain" }

// Check implements tokens.Deliverer. It writes, reads and removes an entry of a token's size.
func (k *Keychain) Check(ctx context.Context) error {
	account := "probe " + rand.Text()
	value := client.NewSecret(rand.Text() + rand.Text())
	if err := k.chain.Set(ctx, account, value); err != nil {
		return keychainError("written to", err)
	}
	kept, err := k.chain.Get(ctx, account)
	if err == nil && !kept.Equal(value) {
		err = fmt.Errorf("%w: it gave back something else than it was given", keychain.ErrNoKeychain)
	}
	if err != nil {
		return errors.Join(keychainError("read", err), k.remove(ctx, account))
	}
	return k.remove(ctx, account)
}

func (k *Keychain) remove(ctx context.Context, account string) error {
	if err := k.chain.Delete(ctx, account); err != nil && !errors.Is(err, keychain.ErrNotFound) {
		return keychainError("cleaned up", err)
	}
	return nil
}

// Deliver puts the token's value into an entry named by the token's id.
func (k *Keychain) Deliver(ctx context.Context, _ tools.Caller, token *client.CreatedToken) (tokens.Receipt, error) {
	if err := k.chain.Set(ctx, token.ID, token.Value); err != nil {
		return tokens.Receipt{}, keychainError("written to", err)
	}
	return tokens.Receipt{
		Method: k.Method(),
		Where:  fmt.Sprintf("%s: %s", keychain.Program(), keychain.EntryName(token.ID)),
		Note: fmt.Sprintf("The value is in the keychain of the user who runs this server. Tell them where: in %s the entry is named %s. They copy the value to where it is needed and delete the entry. Do not read it.",
			keychain.Program(), keychain.EntryName(token.ID)),
	}, nil
}

func keychainError(done string, err error) error {
	return fmt.Errorf("the keychain cannot be %s: %w. With --deliver file, new tokens are delivered into files instead", done, err)
}
