package authority

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/ascii"
)

// SignInLinkLifetime is how long a link of [Authority.IssueSignInLink] can be
// used.
const SignInLinkLifetime = 10 * time.Minute

var errLinkRefused = errors.New("the sign-in link was used, has ended, or was not copied in full")

// IssueSignInLink returns an address below base, which is that of the web page
// such as http://127.0.0.1:8780. Whoever opens it within ten minutes and
// confirms is signed in to the web page as the user, named by address or id, for
// [DefaultSessionLifetime]. It works once. organization is where the session
// acts; it may be empty for a user who is in one only. The error is [ErrSuspended]
// for a user whom it would let in nowhere.
func (a *Authority) IssueSignInLink(ctx context.Context, user, organization, base string) (string, error) {
	address, err := ParseWebURL(base)
	if err != nil {
		return "", err
	}
	member, err := a.whoMaySignIn(ctx, user, organization)
	if err != nil {
		return "", err
	}
	now := a.now()
	value := newCredential(signInLink)
	key := a.peppers.current()
	err = a.db.change(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM sign_in_links WHERE expires_at <= $1`, toMicros(now)); err != nil {
			return fmt.Errorf("remove ended links: %w", err)
		}
		_, err := tx.ExecContext(ctx, `
			INSERT INTO sign_in_links (digest, user_id, org_id, pepper_version, expires_at) VALUES ($1, $2, $3, $4, $5)`,
			key.digest(value), member.ID, member.OrgID, key.version, toMicros(now.Add(SignInLinkLifetime)))
		if err != nil {
			return fmt.Errorf("store the link: %w", err)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return address.JoinPath(webSignInPath, value).String(), nil
}

// ParseWebURL reads the address under which browsers reach the web page:
// http or https, a host, and nothing else. Anything else is an [*InvalidError].
func ParseWebURL(text string) (*url.URL, error) {
	address, err := url.Parse(text)
	if err != nil || address.Scheme != "http" && address.Scheme != "https" || address.Hostname() == "" || address.User != nil ||
		strings.Trim(address.Path, "/") != "" || address.RawQuery != "" || address.Fragment != "" {
		return nil, &InvalidError{Field: "web URL", Problem: "must be an address without a path, such as https://tokens.example.com"}
	}
	// Browsers leave the scheme's own port out, here and in the Host that they send.
	host := ascii.Lower(address.Host)
	return &url.URL{Scheme: address.Scheme, Host: strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443"}[address.Scheme])}, nil
}

// linkOwner tells as whom a link would sign in, and leaves it as it is. It
// returns errLinkRefused if as nobody.
func (a *Authority) linkOwner(ctx context.Context, value string) (email string, err error) {
	if !wellFormed(signInLink, value) {
		return "", errLinkRefused
	}
	in, next, digests := a.digestList(value)
	err = a.db.read.QueryRowContext(ctx, `
		SELECT u.email FROM sign_in_links l
		JOIN users u ON u.id = l.user_id
		JOIN memberships m ON m.user_id = l.user_id AND m.org_id = l.org_id
		WHERE l.digest IN `+in+` AND u.status = 'active' AND l.expires_at > `+next,
		append(digests, toMicros(a.now()))...).Scan(&email)
	if errors.Is(err, sql.ErrNoRows) {
		return "", errLinkRefused
	}
	if err != nil {
		return "", fmt.Errorf("look for the link: %w", err)
	}
	return email, nil
}

// signIn uses a link up and returns a session's token. Of several requests at
// once with the same link one succeeds. For whom linkOwner names nobody it does
// nothing.
func (a *Authority) signIn(ctx context.Context, value string) (session string, err error) {
	if !wellFormed(signInLink, value) {
		return "", errLinkRefused
	}
	in, next, digests := a.digestList(value)
	err = a.db.change(ctx, func(tx *sql.Tx) error {
		var userID, orgID string
		err := tx.QueryRowContext(ctx, `
			DELETE FROM sign_in_links WHERE digest IN `+in+` AND expires_at > `+next+`
			AND EXISTS (
				SELECT 1 FROM users u JOIN memberships m ON m.user_id = u.id
				WHERE u.id = sign_in_links.user_id AND m.org_id = sign_in_links.org_id AND u.status = 'active')
			RETURNING user_id, org_id`,
			append(digests, toMicros(a.now()))...).Scan(&userID, &orgID)
		if errors.Is(err, sql.ErrNoRows) {
			return errLinkRefused
		}
		if err != nil {
			return fmt.Errorf("use the link up: %w", err)
		}
		session, err = a.startSession(ctx, tx, webSession, userID, orgID, DefaultSessionLifetime)
		return err
	})
	if err != nil {
		return "", err
	}
	return session, nil
}

// digestList is the value's digests as the arguments of a statement, the list of
// their placeholders, and the placeholder that comes after it.
func (a *Authority) digestList(value string) (list, next string, digests []any) {
	var each []string
	for digest := range a.peppers.digests(value) {
		digests = append(digests, digest)
		each = append(each, "$"+strconv.Itoa(len(digests)))
	}
	return "(" + strings.Join(each, ", ") + ")", "$" + strconv.Itoa(len(digests)+1), digests
}
