package client

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/kenbun/kenbun-mcp/internal/redact"
)

const redacted = redact.Replacement

// Secret holds a token or another value that must not be shown.
//
// Every way of printing, logging or encoding a Secret gives "[redacted]", also
// when it is an unexported field of something else. It cannot be decoded into,
// nor compared with ==; use [Secret.Equal]. The zero value holds nothing.
type Secret struct {
	// A function, because fmt and reflection-based dumpers read strings in unexported
	// fields, where they cannot call methods. They print a function as an address.
	reveal func() string
}

// NewSecret wraps value. An empty value gives the zero Secret.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{reveal: func() string { return value }}
}

// Reveal returns the value itself, "" for the zero Secret.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero reports whether s holds nothing.
func (s Secret) IsZero() bool { return s.reveal == nil }

// Equal reports whether both hold the same value, in constant time.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// Prefix returns the public part of a kenbun personal access token: "kbn_pat_" and the next
// 8 characters, token_prefix in the list. It returns "" for a value of any other form.
func (s Secret) Prefix() string {
	value := s.Reveal()
	if checkPAT(value) != "" {
		return ""
	}
	return value[:len(patPrefix)+patPublicLen]
}

// String returns "[redacted]".
func (s Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (s Secret) GoString() string { return redacted }

// Format writes "[redacted]" for every verb.
func (s Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, redacted) // fmt.State keeps no errors
}

// LogValue returns "[redacted]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns "[redacted]" as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText returns "[redacted]".
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalBinary returns "[redacted]". Package encoding/gob uses it.
func (s Secret) MarshalBinary() ([]byte, error) { return []byte(redacted), nil }

// DerivedKeySize is the length of derived keys in bytes.
const DerivedKeySize = 32

// DeriveKey derives a key from s with HKDF-SHA-256 (RFC 5869): s is the input keying
// material, purpose the salt, and info the info. Keys of different purposes or infos are
// independent, and none reveals s: a kenbun token has at least 190 random bits. It returns
// an error if s is empty.
func (s Secret) DeriveKey(purpose, info string) ([]byte, error) {
	if s.IsZero() {
		return nil, errors.New("no key can be derived from an empty secret")
	}
	key, err := hkdf.Key(sha256.New, []byte(s.Reveal()), []byte(purpose), info, DerivedKeySize)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	return key, nil
}

// DeriveKey derives a key from the caller's personal access token. See [Secret.DeriveKey].
func (u *Caller) DeriveKey(purpose, info string) ([]byte, error) {
	return u.cred.PAT.DeriveKey(purpose, info)
}

// Fingerprint identifies the caller's personal access token to holders of key, without
// revealing it: HMAC-SHA-256 (RFC 2104) of the token under key, in hexadecimal.
func (u *Caller) Fingerprint(key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(u.cred.PAT.Reveal()))
	return hex.EncodeToString(mac.Sum(nil))
}
