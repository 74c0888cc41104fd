package delivery

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/keychain"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// File delivers each new token into a file of its own, in a folder that only the user can access.
type File struct {
	dir string
}

// NewFile delivers into dir, which is made at the first delivery.
func NewFile(dir string) (*File, error) {
	if dir == "" {
		return nil, errors.New("the folder for new tokens has no name")
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the folder for new tokens: %w", err)
	}
	return &File{dir: absolute}, nil
}

// Method implements tokens.Deliverer.
func (*File) Method() string { return "file" }

// Check implements tokens.Deliverer. It makes the folder, and writes a file of a token's size.
func (f *File) Check(context.Context) (err error) {
	defer func() { err = f.named(err) }()
	folder, err := f.open()
	if err != nil {
		return err
	}
	probe := ".probe-" + rand.Text()
	if err = folder.WriteNew(probe, make([]byte, 512)); err == nil {
		err = folder.CleanUp(probe)
	}
	return folder.CloseAfter(err)
}

// Deliver writes the token's value to a new file, as a whole or not at all.
func (f *File) Deliver(_ context.Context, _ tools.Caller, token *client.CreatedToken) (_ tokens.Receipt, err error) {
	defer func() { err = f.named(err) }()
	folder, err := f.open()
	if err != nil {
		return tokens.Receipt{}, err
	}
	defer func() { err = folder.CloseAfter(err) }()

	name := token.ID + ".token"
	if _, err := folder.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return tokens.Receipt{}, fmt.Errorf("there is already a file for the token %s in the delivery folder", token.ID)
	}
	temporary := ".new-" + rand.Text()
	if err := folder.WriteNew(temporary, []byte(token.Value.Reveal()+"\n")); err != nil {
		return tokens.Receipt{}, err
	}
	if err := folder.Rename(temporary, name); err != nil {
		return tokens.Receipt{}, errors.Join(folder.Explain("written to", err), folder.CleanUp(temporary))
	}
	if err := folder.Sync(); err != nil {
		return tokens.Receipt{}, errors.Join(folder.Explain("written to", err), folder.CleanUp(name))
	}
	return tokens.Receipt{
		Method: f.Method(),
		Where:  filepath.Join(f.dir, name),
		Note:   "The value is in a file that only the user can read. Tell the user where it is. They move the value to where it is needed and delete the file. Do not open it.",
	}, nil
}

// named adds the path to an error, as receipts have it.
func (f *File) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", f.dir, err)
}

// open returns the folder. It refuses one that others can access.
func (f *File) open() (*privatefile.Folder, error) {
	return privatefile.OpenFolder(f.dir, privatefile.FolderOptions{Name: "the delivery folder", Flag: "--deliver-dir", CheckParent: true})
}

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
