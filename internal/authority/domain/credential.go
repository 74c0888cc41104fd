package domain

import (
	"crypto/rand"
	"encoding/hex"
	"hash/crc32"
	"strings"
)

// Kind is what a credential begins with. It is followed by 8 hexadecimal digits, the public
// prefix in lists and logs, 32 secret base62 digits, and the CRC-32 (IEEE) of all that in 6
// base62 digits, which keeps garbage away from the store. Prefix and public length are
// those of kenbun's page Personal Access Tokens; the rest is opaque to clients.
type Kind string

// The kinds of credentials.
const (
	PersonalAccessToken Kind = "kbn_pat_"
	SessionToken        Kind = "kbn_session_"

	// WebSession is a session of the web page, in a cookie. The API does not accept it.
	WebSession Kind = "kbn_session_web_"

	// SignInLink is exchanged for a session, once. No request is made with it.
	SignInLink Kind = "kbn_link_"
)

const (
	// PublicDigits is how many digits of a credential may be shown.
	PublicDigits   = 8
	secretDigits   = 32
	checksumDigits = 6
)

const base62Alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NewCredential returns a new random credential.
func NewCredential(kind Kind) string {
	var public [PublicDigits / 2]byte
	// Never returns an error.
	_, _ = rand.Read(public[:])
	body := string(kind) + hex.EncodeToString(public[:]) + randomBase62(secretDigits)
	return body + checksum(body)
}

// IsSession reports whether credentials of the kind are sessions.
func (k Kind) IsSession() bool { return k == SessionToken || k == WebSession }

// ParseCredential returns the kind of a well-formed credential, unless it is a [WebSession].
func ParseCredential(value string) (Kind, bool) {
	kind := PersonalAccessToken
	if strings.HasPrefix(value, string(SessionToken)) {
		kind = SessionToken
	}
	if !WellFormed(kind, value) {
		return "", false
	}
	return kind, true
}

// WellFormed reports whether value has the form of a credential of the kind.
func WellFormed(kind Kind, value string) bool {
	rest, found := strings.CutPrefix(value, string(kind))
	if !found || len(rest) != PublicDigits+secretDigits+checksumDigits {
		return false
	}
	for i := range len(rest) {
		switch c := rest[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f':
		case i >= PublicDigits && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'):
		default:
			return false
		}
	}
	body, sum := value[:len(value)-checksumDigits], value[len(value)-checksumDigits:]
	return checksum(body) == sum
}

// PublicPrefix returns the part of a well-formed credential that may be shown.
func PublicPrefix(kind Kind, value string) string {
	return value[:len(kind)+PublicDigits]
}

func checksum(body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	var digits [checksumDigits]byte
	for i := checksumDigits - 1; i >= 0; i-- {
		digits[i] = base62Alphabet[sum%62]
		sum /= 62
	}
	return string(digits[:])
}

// randomBase62 returns n digits, each of the 62 equally likely.
func randomBase62(n int) string {
	// 248 is the largest multiple of 62 in a byte; larger bytes would favour the first
	// digits.
	const limit = 248
	digits := make([]byte, 0, n)
	buffer := make([]byte, n+n/4)
	for {
		_, _ = rand.Read(buffer)
		for _, b := range buffer {
			if b >= limit {
				continue
			}
			digits = append(digits, base62Alphabet[b%62])
			if len(digits) == n {
				return string(digits)
			}
		}
	}
}

// NewID returns an identifier such as pat_ followed by 20 random digits.
func NewID(prefix string) string { return prefix + randomBase62(20) }

// CouldBeID reports whether [NewID] may have returned s. Other texts are kept away from the
// store: PostgreSQL refuses a NUL and what is not UTF-8.
func CouldBeID(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_':
		default:
			return false
		}
	}
	return s != ""
}
