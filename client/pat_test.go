package client

import (
	"errors"
	"strings"
	"testing"
)

func TestN9_ParsePATTellsWhatIsWrong(t *testing.T) {
	good := randomPAT()
	opaque := good[len(patPrefix):]
	for _, tc := range []struct {
		name, text string
		want       TokenProblem
		says       string
	}{
		{"empty", "", TokenEmpty, "empty"},
		{"only white space", " \n\t", TokenEmpty, "empty"},
		{"line break at the end", good + "\n", TokenWhiteSpace, "white space"},
		{"space before", " " + good, TokenWhiteSpace, "white space"},
		{"line break inside", good[:20] + "\n" + good[20:], TokenWhiteSpace, "white space"},
		{"no-break space at the end", good + "\u00a0", TokenWhiteSpace, "white space"},
		{"Bearer in front", "Bearer " + good, TokenNamed, "Bearer"},
		{"bearer and tab", "bearer\t" + good, TokenNamed, "Bearer"},
		{"GitHub", "ghp_" + opaque, TokenOtherProduct, "looks like a GitHub token"},
		{"GitHub fine-grained", "github_pat_" + opaque, TokenOtherProduct, "kbn_pat_"},
		{"GitLab", "glpat-" + opaque, TokenOtherProduct, "GitLab"},
		{"Anthropic", "sk-" + "ant-" + opaque, TokenOtherProduct, "looks like an Anthropic key"},
		{"AWS", "AKIA" + opaque, TokenOtherProduct, "looks like an AWS access key"},
		{"npm", "npm_" + opaque, TokenOtherProduct, "looks like an npm token"},
		{"AI provider", "sk-" + opaque, TokenOtherProduct, "sk-"},
		{"session", "eyJ" + opaque, TokenOtherProduct, "session"},
		{"something else", "hello-" + opaque, TokenWrongPrefix, "kbn_pat_"},
		{"upper case prefix", "KBN_PAT_" + opaque, TokenWrongPrefix, "kbn_pat_"},
		{"cut", good[:len(patPrefix)+patMinLen-1], TokenTooShort, "too short"},
		{"cut in the prefix", "kbn_p", TokenTooShort, "too short"},
		{"prefix alone", patPrefix, TokenTooShort, "too short"},
		{"too long", patPrefix + strings.Repeat("a", patMaxLen+1), TokenTooLong, "too long"},
		{"quoted", `"` + good + `"`, TokenQuoted, "quotation"},
		{"quote at the end", good + `"`, TokenQuoted, "quotation"},
		{"typographic quotes", "“" + good + "”", TokenQuoted, "quotation"},
		{"angle brackets", "<" + good + ">", TokenQuoted, "bracket"},
		{"quotes with nothing in them", `""`, TokenEmpty, "empty"},
		{"Bearer and a variable", "Bearer ${KENBUN_PAT}", TokenUnexpanded, "variable"},
		{"Basic", "Basic " + opaque, TokenWrongScheme, "Bearer"},
		{"Token", "Token " + good, TokenWrongScheme, "Bearer"},
		{"any other word", "PAT " + good, TokenWrongScheme, "Bearer"},
		{"a header", "Authorization: Bearer " + good, TokenNamed, "header"},
		{"another header", "X-API-Key: " + good, TokenNamed, "header"},
		{"an assignment", "KENBUN_PAT=" + good, TokenNamed, "variable"},
		{"an export", "export KENBUN_PAT='" + good + "'", TokenNamed, "variable"},
		{"two tokens", good + "," + good, TokenTwice, "exactly one"},
		{"two headers in one", good + ", Bearer " + good, TokenTwice, "exactly one"},
		{"kenbun's session", "kbn_" + "session_" + opaque, TokenOtherProduct, "session"},
		{"sign-in link", "kbn_" + "link_" + opaque, TokenOtherProduct, "link"},
		{"key of a server", "kms" + "_" + opaque, TokenOtherProduct, "kenbun-mcp server"},
		{"umlaut", good[:20] + "ä" + good[20:], TokenIllegalCharacter, "character"},
		{"NUL", good + "\x00", TokenIllegalCharacter, "character"},
		{"placeholder", "<your-token>", TokenPlaceholder, "placeholder"},
		{"words of a document", "your-kenbun-token", TokenPlaceholder, "placeholder"},
		{"words of a document in capitals", "YOUR_TOKEN_HERE", TokenPlaceholder, "placeholder"},
		{"crosses", patPrefix + strings.Repeat("x", 32), TokenPlaceholder, "placeholder"},
		{"documentation ellipsis", patPrefix + "...", TokenPlaceholder, "placeholder"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			secret, err := ParsePAT(tc.text)
			var form *TokenFormError
			if !errors.As(err, &form) || form.Problem != tc.want {
				t.Fatalf("ParsePAT says %v, want the problem %q", err, tc.want)
			}
			if !secret.IsZero() {
				t.Error("a refused token was returned")
			}
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%q does not say %q", err, tc.says)
			}
			if strings.Contains(err.Error(), opaque) || strings.Contains(err.Error(), opaque[:8]) {
				t.Error("the error repeats the token")
			}
		})
	}
}

// What clients leave of a variable that is not set where they run.
func TestP6_AVariableThatNobodyFilledInIsNamedAsOne(t *testing.T) {
	for _, text := range []string{
		"$KENBUN_PAT", "${KENBUN_PAT}", "${KENBUN_PAT:-}", "%KENBUN_PAT%", "$env:KENBUN_PAT", "${env:KENBUN_PAT}", "${input:kenbun-pat}", "{env:KENBUN_PAT}",
		"{KENBUN_PAT}", "{{KENBUN_PAT}}", "${{ secrets.KENBUN_PAT }}", "{{ .Values.pat }}", "$(cat token)", "#{KENBUN_PAT}#", "<%= ENV['KENBUN_PAT'] %>",
		"env:KENBUN_PAT", "op://vault/kenbun/pat", "process.env.KENBUN_PAT", "KENBUN_PAT", "undefined", "null", "None", "[object Object]",
		`"${KENBUN_PAT}"`, " ${KENBUN_PAT} ", patPrefix + "${KENBUN_PAT}", "Bearer ${KENBUN_PAT}",
	} {
		_, err := ParsePAT(text)
		var form *TokenFormError
		if !errors.As(err, &form) || form.Problem != TokenUnexpanded || !strings.Contains(err.Error(), "variable") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestP6_EveryProblemHasASentenceOfItsOwn(t *testing.T) {
	said := map[string]TokenProblem{}
	for _, problem := range TokenProblems() {
		text := (&TokenFormError{Problem: problem, Product: "token of something else"}).Error()
		if other, twice := said[text]; twice || len(text) < 20 {
			t.Errorf("%s says %q, and so does %s", problem, text, other)
		}
		said[text] = problem
	}
}

func TestParsePATAcceptsTheFormOnly(t *testing.T) {
	for _, text := range []string{
		randomPAT(),
		patPrefix + strings.Repeat("a", patMinLen),
		patPrefix + strings.Repeat("Z", patMaxLen),
		patPrefix + "aZ09_-" + strings.Repeat("-", 10),
	} {
		secret, err := ParsePAT(text)
		if err != nil || secret.Reveal() != text {
			t.Errorf("a good token of %d characters: %v", len(text), err)
		}
	}
}

func FuzzParsePAT(f *testing.F) {
	for _, seed := range []string{"", patPrefix, "Bearer ", randomPAT(), "ghp_x", "\xff", "kbn_pat_\u202e", "<", "...", "bearer"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		secret, err := ParsePAT(text)
		if err == nil {
			if secret.Reveal() != text || !strings.HasPrefix(text, patPrefix) || !isHeaderText(text) {
				t.Errorf("accepted %q", text)
			}
			return
		}
		var form *TokenFormError
		if !errors.As(err, &form) || !secret.IsZero() {
			t.Errorf("refused with %T", err)
		}
		if len(text) > 12 && strings.Contains(err.Error(), text) {
			t.Error("the error repeats the text")
		}
	})
}
