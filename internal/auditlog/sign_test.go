package auditlog_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/auditlog"
)

func mustMakeKey(t *testing.T) (ed25519.PrivateKey, ed25519.PublicKey) {
	t.Helper()
	privatePEM, publicPEM, err := auditlog.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := auditlog.ParsePrivateKey(privatePEM)
	if err != nil {
		t.Fatal(err)
	}
	public, err := auditlog.ParsePublicKey(publicPEM)
	if err != nil {
		t.Fatal(err)
	}
	return key, public
}

// signedLines are the lines of a stream to which a log with key wrote n entries.
func signedLines(t *testing.T, key ed25519.PrivateKey, n int) []string {
	t.Helper()
	var out bytes.Buffer
	log := auditlog.NewStream(&out, key, slog.New(slog.DiscardHandler))
	for range n {
		log.Record(entry("pat_1"))
	}
	mustClose(t, log)
	return slices.Collect(strings.Lines(out.String()))
}

var linkEnd = regexp.MustCompile(`,"previous":"[0-9a-f]*"(,"signature":"[^"]*")?,"hash":"[0-9a-f]{64}"}\n$`)

// rechained are lines with all hashes computed anew, as somebody without the key can.
// Signatures stay as they are.
func rechained(lines []string) []string {
	var chained []string
	previous := ""
	for _, line := range lines {
		signature := linkEnd.FindStringSubmatch(line)[1]
		open := linkEnd.ReplaceAllString(line, `,"previous":"`+previous+`"`+signature)
		sum := sha256.Sum256([]byte(open + "}"))
		previous = hex.EncodeToString(sum[:])
		chained = append(chained, open+`,"hash":"`+previous+`"}`+"\n")
	}
	return chained
}

func TestR35_ASignedLogIsVerifiedByThePublicKey(t *testing.T) {
	key, public := mustMakeKey(t)
	lines := signedLines(t, key, 4)
	report := verify(t, auditlog.Options{PublicKey: public}, joined(lines))
	mustBreak(t, report, "")
	if report.Entries != 4 || report.Signed != 4 {
		t.Errorf("%d of %d entries are signed", report.Signed, report.Entries)
	}
	// Without the key it is a log like any other.
	mustBreak(t, verify(t, auditlog.Options{}, joined(lines)), "")
	if again := rechained(lines); !slices.Equal(again, lines) {
		t.Fatalf("the test does not compute hashes as the log does:\n%s%s", again[1], lines[1])
	}
	_, other := mustMakeKey(t)
	mustBreak(t, verify(t, auditlog.Options{PublicKey: other}, joined(lines)), "1:1 forged")
	mustBreak(t, verify(t, auditlog.Options{PublicKey: public}, joined(linesOf(t, 2))), "1:1 unsigned")
}

// Whoever can write to the log can compute all hashes anew, but cannot sign them.
func TestR35_ASignedLogShowsChangesByWhoeverComputesAllHashesAnew(t *testing.T) {
	key, public := mustMakeKey(t)
	lines := signedLines(t, key, 4)
	unsigned := regexp.MustCompile(`,"signature":"[^"]*"`)
	for name, tc := range map[string]struct {
		change func(lines []string) []string
		want   string
	}{
		"changed": {func(l []string) []string {
			l[1] = strings.Replace(l[1], `"caller":"ada"`, `"caller":"eve"`, 1)
			return l
		}, "1:2 forged"},
		"taken out": {func(l []string) []string { return slices.Delete(l, 1, 2) }, "1:2 forged"},
		"moved":     {func(l []string) []string { l[1], l[2] = l[2], l[1]; return l }, "1:2 forged"},
		"put in":    {func(l []string) []string { return slices.Insert(l, 2, l[0]) }, "1:3 forged"},
		"without its signature": {func(l []string) []string {
			l[2] = unsigned.ReplaceAllString(strings.Replace(l[2], "ada", "eve", 1), "")
			return l
		}, "1:3 unsigned"},
		"with the signature of another": {func(l []string) []string {
			l[2] = unsigned.ReplaceAllString(l[2], unsigned.FindString(l[1]))
			return l
		}, "1:3 forged"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := rechained(tc.change(slices.Clone(lines)))
			mustBreak(t, verify(t, auditlog.Options{}, joined(changed)), "")
			mustBreak(t, verify(t, auditlog.Options{PublicKey: public}, joined(changed)), tc.want)
			mustBreak(t, verify(t, auditlog.Options{PublicKey: public, Stream: true}, joined(changed)), tc.want)
		})
	}
}

func TestR35_APartOfASignedEntryDoesNotBreakTheChain(t *testing.T) {
	key, public := mustMakeKey(t)
	lines := signedLines(t, key, 3)
	part := strings.TrimSuffix(lines[2], "\n")
	for length := 1; length < len(part); length++ {
		report := verify(t, auditlog.Options{PublicKey: public}, joined(lines[:2])+part[:length]+"\n"+lines[2])
		if report.FirstBreak != nil || report.FragmentCount != 1 || report.Signed != 3 {
			t.Fatalf("after %q: %+v", part[:length], report)
		}
	}
}

// A file goes on with its chain when signing is switched on or off.
func TestR35_AFileGoesOnAfterSignedEntries(t *testing.T) {
	key, public := mustMakeKey(t)
	path := t.TempDir() + "/audit.log"
	for _, key := range []ed25519.PrivateKey{nil, key, key, nil} {
		log, err := auditlog.OpenFile(path, key, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		log.Record(entry("pat_1"))
		mustClose(t, log)
	}
	text := contentOf(t, path)
	if report := mustBeOneChain(t, 4, text); report.Signed != 0 {
		t.Errorf("%d entries count as signed without a key", report.Signed)
	}
	report := verify(t, auditlog.Options{PublicKey: public}, text)
	mustBreak(t, report, "1:1 unsigned")
	if report.Breaks != 2 || report.Signed != 2 {
		t.Errorf("%d breaks, %d signed", report.Breaks, report.Signed)
	}
}

func TestR35_KeysAreThoseOfOpenSSL(t *testing.T) {
	for text, says := range map[string]string{
		"": "no private key",
		"-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n":                                                                         "cannot be read",
		"-----BEGIN EC PRIVATE KEY-----\nMC4=\n-----END EC PRIVATE KEY-----\n":                                                                   "no private key",
		"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n":                   "no private key",
		"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n":             "",
		"# mine\n-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n\n\n": "",
	} {
		_, err := auditlog.ParsePrivateKey([]byte(text))
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
	if _, err := auditlog.ParsePublicKey([]byte("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n")); err != nil {
		t.Error(err)
	}
}
