package auditlog

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
)

// An entry's line ends with these fields:
//
//	,"previous":"<hash of the entry before, or nothing>","hash":"<its own>"}
//	,"previous":"<hash of the entry before, or nothing>","signature":"<its own>","hash":"<its own>"}
//
// The hash is the SHA-256, in hexadecimal digits, of the line without the field hash.
// The signature is that of the line without the fields signature and hash, by Ed25519,
// in base64. All fields have one form only and stand at the end, so there is one way
// to tell what is hashed and signed, and any program can compute it.
const (
	entryStart    = `{"time":"`
	previousField = `,"previous":"`
	hashField     = `,"hash":"`
	signField     = `,"signature":"`
	fieldEnd      = `"`
	entryEnd      = `}`

	hashLength = 2 * sha256.Size
)

// signLength is the length of a signature in base64.
var signLength = base64.StdEncoding.EncodedLen(ed25519.SignatureSize)

// maxLine bounds a line, in bytes. Package tools cuts what stands in an entry, so
// that one has less than half of it: behind a part of an entry of any length, the
// end of the entry before is still in sight.
const maxLine = 128 << 10

// link is what the end of a line tells.
type link struct {
	// previous is empty where a chain begins.
	previous string
	hash     string
	// matches reports that the line is the one that was hashed.
	matches bool
	// signed is what a signature is of, and signature is nil if there is none.
	signed, signature []byte
}

// isSignedBy reports whether the signature is one by key.
func (l link) isSignedBy(key ed25519.PublicKey) bool {
	return ed25519.Verify(key, append(bytes.Clone(l.signed), entryEnd...), l.signature)
}

// seal returns the line of an entry that comes after the one with the hash
// previous, without a line break, and its own hash. A nil key signs nothing.
func seal(entry []byte, previous string, key ed25519.PrivateKey) (line []byte, hash string) {
	open := bytes.TrimSuffix(entry, []byte(entryEnd))
	line = make([]byte, 0, len(open)+2*hashLength+len(previousField+fieldEnd+hashField+fieldEnd+entryEnd))
	line = append(append(line, open...), previousField+previous+fieldEnd...)
	if key != nil {
		signature := ed25519.Sign(key, append(bytes.Clone(line), entryEnd...))
		line = append(line, signField+base64.StdEncoding.EncodeToString(signature)+fieldEnd...)
	}
	hash = sum(line)
	return append(line, hashField+hash+fieldEnd+entryEnd...), hash
}

// sum is the hash of a line that goes on with the field hash behind open.
func sum(open []byte) string {
	h := sha256.New()
	h.Write(open)
	h.Write([]byte(entryEnd))
	return hex.EncodeToString(h.Sum(nil))
}

// readLink reads the end of a line; ok is false if it is not that of an entry
// with a hash. The line's beginning may be missing if matches does not count.
func readLink(line []byte) (_ link, ok bool) {
	rest, ok := bytes.CutSuffix(line, []byte(fieldEnd+entryEnd))
	if !ok {
		return link{}, false
	}
	rest, hash := cutHash(rest)
	open, ok := bytes.CutSuffix(rest, []byte(hashField))
	if !ok || hash == "" {
		return link{}, false
	}
	signed, signature := cutSignature(open)
	rest, ok = bytes.CutSuffix(signed, []byte(fieldEnd))
	if !ok {
		return link{}, false
	}
	rest, previous := cutHash(rest)
	if !bytes.HasSuffix(rest, []byte(previousField)) {
		return link{}, false
	}
	return link{previous, hash, sum(open) == hash, signed, signature}, true
}

// cutSignature takes the field signature away from the end of text, nil if there is
// none.
func cutSignature(text []byte) (before, signature []byte) {
	start := len(text) - len(signField) - signLength - len(fieldEnd)
	if start < 0 {
		return text, nil
	}
	field, ok := bytes.CutPrefix(text[start:], []byte(signField))
	if !ok {
		return text, nil
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(string(bytes.TrimSuffix(field, []byte(fieldEnd))))
	if err != nil {
		return text, nil
	}
	return text[:start], signature
}

// cutHash takes a hash away from the end of text, "" if there is none.
func cutHash(text []byte) (before []byte, hash string) {
	if len(text) < hashLength {
		return text, ""
	}
	before, end := text[:len(text)-hashLength], text[len(text)-hashLength:]
	if hexDigits(end) < hashLength {
		return text, ""
	}
	return before, string(end)
}

// IsHash reports whether text has the form of a hash in the audit log.
func IsHash(text string) bool {
	return len(text) == hashLength && hexDigits([]byte(text)) == hashLength
}

// hexDigits counts those by which text begins.
func hexDigits(text []byte) int {
	for i, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return i
		}
	}
	return len(text)
}

// isFragment reports whether line is the beginning of an entry and not the whole
// of it, as a process leaves it that is killed while it writes.
func isFragment(line []byte) bool {
	if len(line) == 0 || !bytes.HasPrefix(line, []byte(entryStart)) && !bytes.HasPrefix([]byte(entryStart), line) {
		return false
	}
	// Raw quotes are in no text within JSON: this is the field and nothing else.
	if _, end, found := bytes.Cut(line, []byte(previousField)); found {
		return beginsLinkEnd(end)
	}
	if bytes.Contains(line, []byte(hashField)) {
		return false
	}
	var whole json.RawMessage
	return errors.Is(json.NewDecoder(bytes.NewReader(line)).Decode(&whole), io.ErrUnexpectedEOF)
}

// beginsLinkEnd reports whether text is the beginning of what follows
// previousField, and not the whole of it.
func beginsLinkEnd(text []byte) bool {
	digits := hexDigits(text)
	switch {
	case digits == len(text):
		return digits <= hashLength
	case digits != 0 && digits != hashLength:
		return false
	}
	text = text[digits:]
	if signature, found := bytes.CutPrefix(text, []byte(fieldEnd+signField)); found {
		letters := base64Letters(signature)
		if letters == len(signature) {
			return letters <= signLength
		}
		if letters != signLength {
			return false
		}
		text = signature[letters:]
	} else if bytes.HasPrefix([]byte(fieldEnd+signField), text) {
		return true
	}
	hash, found := bytes.CutPrefix(text, []byte(fieldEnd+hashField))
	if !found {
		return bytes.HasPrefix([]byte(fieldEnd+hashField), text)
	}
	digits = hexDigits(hash)
	end := hash[digits:]
	return len(end) == 0 && digits <= hashLength || digits == hashLength && string(end) == fieldEnd
}

// base64Letters counts those by which text begins.
func base64Letters(text []byte) int {
	for i, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '+' && c != '/' && c != '=' {
			return i
		}
	}
	return len(text)
}

// hasLinkField reports whether a line has at least a part of what entries with a
// hash end with, so that none from before there were hashes can be like it.
func hasLinkField(line []byte) bool {
	return bytes.HasPrefix(line, []byte(entryStart)) && (bytes.Contains(line, []byte(previousField)) || bytes.Contains(line, []byte(hashField)))
}

// isUnlinked reports whether a line is an entry from before there were hashes.
func isUnlinked(line []byte) bool {
	return bytes.HasPrefix(line, []byte(entryStart)) && json.Valid(line) && !hasLinkField(line)
}

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
