package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// Fingerprint names the caller's personal access token without giving it away:
// the HMAC-SHA-256 (RFC 2104) of the token under key, in hexadecimal. Who keeps
// key to himself can tell callers apart by it, and nobody else can do anything
// with it.
func (u *Caller) Fingerprint(key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(u.cred.PAT.Reveal()))
	return hex.EncodeToString(mac.Sum(nil))
}
