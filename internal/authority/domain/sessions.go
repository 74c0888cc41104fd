package domain

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// DefaultSessionLifetime is how long a session lasts by default.
	DefaultSessionLifetime = 12 * time.Hour

	// maxSessionLifetime keeps sessions short. Tokens last longer.
	maxSessionLifetime = 30 * 24 * time.Hour

	// SignInLinkLifetime is how long a sign-in link can be used.
	SignInLinkLifetime = 10 * time.Minute
)

// Session is what is stored of a session.
type Session struct {
	ID            string
	UserID        string
	OrgID         string
	Prefix        string
	Digest        string
	PepperVersion int64
	CreatedAt     time.Time
	ExpiresAt     time.Time
}

// Link is what is stored of a sign-in link.
type Link struct {
	UserID        string
	OrgID         string
	Digest        string
	PepperVersion int64
	CreatedAt     time.Time
	ExpiresAt     time.Time
}

// SessionStore keeps sessions and sign-in links.
type SessionStore interface {
	AddSession(ctx context.Context, s Session) error
	EndSession(ctx context.Context, id string) error
	// Remove removes sessions and links by their digests.
	Remove(ctx context.Context, digests []string) error
	AddLink(ctx context.Context, l Link) error
	// LinkOwner returns the address of a link's user, or [ErrLinkRefused].
	LinkOwner(ctx context.Context, digests []string, now time.Time) (email string, err error)
	// UseLink replaces a link by a session of its user, or returns [ErrLinkRefused].
	UseLink(ctx context.Context, digests []string, s Session) error
}

// Sessions signs users in.
type Sessions struct {
	Store     SessionStore
	Hasher    Hasher
	Directory *Directory
	Now       func() time.Time
}

// IssueSession signs in a user with one organization, named by address or id, and returns
// the session token. It is a bearer token for lifetime, at most 30 days; zero means
// [DefaultSessionLifetime]. The error is [ErrSuspended] for a suspended user.
func (s *Sessions) IssueSession(ctx context.Context, user string, lifetime time.Duration) (string, error) {
	return s.IssueSessionIn(ctx, user, "", lifetime)
}

// IssueSessionIn is [Sessions.IssueSession] in one of several organizations.
func (s *Sessions) IssueSessionIn(ctx context.Context, user, organization string, lifetime time.Duration) (string, error) {
	if lifetime == 0 {
		lifetime = DefaultSessionLifetime
	}
	if lifetime < time.Second || lifetime > maxSessionLifetime {
		return "", &InvalidError{Field: "session lifetime", Problem: fmt.Sprintf("must be from one second to %d hours", int(maxSessionLifetime.Hours()))}
	}
	member, err := s.activeMember(ctx, user, organization)
	if err != nil {
		return "", err
	}
	value, session := s.newSession(SessionToken, lifetime)
	session.UserID, session.OrgID = member.ID, member.OrgID
	if err := s.Store.AddSession(ctx, session); err != nil {
		return "", err
	}
	return value, nil
}

// IssueLink returns the value of a link that signs the user in to the web page, once, for
// [DefaultSessionLifetime]. organization may be empty for a user with one. The error is
// [ErrSuspended] for a suspended user.
func (s *Sessions) IssueLink(ctx context.Context, user, organization string) (string, error) {
	member, err := s.activeMember(ctx, user, organization)
	if err != nil {
		return "", err
	}
	now := s.Now()
	value := NewCredential(SignInLink)
	link := Link{UserID: member.ID, OrgID: member.OrgID, CreatedAt: now, ExpiresAt: now.Add(SignInLinkLifetime)}
	link.Digest, link.PepperVersion = s.Hasher.Digest(value)
	if err := s.Store.AddLink(ctx, link); err != nil {
		return "", err
	}
	return value, nil
}

// activeMember is [Directory.Member] without suspended users.
func (s *Sessions) activeMember(ctx context.Context, user, organization string) (User, error) {
	member, err := s.Directory.Member(ctx, user, organization)
	if err == nil && member.Status == StatusSuspended {
		return User{}, ErrSuspended
	}
	return member, err
}

func (s *Sessions) newSession(kind Kind, lifetime time.Duration) (value string, session Session) {
	value, now := NewCredential(kind), s.Now()
	session = Session{ID: NewID("ses_"), Prefix: PublicPrefix(kind, value), CreatedAt: now, ExpiresAt: now.Add(lifetime)}
	session.Digest, session.PepperVersion = s.Hasher.Digest(value)
	return value, session
}

// LinkOwner returns the address of a link's user and leaves the link as it is. The error is
// [ErrLinkRefused] for a link that does not work.
func (s *Sessions) LinkOwner(ctx context.Context, value string) (email string, err error) {
	if !WellFormed(SignInLink, value) {
		return "", ErrLinkRefused
	}
	return s.Store.LinkOwner(ctx, s.digests(value), s.Now())
}

// SignIn uses a link up and returns a session's token. Only one of several requests with
// the same link succeeds; the others get [ErrLinkRefused].
func (s *Sessions) SignIn(ctx context.Context, value string) (session string, err error) {
	if !WellFormed(SignInLink, value) {
		return "", ErrLinkRefused
	}
	token, started := s.newSession(WebSession, DefaultSessionLifetime)
	if err := s.Store.UseLink(ctx, s.digests(value), started); err != nil {
		return "", err
	}
	return token, nil
}

// EndSession ends a session, if it has not ended before.
func (s *Sessions) EndSession(ctx context.Context, id string) error {
	return s.Store.EndSession(ctx, id)
}

// TakeBack ends a session, or a sign-in link, that could not be shown. value is its token or
// address.
func (s *Sessions) TakeBack(ctx context.Context, value string) error {
	return s.Store.Remove(ctx, s.digests(value[strings.LastIndexByte(value, '/')+1:]))
}

func (s *Sessions) digests(value string) []string { return slices.Collect(s.Hasher.Digests(value)) }
