package authority

import (
	"crypto/rand"
	"encoding/hex"
	"hash/crc32"
	"strings"
)

// A credential is a literal that tells its kind, 8 hexadecimal digits that
// name it in lists and logs, 32 base62 digits that are the secret, and the
// CRC-32 (IEEE) of all that stands before, in 6 base62 digits. The literal of
// a personal access token and the length of its public prefix are those of the
// kenbun API documentation, Personal Access Tokens; what follows is opaque to
// clients. The checksum keeps garbage away from the store and proves nothing.
type credentialKind string

const (
	personalAccessToken credentialKind = "kbn_pat_"
	sessionToken        credentialKind = "kbn_session_"

	// webSession is a session of the web page, kept in a cookie. It is of a kind of
	// its own, so that the API does not accept it as a bearer token.
	webSession credentialKind = "kbn_session_web_"

	// signInLink is no credential of a request: it is exchanged for a session,
	// once.
	signInLink credentialKind = "kbn_link_"
)

const (
	publicDigits   = 8
	secretDigits   = 32
	checksumDigits = 6
)

const base62Alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func newCredential(kind credentialKind) string {
	var public [publicDigits / 2]byte
	// crypto/rand.Read ends the program rather than return an error.
	_, _ = rand.Read(public[:])
	body := string(kind) + hex.EncodeToString(public[:]) + randomBase62(secretDigits)
	return body + checksum(body)
}

// isSession tells whether credentials of the kind are in the table of sessions.
func (k credentialKind) isSession() bool { return k == sessionToken || k == webSession }

// parseCredential tells the kind of a well-formed credential of the API. A
// [webSession] is none.
func parseCredential(value string) (credentialKind, bool) {
	kind := personalAccessToken
	if strings.HasPrefix(value, string(sessionToken)) {
		kind = sessionToken
	}
	if !wellFormed(kind, value) {
		return "", false
	}
	return kind, true
}

func wellFormed(kind credentialKind, value string) bool {
	rest, found := strings.CutPrefix(value, string(kind))
	if !found || len(rest) != publicDigits+secretDigits+checksumDigits {
		return false
	}
	for i := range len(rest) {
		switch c := rest[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f':
		case i >= publicDigits && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'):
		default:
			return false
		}
	}
	body, sum := value[:len(value)-checksumDigits], value[len(value)-checksumDigits:]
	return checksum(body) == sum
}

// publicPrefix is the part of a well-formed credential that may be shown.
func publicPrefix(kind credentialKind, value string) string {
	return value[:len(kind)+publicDigits]
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
	// 248 is the largest multiple of 62 that fits a byte; taking the remainder
	// of larger bytes would favour the first digits.
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

// newID returns an identifier such as pat_ followed by 20 random digits.
func newID(prefix string) string { return prefix + randomBase62(20) }

// couldBeID tells whether newID may have returned s. What cannot be an id is not
// asked for: PostgreSQL refuses text that is not UTF-8 or holds a NUL, and that
// would look like a fault of ours.
func couldBeID(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_':
		default:
			return false
		}
	}
	return s != ""
}
