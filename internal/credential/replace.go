package credential

import (
	"context"
	"errors"
	"fmt"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
)

// ErrNotReplaceable is in the chain of the error for a token that this program
// cannot put another in the place of, such as one in an environment variable.
var ErrNotReplaceable = errors.New("the token cannot be replaced by this program")

// Replaceable reports where the token is kept, in words for a person, and
// whether Replace could put another there now. Where the place is not one that
// can be written to, the error matches [ErrNotReplaceable] and says what the
// person has to change.
func (s *Source) Replaceable(ctx context.Context) (place string, err error) {
	switch {
	case s.config.PAT != "":
		return "KENBUN_PAT", fmt.Errorf("%w: it is in the environment variable KENBUN_PAT, which the person sets anew where this program is started", ErrNotReplaceable)
	case s.config.PATFile != "":
		if err := probeFile(s.config.PATFile); err != nil {
			return "KENBUN_PAT_FILE", fmt.Errorf("%w: KENBUN_PAT_FILE (%s): %w", ErrNotReplaceable, s.config.PATFile, err)
		}
		return "KENBUN_PAT_FILE", nil
	case s.config.PATCommand != "":
		return "KENBUN_PAT_COMMAND", fmt.Errorf("%w: it comes from the command in KENBUN_PAT_COMMAND, and the person puts it where that command takes it from", ErrNotReplaceable)
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

// Replace puts another token where the present one is kept: in the file, which
// is the user's alone afterwards, in the keychain, or in the login file. It is
// used from the next call of Credential on. On an error the present one is still
// in its place; the error matches [ErrNotReplaceable] where Replaceable's would.
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
