// Package credential finds the token that this process acts with.
package credential

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/internal/settings"
)

// maxRead bounds what is read of a file or a command, in bytes. A token is far shorter.
const maxRead = 64 << 10

// ErrNone is in the chain of the error for no token at all.
var ErrNone = errors.New("no kenbun token was given: run `kenbun-mcp login`, or set KENBUN_PAT, KENBUN_PAT_FILE or KENBUN_PAT_COMMAND")

// Config names the places where a token may be. At most one of PAT, PATFile and PATCommand,
// and one of Session and SessionFile, may be set.
type Config struct {
	// PAT is the personal access token. Blanks around it and Session are trimmed; blanks
	// alone are none.
	PAT string
	// PATFile is a file that holds only the token. It is read at each use.
	PATFile string
	// PATCommand is a command line for the system's shell that prints the token.
	PATCommand string
	// Login is looked at where none of these is set. It may be nil.
	Login *Login
	// Session is the token of a signed-in session, if a personal access token may not manage
	// tokens.
	Session string
	// SessionFile is a file that holds nothing but the session token.
	SessionFile string
}

// Source gives the token of one user.
type Source struct {
	config  Config
	command *command
}

// New returns the source that config describes. It fails if config names more than one place
// for the same token. If there is no token, Credential fails at each use.
func New(config Config) (*Source, error) {
	config.PAT, config.Session = settings.Trim(config.PAT), settings.Trim(config.Session)
	var places []string
	for _, place := range []struct{ name, value string }{
		{"KENBUN_PAT", config.PAT},
		{"KENBUN_PAT_FILE", config.PATFile},
		{"KENBUN_PAT_COMMAND", config.PATCommand},
	} {
		if place.value != "" {
			places = append(places, place.name)
		}
	}
	if len(places) > 1 {
		return nil, fmt.Errorf("there is more than one place for the token: %s; keep one", strings.Join(places, " and "))
	}
	if config.Session != "" && config.SessionFile != "" {
		return nil, errors.New("there is more than one place for the session token: KENBUN_SESSION_TOKEN and KENBUN_SESSION_TOKEN_FILE; keep one")
	}
	return &Source{config: config, command: newCommand(config.PATCommand)}, nil
}

// Credential returns the token and the name of its place. Errors name the place, never the
// token.
func (s *Source) Credential(ctx context.Context) (client.Credential, string, error) {
	value, place, err := s.pat(ctx)
	if err != nil {
		return client.Credential{}, place, err
	}
	pat, err := client.ParsePAT(value)
	if err != nil {
		return client.Credential{}, place, fmt.Errorf("%s: %w", place, err)
	}
	session, err := s.session()
	if err != nil {
		return client.Credential{}, place, err
	}
	return client.Credential{PAT: pat, Session: session}, place, nil
}

func (s *Source) pat(ctx context.Context) (value, place string, err error) {
	switch {
	case s.config.PAT != "":
		return s.config.PAT, "KENBUN_PAT", nil
	case s.config.PATFile != "":
		value, err := readToken(s.config.PATFile)
		if err != nil {
			return "", "KENBUN_PAT_FILE", fmt.Errorf("KENBUN_PAT_FILE: %w", err)
		}
		return value, "KENBUN_PAT_FILE", nil
	case s.config.PATCommand != "":
		value, err := s.command.token(ctx)
		if err != nil {
			return "", "KENBUN_PAT_COMMAND", fmt.Errorf("KENBUN_PAT_COMMAND: %w", err)
		}
		return value, "KENBUN_PAT_COMMAND", nil
	case s.config.Login != nil:
		return s.config.Login.read(ctx)
	default:
		return "", "", ErrNone
	}
}

func (s *Source) session() (client.Secret, error) {
	value, place := s.config.Session, "KENBUN_SESSION_TOKEN"
	if s.config.SessionFile != "" {
		place = "KENBUN_SESSION_TOKEN_FILE"
		var err error
		if value, err = readToken(s.config.SessionFile); err != nil {
			return client.Secret{}, fmt.Errorf("%s: %w", place, err)
		}
		if value == "" {
			return client.Secret{}, fmt.Errorf("%s: the file %s is empty; put the session token there, or leave the setting out", place, s.config.SessionFile)
		}
	}
	if err := settings.CheckFilledIn(value); err != nil {
		return client.Secret{}, fmt.Errorf("%s: %w", place, err)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return client.Secret{}, fmt.Errorf("%s: the token has spaces, line breaks or other characters that no token has; copy it again", place)
	}
	return client.NewSecret(value), nil
}

// readToken reads a file that holds a token, and blanks around it at most.
func readToken(path string) (string, error) {
	data, err := privatefile.ReadSecret(path, maxRead)
	if err != nil {
		return "", plainFileError(path, err)
	}
	value, err := settings.Value(data)
	if err != nil {
		return "", fmt.Errorf("the file %s cannot be read as a token: %w", path, err)
	}
	return value, nil
}

// plainFileError says what is wrong with the file at path.
func plainFileError(path string, err error) error {
	var unsafeFile *privatefile.UnsafeError
	switch {
	case errors.As(err, &unsafeFile):
		return unsafeFile
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("the file %s does not exist", path)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("the file %s may not be read by this process", path)
	default:
		return fmt.Errorf("the file %s cannot be read", path)
	}
}

// Static is a source of one token that is known already.
type Static struct {
	PAT   client.Secret
	Place string
}

// Credential returns the token.
func (s Static) Credential(context.Context) (client.Credential, string, error) {
	return client.Credential{PAT: s.PAT}, s.Place, nil
}

// ErrNotReplaceable indicates a token that this program cannot replace, such as one in an
// environment variable.
var ErrNotReplaceable = errors.New("the token cannot be replaced by this program")

// Replaceable reports where the token is kept, in words for a user, and whether Replace
// could work now. If the place cannot be written to, the error matches [ErrNotReplaceable]
// and says what the user has to change.
func (s *Source) Replaceable(ctx context.Context) (place string, err error) {
	switch {
	case s.config.PAT != "":
		return "KENBUN_PAT", fmt.Errorf("%w: it is in the environment variable KENBUN_PAT, which the user sets anew where this program is started", ErrNotReplaceable)
	case s.config.PATFile != "":
		if err := probeFile(s.config.PATFile); err != nil {
			return "KENBUN_PAT_FILE", fmt.Errorf("%w: KENBUN_PAT_FILE (%s): %w", ErrNotReplaceable, s.config.PATFile, err)
		}
		return "KENBUN_PAT_FILE", nil
	case s.config.PATCommand != "":
		return "KENBUN_PAT_COMMAND", fmt.Errorf("%w: it comes from the command in KENBUN_PAT_COMMAND, and the user puts it where that command takes it from", ErrNotReplaceable)
	case s.config.Login != nil:
		_, place, err := s.config.Login.read(ctx)
		if err == nil && place == placeLoginFile {
			if err := probeFile(s.config.Login.file); err != nil {
				return place, fmt.Errorf("%w: %s: %w", ErrNotReplaceable, place, err)
			}
		}
		return place, err
	default:
		return "", ErrNone
	}
}

func probeFile(path string) error {
	f, err := privatefile.Open(path, privatefile.Options{MaxSize: maxRead})
	if err != nil {
		return err
	}
	if !f.Exists() {
		return errors.Join(errors.New("the file does not exist"), f.Close())
	}
	return errors.Join(f.Probe(maxRead/64), f.Close())
}

// Replace replaces the token in its file, which is then the user's alone, in the keychain,
// or in the login file. The next call of Credential uses it. On an error the present one is
// still in place; the error matches [ErrNotReplaceable] if Replaceable's would.
func (s *Source) Replace(ctx context.Context, pat client.Secret) (place string, err error) {
	if _, err := client.ParsePAT(pat.Reveal()); err != nil {
		return "", fmt.Errorf("the new token: %w", err)
	}
	switch {
	case s.config.PAT == "" && s.config.PATFile != "":
		if _, err := readToken(s.config.PATFile); err != nil {
			return "KENBUN_PAT_FILE", fmt.Errorf("KENBUN_PAT_FILE: %w", err)
		}
		if err := replaceFile(s.config.PATFile, pat, privatefile.Options{MaxSize: maxRead}); err != nil {
			return "KENBUN_PAT_FILE", fmt.Errorf("KENBUN_PAT_FILE (%s): %w", s.config.PATFile, err)
		}
		return "KENBUN_PAT_FILE", nil
	case s.config.PAT == "" && s.config.PATCommand == "" && s.config.Login != nil:
		place, err := s.config.Login.replace(ctx, pat)
		if err != nil {
			return place, fmt.Errorf("%s: %w", place, err)
		}
		return place, nil
	}
	return s.Replaceable(ctx)
}

// Replaceable reports that a token that is known from the beginning stays.
func (s Static) Replaceable(context.Context) (place string, err error) {
	return s.Place, fmt.Errorf("%w: %s keeps it in memory", ErrNotReplaceable, s.Place)
}

// Replace fails as Replaceable does.
func (s Static) Replace(ctx context.Context, _ client.Secret) (place string, err error) {
	return s.Replaceable(ctx)
}
