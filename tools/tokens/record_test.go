package tokens_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// record keeps everything that left the toolbox. It is an io.Writer for logs.
type record struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.data.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.data.String()
}

// searchFor fails the test if the secret part of value stands in the record, in
// any of the forms in which programs carry text.
func (r *record) searchFor(t *testing.T, value string) {
	t.Helper()
	everything := r.String()
	for form, needle := range formsOf(value) {
		if at := strings.Index(everything, needle); at >= 0 {
			t.Errorf("the value of a token left the toolbox (%s), after %q", form, everything[max(0, at-80):at])
		}
	}
}

// formsOf returns the secret part of value as it would stand in text, plain and
// encoded. Of base64, what depends on the neighbours is cut off.
func formsOf(value string) map[string]string {
	const public = len("kbn_pat_") + 8
	secret := value[public:]
	forms := map[string]string{
		"plain":            secret,
		"first half":       secret[:len(secret)/2],
		"second half":      secret[len(secret)/2:],
		"backwards":        backwards(secret),
		"hex":              hex.EncodeToString([]byte(secret)),
		"upper-case hex":   strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"URL-escaped":      strings.ToUpper(percent(secret)),
		"url-escaped":      strings.ToLower(percent(secret)),
		"escaped for JSON": escapedForJSON(secret),
	}
	for shift := range 3 {
		padded := append(make([]byte, shift), secret...)
		for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			encoded := encoding.EncodeToString(padded)
			forms[fmt.Sprintf("%s, shifted by %d", name, shift)] = encoded[4 : len(encoded)-4]
		}
	}
	return forms
}

func backwards(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02x", s[i])
	}
	return b.String()
}

func escapedForJSON(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, `\u%04x`, s[i])
	}
	return b.String()
}

func (r *record) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.data.Reset()
}
