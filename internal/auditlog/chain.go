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
	"slices"
	"strings"
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

// maxLine bounds a line, in bytes. An entry has less than half of it, so that behind part of
// an entry the end of the one before is still in sight.
const maxLine = 128 << 10

// link is the end of an entry's line.
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

// seal returns the line of an entry that follows the hash previous, without a line break,
// and its own hash. A nil key signs nothing.
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

// linkForm is one form of the end of an entry's line. hexDigit and base64Letter stand for
// any such character.
type linkForm struct {
	text string
	// signed and hashed are how much of it is signed and hashed.
	signed, hashed int
}

const (
	hexDigit     = "\x01"
	base64Letter = "\x02"
)

var (
	hashForm  = strings.Repeat(hexDigit, hashLength)
	linkForms = []linkForm{newLinkForm(true, false), newLinkForm(true, true), newLinkForm(false, false), newLinkForm(false, true)}
)

func newLinkForm(hasPrevious, isSigned bool) linkForm {
	f := linkForm{text: previousField}
	if hasPrevious {
		f.text += hashForm
	}
	f.text += fieldEnd
	f.signed = len(f.text)
	if isSigned {
		f.text += signField + strings.Repeat(base64Letter, signLength) + fieldEnd
	}
	f.hashed = len(f.text)
	f.text += hashField + hashForm + fieldEnd + entryEnd
	return f
}

// matches reports whether text is of the form, or of its beginning where it is shorter.
func matches(text []byte, form string) bool {
	if len(text) > len(form) {
		return false
	}
	for i, c := range text {
		digit, lower := c >= '0' && c <= '9', c >= 'a' && c <= 'z'
		switch form[i : i+1] {
		case hexDigit:
			if !digit && (c < 'a' || c > 'f') {
				return false
			}
		case base64Letter:
			if !digit && !lower && (c < 'A' || c > 'Z') && c != '+' && c != '/' && c != '=' {
				return false
			}
		default:
			if c != form[i] {
				return false
			}
		}
	}
	return true
}

// readLink reads the end of a line; ok is false if it is not that of an entry with a hash.
// The line's beginning may be missing if matches does not count.
func readLink(line []byte) (_ link, ok bool) {
	for _, form := range linkForms {
		start := len(line) - len(form.text)
		if start < 0 || !matches(line[start:], form.text) {
			continue
		}
		end := line[start:]
		l := link{
			previous: string(end[len(previousField) : form.signed-len(fieldEnd)]),
			hash:     string(end[form.hashed+len(hashField) : len(end)-len(fieldEnd+entryEnd)]),
			signed:   line[:start+form.signed],
		}
		l.matches = sum(line[:start+form.hashed]) == l.hash
		if form.hashed > form.signed {
			var err error
			text := string(end[form.signed+len(signField) : form.hashed-len(fieldEnd)])
			if l.signature, err = base64.StdEncoding.Strict().DecodeString(text); err != nil {
				return link{}, false
			}
		}
		return l, true
	}
	return link{}, false
}

// IsHash reports whether text has the form of a hash in the audit log.
func IsHash(text string) bool { return len(text) == hashLength && matches([]byte(text), hashForm) }

// isFragment reports whether line is an incomplete entry, as a process leaves it that is
// killed while writing.
func isFragment(line []byte) bool {
	if len(line) == 0 || !bytes.HasPrefix(line, []byte(entryStart)) && !bytes.HasPrefix([]byte(entryStart), line) {
		return false
	}
	// Raw quotes are in no text within JSON: this is the field and nothing else.
	if start := bytes.Index(line, []byte(previousField)); start >= 0 {
		return slices.ContainsFunc(linkForms, func(form linkForm) bool {
			return len(line)-start < len(form.text) && matches(line[start:], form.text)
		})
	}
	if bytes.Contains(line, []byte(hashField)) {
		return false
	}
	var whole json.RawMessage
	return errors.Is(json.NewDecoder(bytes.NewReader(line)).Decode(&whole), io.ErrUnexpectedEOF)
}

// hasLinkField reports whether a line has a part of what only entries with a hash have.
func hasLinkField(line []byte) bool {
	return bytes.HasPrefix(line, []byte(entryStart)) && (bytes.Contains(line, []byte(previousField)) || bytes.Contains(line, []byte(hashField)))
}

// isUnlinked reports whether a line is an entry from before there were hashes.
func isUnlinked(line []byte) bool {
	return bytes.HasPrefix(line, []byte(entryStart)) && json.Valid(line) && !hasLinkField(line)
}

// Keys are PEM files as openssl writes them: PKCS #8 (private) and SubjectPublicKeyInfo
// (public).
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
	return parseKey[ed25519.PrivateKey](text, privateKeyBlock, x509.ParsePKCS8PrivateKey)
}

// ParsePublicKey reads the key that signatures are checked with.
func ParsePublicKey(text []byte) (ed25519.PublicKey, error) {
	return parseKey[ed25519.PublicKey](text, publicKeyBlock, x509.ParsePKIXPublicKey)
}

func parseKey[T any](text []byte, blockType string, parse func([]byte) (any, error)) (key T, err error) {
	name := strings.ToLower(blockType)
	block, _ := pem.Decode(text)
	if block == nil || block.Type != blockType {
		return key, fmt.Errorf(`it holds no %s: a line "-----BEGIN %s-----" is missing`, name, blockType)
	}
	parsed, err := parse(block.Bytes)
	if err != nil {
		return key, fmt.Errorf("its %s cannot be read", name)
	}
	key, ok := parsed.(T)
	if !ok {
		return key, fmt.Errorf("its %s is not for Ed25519", name)
	}
	return key, nil
}
