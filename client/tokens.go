package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"time"
	"unsafe"
)

const (
	tokensPath   = "/settings/tokens"
	opListTokens = "list tokens"
)

// Token is a personal access token as the API lists it, without its value. ID, Name and
// Prefix are as the API sent them. Name may hold anything; clean it before showing it.
type Token struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Prefix is the public beginning of the value, "kbn_pat_" and 8 characters.
	Prefix    string    `json:"token_prefix"`
	CreatedAt time.Time `json:"created_at"`
	// LastUsedAt is nil if the token was never used, or if that is not known.
	LastUsedAt *time.Time `json:"last_used_at"`
	// UsageUnknown means that the API left last_used_at out, so that the token may be in
	// use.
	UsageUnknown bool `json:"-"`
	// ExpiresAt is nil if the token never expires.
	ExpiresAt *time.Time `json:"expires_at"`
	// RevokedAt is nil unless the token was revoked.
	RevokedAt *time.Time `json:"revoked_at"`
	// ValidFrom is from when the token is valid (an extension); nil if at once.
	ValidFrom *time.Time `json:"valid_from,omitzero"`
	// Permissions are what the token is narrowed to (an extension); nil if it may do what
	// its user may.
	Permissions []string `json:"permissions,omitzero"`
}

// Status is what a token is good for at a given time.
type Status string

// The statuses. A revoked token is revoked whatever its dates.
const (
	StatusActive      Status = "active"
	StatusNotYetValid Status = "not_yet_valid"
	StatusExpired     Status = "expired"
	StatusRevoked     Status = "revoked"
)

// Status returns the status of t at now. At ExpiresAt it is expired, at ValidFrom active.
func (t *Token) Status(now time.Time) Status {
	switch {
	case t.RevokedAt != nil:
		return StatusRevoked
	case t.ExpiresAt != nil && !now.Before(*t.ExpiresAt):
		return StatusExpired
	case t.ValidFrom != nil && now.Before(*t.ValidFrom):
		return StatusNotYetValid
	}
	return StatusActive
}

// incomplete says what t lacks of the fields that every token has.
func incomplete(t *Token) string {
	switch {
	case t.ID == "":
		return "has no id"
	case t.CreatedAt.IsZero():
		return "has no created_at"
	}
	return ""
}

const (
	// maxEntryBytes bounds one entry of a list on the wire. A token takes a few hundred
	// bytes.
	maxEntryBytes = 32 << 10
	// maxEntries bounds how many entries of a list are read.
	maxEntries = 1_000_000
	// maxKeptBytes bounds the memory that a list takes which is kept whole.
	maxKeptBytes = 64 << 20
)

var (
	errEntryTooLarge  = fmt.Errorf("an entry of the list is larger than %d KiB", maxEntryBytes>>10)
	errTooManyEntries = fmt.Errorf("the list has more than %d entries", maxEntries)
	errListTooLarge   = fmt.Errorf("the list takes more than %d MiB of memory; read it entry by entry", maxKeptBytes>>20)
)

// ListTokens returns all tokens of the user, revoked and expired ones too, in
// the API's order (GET /settings/tokens). The slice may be empty, but is not nil.
//
// It holds the whole list in memory, up to 64 MiB, which is enough for 100,000
// tokens. A longer list is [ErrUnexpectedAnswer]; [Caller.ReadTokens] reads it.
func (u *Caller) ListTokens(ctx context.Context) ([]Token, error) {
	var tokens []Token
	err := u.readTokens(ctx, opListTokens, func() func(*Token) error {
		tokens = []Token{}
		kept := 0
		return func(token *Token) error {
			if kept += token.size(); kept > maxKeptBytes {
				return errListTooLarge
			}
			tokens = append(tokens, *token)
			return nil
		}
	})
	if err != nil {
		return nil, err
	}
	return tokens, nil
}

// ReadTokens reads the list of [Caller.ListTokens] and keeps nothing of it: each
// token goes to the function that begin returned, in the API's order. The token
// is the function's to keep.
//
// A list that breaks off is asked for again. begin is called at the start of each
// try, so that what an earlier try brought can be dropped. What was collected
// counts only if ReadTokens returns nil.
//
// An entry of more than 32 KiB, more than a million entries, and what is not a
// list of tokens are [ErrUnexpectedAnswer]. How long a list may take is bounded
// by [WithTimeout] and ctx.
func (u *Caller) ReadTokens(ctx context.Context, begin func() func(*Token)) error {
	return u.readTokens(ctx, opListTokens, func() func(*Token) error {
		take := begin()
		return func(token *Token) error {
			take(token)
			return nil
		}
	})
}

// readTokens is ReadTokens for an operation, with a function that can end it.
func (u *Caller) readTokens(ctx context.Context, op string, begin func() func(*Token) error) error {
	cl := &call{op: op, path: tokensPath, secret: u.tokenManager()}
	cl.stream = func(body io.Reader) error { return readList(body, begin()) }
	return u.client.getStream(ctx, cl)
}

// readList decodes a list entry by entry. Errors of body are returned unchanged.
func readList(body io.Reader, take func(*Token) error) error {
	limited := &entryReader{body: body}
	decoder := json.NewDecoder(limited)
	limited.decoder = decoder
	switch start, err := decoder.Token(); {
	case err != nil:
		return malformedList(err)
	case start != json.Delim('['):
		return &listError{reason: "the answer is not a list"}
	}
	for n := 1; decoder.More(); n++ {
		if n > maxEntries {
			return &listError{reason: errTooManyEntries.Error(), cause: errTooManyEntries}
		}
		absent := new(time.Time)
		token := Token{LastUsedAt: absent} // null takes it away, and a time goes into it
		if err := decoder.Decode(&token); err != nil {
			return malformedList(err)
		}
		token.UsageUnknown = token.LastUsedAt == absent && absent.IsZero()
		token.tidy()
		if reason := incomplete(&token); reason != "" {
			return &listError{reason: fmt.Sprintf("entry %d of the token list %s", n, reason)}
		}
		if err := take(&token); err != nil {
			return &listError{reason: err.Error(), cause: err}
		}
	}
	if _, err := decoder.Token(); err != nil { // the closing bracket
		return malformedList(err)
	}
	switch _, err := decoder.Token(); {
	case err == nil:
		return malformedList(errors.New("something follows the list"))
	case !errors.Is(err, io.EOF) || limited.failed != nil:
		return malformedList(err)
	}
	return nil
}

// entryReader reads for a decoder, and fails when an entry grows too large to be decoded in
// memory.
type entryReader struct {
	body    io.Reader
	decoder *json.Decoder
	read    int64
	// failed is why body could not be read to its end.
	failed error
}

func (r *entryReader) Read(p []byte) (int, error) {
	if r.failed != nil {
		return 0, r.failed
	}
	if r.read-r.decoder.InputOffset() > maxEntryBytes {
		return 0, &listError{reason: errEntryTooLarge.Error(), cause: errEntryTooLarge}
	}
	n, err := r.body.Read(p)
	r.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		r.failed = errors.Join(errBodyCut, err)
		err = r.failed
	}
	return n, err
}

// listError is a list that is not as it must be, however often it is asked for.
type listError struct {
	reason string
	cause  error
}

func (e *listError) Error() string { return e.reason }
func (e *listError) Unwrap() error { return e.cause }

// malformedList says what the decoder met: a lost connection, a list out of bounds, or no
// list.
func malformedList(err error) error {
	var bad *listError
	if errors.Is(err, errBodyCut) || errors.As(err, &bad) {
		return err
	}
	return &listError{reason: malformedAnswer, cause: err}
}

// size is about what t takes in memory, in bytes.
func (t *Token) size() int {
	size := int(unsafe.Sizeof(*t)) + len(t.ID) + len(t.Name) + len(t.Prefix)
	for _, at := range []*time.Time{t.LastUsedAt, t.ExpiresAt, t.RevokedAt, t.ValidFrom} {
		if at != nil {
			size += int(unsafe.Sizeof(*at))
		}
	}
	for _, name := range t.Permissions {
		size += int(unsafe.Sizeof(name)) + len(name)
	}
	return size
}

// idSet holds ids in 8 bytes each. The seed is random, so no API can construct a collision.
type idSet struct {
	seed   maphash.Seed
	hashes map[uint64]struct{}
}

func newIDSet() *idSet { return &idSet{seed: maphash.MakeSeed(), hashes: map[uint64]struct{}{}} }

func (s *idSet) add(id string) { s.hashes[maphash.String(s.seed, id)] = struct{}{} }

// has reports whether id is in the set. There is nothing in a nil set.
func (s *idSet) has(id string) bool {
	if s == nil {
		return false
	}
	_, known := s.hashes[maphash.String(s.seed, id)]
	return known
}

// firstTime is before every time that kenbun can have noted. Earlier ones, such as
// 1970-01-01 or 0001-01-01, mean none.
var firstTime = time.Unix(0, 0).AddDate(0, 0, 2)

// tidy replaces times that stand for none by nil. An expiry in 1970 stays: zero never means
// that a token does not expire.
func (t *Token) tidy() {
	for _, at := range []**time.Time{&t.LastUsedAt, &t.RevokedAt, &t.ValidFrom} {
		if *at != nil && (*at).Before(firstTime) {
			*at = nil
		}
	}
	// "Until the year 9999" is for ever. What is revoked only then is not revoked.
	for _, at := range []**time.Time{&t.ExpiresAt, &t.RevokedAt} {
		if *at != nil && (*at).UTC().Year() >= maxYear {
			*at = nil
		}
	}
}
