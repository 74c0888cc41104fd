// Package claimkey holds the cryptography of claims: how a server seals a new token for its user,
// and how the user proves ownership without sending their personal access token (PAT).
//
// # Construction
//
// For a claim with the id ID of a user with the token PAT:
//
//	value key = HKDF-SHA-256(PAT, salt "kenbun-mcp claim v2", info "value\x00" ID)
//	proof key = HKDF-SHA-256(PAT, salt "kenbun-mcp claim v2", info "proof\x00" ID)
//	sealed    = nonce | AES-256-GCM(value key, nonce, payload, additional data "kenbun-mcp claim v2\x00" ID)
//	proof     = HMAC-SHA-256(proof key, "kenbun-mcp claim v2\x00" ID "\x00" HOST)
//
// When a token is made, the server has the user's PAT, derives both keys, and keeps sealed and
// the proof key. To fetch, the command sends proof, gets sealed and opens it. HOST is the host
// that the command talks to, in the form of [NormalHost]. A proof for a hostile server is
// therefore useless at the user's server.
//
// A hostile server learns the proof for its own name, which opens nothing. The store and its
// key reveal the proof key, which fetches sealed and opens nothing. Neither reveals the PAT,
// since HKDF cannot be inverted and a PAT has at least 190 random bits.
package claimkey

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Version is the version of the protocol. In version 1 the command sent the PAT itself.
const Version = 2

const label = "kenbun-mcp claim v2"

// Payload is what is sealed for the user.
type Payload struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	CreatedAt   time.Time  `json:"created_at"`
	ValidFrom   *time.Time `json:"valid_from,omitempty"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty"`
	Permissions []string   `json:"permissions,omitzero"`
	Token       string     `json:"token"`
}

// Request is sent by the command.
type Request struct {
	Version int    `json:"version"`
	Proof   []byte `json:"proof"`
}

// Answer is the server's answer, once.
type Answer struct {
	Version int    `json:"version"`
	Sealed  []byte `json:"sealed"`
}

// Deriver derives keys from a PAT. client.Secret and *client.Caller implement it.
type Deriver interface {
	DeriveKey(purpose, info string) ([]byte, error)
}

// Keys are the keys of one claim. The zero value is not usable.
type Keys struct {
	id string
	// Proof is the key of the user's proofs. It opens nothing.
	Proof []byte
	value []byte
}

// Derive returns the keys of the claim id for the owner of pat.
func Derive(pat Deriver, id string) (*Keys, error) {
	value, err := pat.DeriveKey(label, "value\x00"+id)
	if err != nil {
		return nil, fmt.Errorf("derive the keys of a claim: %w", err)
	}
	proof, err := pat.DeriveKey(label, "proof\x00"+id)
	if err != nil {
		return nil, fmt.Errorf("derive the keys of a claim: %w", err)
	}
	return &Keys{id: id, Proof: proof, value: value}, nil
}

// Seal encrypts a payload.
func (k *Keys) Seal(payload Payload) ([]byte, error) {
	plain, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("seal a token: %w", err)
	}
	defer clear(plain)
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plain, []byte(label+"\x00"+k.id)), nil //nolint:gosec // the AEAD draws the nonce itself
}

// ErrNotSealed indicates data that was not sealed for this user and claim, or was altered.
var ErrNotSealed = errors.New("the data was not sealed for this token and this claim, or was altered")

// Open decrypts what [Keys.Seal] encrypted. The error is [ErrNotSealed].
func (k *Keys) Open(sealed []byte) (*Payload, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed, []byte(label+"\x00"+k.id))
	if err != nil {
		return nil, ErrNotSealed
	}
	defer clear(plain)
	var payload Payload
	if json.Unmarshal(plain, &payload) != nil {
		return nil, ErrNotSealed
	}
	return &payload, nil
}

func (k *Keys) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.value)
	if err != nil {
		return nil, fmt.Errorf("prepare the encryption of a claim: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Prove returns the proof for host, in the form of [NormalHost], that its sender has proofKey.
func Prove(proofKey []byte, id, host string) []byte {
	mac := hmac.New(sha256.New, proofKey)
	mac.Write([]byte(label + "\x00" + id + "\x00" + host))
	return mac.Sum(nil)
}

// Proves reports, in constant time, whether proof is the one for host.
func Proves(proof, proofKey []byte, id, host string) bool {
	return hmac.Equal(proof, Prove(proofKey, id, host))
}

// NormalHost returns the form of a host that proofs are bound to: a lower-case name or an address
// (IPv6 in brackets), and the port unless it is the scheme's usual one. ok is false for anything
// but a host with an optional port, and for names that are not ASCII.
func NormalHost(scheme, host string) (_ string, ok bool) {
	u, err := url.Parse("//" + host)
	if err != nil || u.Host != host || u.Hostname() == "" || strings.HasSuffix(host, ":") {
		return "", false
	}
	name := strings.ToLower(u.Hostname())
	if addr, err := netip.ParseAddr(name); err == nil {
		if addr.Zone() != "" {
			return "", false
		}
		name = addr.String()
		if addr.Is6() {
			name = "[" + name + "]"
		}
	} else if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" {
		return "", false
	}
	if port := u.Port(); port != "" && port != UsualPort(scheme) {
		name += ":" + port
	}
	return name, true
}

// UsualPort returns the default port of https or http, and "" for other schemes.
func UsualPort(scheme string) string {
	switch scheme {
	case "https":
		return "443"
	case "http":
		return "80"
	}
	return ""
}
