package domain

import (
	"strings"
	"testing"
)

func TestR6_ValuesAreRandom(t *testing.T) {
	seen := map[string]bool{}
	var counts [62]int
	for range 2000 {
		value := NewCredential(PersonalAccessToken)
		if seen[value] {
			t.Fatal("a value came twice")
		}
		seen[value] = true
		secret := value[len("kbn_pat_")+PublicDigits : len(value)-checksumDigits]
		for _, c := range []byte(secret) {
			counts[strings.IndexByte(base62Alphabet, c)]++
		}
	}
	// 64,000 digits, 1032 of each expected; 6 standard deviations are 191.
	for i, n := range counts {
		if n < 1032-191 || n > 1032+191 {
			t.Errorf("digit %c came %d times", base62Alphabet[i], n)
		}
	}
}

func TestParseCredential(t *testing.T) {
	for _, kind := range []Kind{PersonalAccessToken, SessionToken} {
		value := NewCredential(kind)
		if got, ok := ParseCredential(value); !ok || got != kind {
			t.Errorf("%s: parsed as %q, %t", kind, got, ok)
		}
		for i := range len(value) {
			changed := []byte(value)
			changed[i] ^= 1
			if _, ok := ParseCredential(string(changed)); ok {
				t.Errorf("%s: a change at %d was not seen", kind, i)
			}
		}
		for _, other := range []string{"", value[1:], value[:len(value)-1], value + "0", " " + value, value + "\n", strings.ToUpper(value)} {
			if _, ok := ParseCredential(other); ok {
				t.Errorf("%s: accepted in another form", kind)
			}
		}
	}
}

// The checksum of a fixed text, so that values issued by one version are
// accepted by the next.
func TestChecksumStaysTheSame(t *testing.T) {
	if got := checksum("123456789"); got != "3jZRME" {
		t.Errorf("checksum %s", got)
	}
}

// What is accepted is put together again from its parts, and with one byte of it
// changed it is not accepted.
func FuzzParseCredential(f *testing.F) {
	f.Add("", 0, byte(1))
	f.Add("kbn_pat_", 3, byte(1))
	f.Add("kbn_session_0123456789", 20, byte(32))
	for _, kind := range []Kind{PersonalAccessToken, SessionToken} {
		value := NewCredential(kind)
		f.Add(value, 30, byte(7))
		f.Add(value[:len(value)-checksumDigits], 12, byte(1))
	}
	f.Fuzz(func(t *testing.T, body string, at int, change byte) {
		for _, value := range []string{body, body + checksum(body)} {
			kind, ok := ParseCredential(value)
			if !ok {
				continue
			}
			prefix := PublicPrefix(kind, value)
			secret, sum := value[len(prefix):len(value)-checksumDigits], value[len(value)-checksumDigits:]
			if len(prefix) != len(kind)+PublicDigits || len(secret) != secretDigits || checksum(prefix+secret) != sum {
				t.Errorf("%q is no credential and was accepted", value)
			}
			if change == 0 || at < 0 {
				continue
			}
			changed := []byte(value)
			changed[at%len(changed)] ^= change
			if _, ok := ParseCredential(string(changed)); ok {
				t.Errorf("%q was accepted, and so is %q", value, changed)
			}
		}
	})
}
