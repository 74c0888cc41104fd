package client

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// DerivedKeySize is the length of the keys that [Secret.DeriveKey] returns, in
// bytes.
const DerivedKeySize = 32

// DeriveKey derives a key from s with HKDF-SHA-256 (RFC 5869). s is the input
// keying material, purpose is the salt, and info the info. Keys of different
// purposes or infos are independent of each other, and no key reveals s, as long
// as s cannot be guessed: a kenbun token has at least 190 random bits.
//
// It returns an error if s is empty.
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

// DeriveKey derives a key from the caller's personal access token. See
// [Secret.DeriveKey].
func (u *Caller) DeriveKey(purpose, info string) ([]byte, error) {
	return u.cred.PAT.DeriveKey(purpose, info)
}
