package auditlog

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// Keys are PEM files as openssl writes them: PKCS #8 for the private key, and
// SubjectPublicKeyInfo for the public one.
const (
	privateKeyBlock = "PRIVATE KEY"
	publicKeyBlock  = "PUBLIC KEY"
)

// NewKey makes a pair of keys.
func NewKey() (private, public []byte, err error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode a key: %w", err)
	}
	encodedPublic, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, nil, fmt.Errorf("encode a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateKeyBlock, Bytes: encoded}),
		pem.EncodeToMemory(&pem.Block{Type: publicKeyBlock, Bytes: encodedPublic}), nil
}

// ParsePrivateKey reads the key that signs entries.
func ParsePrivateKey(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != privateKeyBlock {
		return nil, errors.New(`it holds no private key: a line "-----BEGIN PRIVATE KEY-----" is missing`)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("its private key cannot be read")
	}
	signer, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("its private key is not for Ed25519")
	}
	return signer, nil
}

// ParsePublicKey reads the key that signatures are checked with.
func ParsePublicKey(text []byte) (ed25519.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != publicKeyBlock {
		return nil, errors.New(`it holds no public key: a line "-----BEGIN PUBLIC KEY-----" is missing`)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, errors.New("its public key cannot be read")
	}
	public, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("its public key is not for Ed25519")
	}
	return public, nil
}
