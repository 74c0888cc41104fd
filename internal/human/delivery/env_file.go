package delivery

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

const (
	// maxEnvFile bounds the size of a .env file, in bytes.
	maxEnvFile = 1 << 20
	// envFileLockTime is how long is waited for another writer of the same
	// folder.
	envFileLockTime = 5 * time.Second
	// roomForToken is more than a token and its name add to a file, in bytes.
	roomForToken = 512
)

// EnvFile delivers each new token as the value of one variable in a file of
// lines NAME=value, such as programs read from ".env". Each delivery takes the
// place of the one before.
type EnvFile struct {
	path, variable string
}

// NewEnvFile delivers into the line of variable in the file at path. variable
// must be of the form [A-Z_][A-Z0-9_]*.
func NewEnvFile(path, variable string) (*EnvFile, error) {
	if path == "" {
		return nil, errors.New("the delivery method env-file needs a file: name one with --deliver-env-file")
	}
	if !isVariableName(variable) {
		return nil, fmt.Errorf("%q cannot be the name of a variable: give capital letters, digits and underscores with --deliver-env-name, such as KENBUN_PAT", variable)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the file for new tokens: %w", err)
	}
	return &EnvFile{path: absolute, variable: variable}, nil
}

func isVariableName(name string) bool {
	for i, r := range name {
		if (r < 'A' || r > 'Z') && r != '_' && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

// Method implements tokens.Deliverer.
func (*EnvFile) Method() string { return "env-file" }

// Check reports whether the line could be written now: it looks at the file and
// its folder, finds the line, and writes a file as large beside it.
func (e *EnvFile) Check(ctx context.Context) error {
	return e.withFile(ctx, func(file *privatefile.File) error {
		if _, err := findVariable(file.Content(), e.variable); err != nil {
			return err
		}
		return file.Probe(len(file.Content()) + roomForToken)
	})
}

// Current implements tokens.Overwriting.
func (e *EnvFile) Current(ctx context.Context) (current tokens.CurrentValue, err error) {
	err = e.withFile(ctx, func(file *privatefile.File) error {
		at, err := findVariable(file.Content(), e.variable)
		if err == nil {
			current = e.currentAt(file.Content(), at)
		}
		return err
	})
	return current, err
}

func (e *EnvFile) currentAt(content []byte, at envValue) tokens.CurrentValue {
	if !at.found || at.start == at.end {
		return tokens.CurrentValue{}
	}
	digest := sha256.Sum256(content[at.start:at.end])
	return tokens.CurrentValue{
		What:   "the present value of " + e.variable + " in the .env file",
		Digest: hex.EncodeToString(digest[:]),
	}
}

// Deliver makes the token's value the value of the variable and leaves every
// other byte as it is.
func (e *EnvFile) Deliver(ctx context.Context, _ tools.Caller, token *client.CreatedToken) (tokens.Receipt, error) {
	return e.deliver(ctx, token, nil)
}

// Overwrite implements tokens.Overwriting.
func (e *EnvFile) Overwrite(ctx context.Context, _ tools.Caller, token *client.CreatedToken, current tokens.CurrentValue) (tokens.Receipt, error) {
	return e.deliver(ctx, token, &current)
}

// deliver takes the place of whatever is there if expected is nil.
func (e *EnvFile) deliver(ctx context.Context, token *client.CreatedToken, expected *tokens.CurrentValue) (tokens.Receipt, error) {
	replaced := false
	err := e.withFile(ctx, func(file *privatefile.File) error {
		at, err := findVariable(file.Content(), e.variable)
		if err != nil {
			return err
		}
		current := e.currentAt(file.Content(), at)
		if expected != nil && current != *expected {
			return tokens.ErrCurrentChanged
		}
		replaced = current.What != ""
		content, err := at.with(file.Content(), e.variable, token.Value.Reveal())
		if err != nil {
			return err
		}
		return file.Replace(content)
	})
	if err != nil {
		return tokens.Receipt{}, err
	}
	note := fmt.Sprintf("The value is now that of %s in the file.", e.variable)
	if replaced {
		note += " The previous value is gone from the file, but its token is not revoked by this."
	}
	return tokens.Receipt{
		Method: e.Method(),
		Where:  fmt.Sprintf("%s, variable %s", e.path, e.variable),
		Note:   note + " Tell the user, and that programs that read the file have to be restarted. Do not open it.",
	}, nil
}

// withFile does something with the file while nobody else who locks writes to
// it.
func (e *EnvFile) withFile(ctx context.Context, do func(*privatefile.File) error) error {
	file, err := privatefile.Open(e.path, privatefile.Options{MaxSize: maxEnvFile})
	if err != nil {
		return e.error(err)
	}
	waiting, cancel := context.WithTimeout(ctx, envFileLockTime)
	defer cancel()
	err = file.Lock(waiting)
	if err == nil {
		err = do(file)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return e.error(err)
	}
	return nil
}

func (e *EnvFile) error(err error) error {
	if errors.Is(err, tokens.ErrCurrentChanged) {
		return fmt.Errorf("%w: %s in %s", tokens.ErrCurrentChanged, e.variable, e.path)
	}
	why := strings.ReplaceAll(err.Error(), "\n", "; ")
	return fmt.Errorf("the token cannot be put into the .env file %s: %s", e.path, why)
}
