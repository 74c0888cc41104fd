package client

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/kenbun/kenbun-mcp/internal/redact"
)

const (
	patPrefix    = redact.PAT
	patPublicLen = redact.PublicLen
	patMinLen    = 16
	patMaxLen    = 200
)

// TokenProblem names what is wrong with a token, or with how it was given. The set is closed
// and stable: values stand in logs and in the answers of servers.
type TokenProblem string

// The problems. [ParsePAT] finds those from TokenEmpty on. The others are for callers that
// look for a token in request headers or settings.
const (
	TokenMissing     TokenProblem = "missing_token"
	TokenNoScheme    TokenProblem = "missing_scheme"
	TokenWrongScheme TokenProblem = "wrong_scheme"
	TokenTwice       TokenProblem = "two_tokens"

	TokenEmpty            TokenProblem = "empty_token"
	TokenUnexpanded       TokenProblem = "unexpanded_variable"
	TokenPlaceholder      TokenProblem = "placeholder"
	TokenQuoted           TokenProblem = "quoted_token"
	TokenWhiteSpace       TokenProblem = "white_space"
	TokenNamed            TokenProblem = "name_before_token"
	TokenOtherProduct     TokenProblem = "other_kind"
	TokenWrongPrefix      TokenProblem = "wrong_prefix"
	TokenTooShort         TokenProblem = "token_cut_short"
	TokenTooLong          TokenProblem = "token_too_long"
	TokenIllegalCharacter TokenProblem = "illegal_character"
)

// tokenProblems has the text for each problem, without quotation marks and backslashes,
// which a challenge cannot hold (RFC 6750, section 3).
var tokenProblems = map[TokenProblem]string{
	TokenMissing:          "no kenbun token was given",
	TokenNoScheme:         "the word Bearer is missing: write Bearer, a space and the token in the Authorization header",
	TokenWrongScheme:      "the token comes with another scheme than Bearer, such as Basic or Token; write Bearer in an Authorization header, and the token alone everywhere else",
	TokenTwice:            "more than one token was given; give exactly one",
	TokenEmpty:            "the token is empty; create one in kenbun under Settings > Integrations > Personal Tokens",
	TokenUnexpanded:       "a variable stands in place of the token, and nothing has filled it in; set the variable where the client starts, or put the real token there",
	TokenPlaceholder:      "the token is a placeholder that was never filled in; put the real token there",
	TokenQuoted:           "the token has a quotation mark or a bracket around it; give the token alone",
	TokenWhiteSpace:       "the token has white space or a line break in it; copy the token alone, in one piece",
	TokenNamed:            "the token has something before it, such as the word Bearer or the name of a header or a variable; leave that out and give the token alone",
	TokenTooShort:         "the token is too short, so a part of it is missing; copy it again as a whole, or create a new one if it is no longer shown",
	TokenTooLong:          "the token is too long, so something else was copied with it; copy the token alone",
	TokenIllegalCharacter: "the token has a character in it that no kenbun token has; copy the token alone",
	TokenWrongPrefix:      "this is no kenbun personal access token, which begins with " + patPrefix,
}

// TokenProblems returns every problem.
func TokenProblems() []TokenProblem {
	return append(slices.Sorted(maps.Keys(tokenProblems)), TokenOtherProduct)
}

// TokenFormError indicates why a text is not a kenbun personal access token, or why none was
// found. It never holds the text.
type TokenFormError struct {
	Problem TokenProblem
	// Product names whose token it seems to be, with an article, for TokenOtherProduct.
	Product string
}

// Error says what is wrong and what to do.
func (e *TokenFormError) Error() string {
	if e.Problem == TokenOtherProduct {
		return fmt.Sprintf("this looks like %s; a kenbun personal access token begins with %s", e.Product, patPrefix)
	}
	return tokenProblems[e.Problem]
}

// ParsePAT checks the form of a personal access token and wraps it: "kbn_pat_" and 16 to 200
// characters out of A-Z, a-z, 0-9, "_" and "-". The kenbun API documentation, Personal
// Access Tokens, promises the prefix alone. Only the API knows whether the token is valid.
// The error is a [*TokenFormError]. Nothing is trimmed.
func ParsePAT(text string) (Secret, error) {
	if problem := checkPAT(text); problem != "" {
		err := &TokenFormError{Problem: problem}
		if problem == TokenOtherProduct {
			err.Product = productOf(text)
		}
		return Secret{}, err
	}
	return NewSecret(text), nil
}

func checkPAT(text string) TokenProblem {
	opaque, ok := strings.CutPrefix(text, patPrefix)
	if !ok {
		return checkForeign(text)
	}
	for i := range len(opaque) {
		if !isTokenByte(opaque[i]) {
			return checkIllegal(text, opaque)
		}
	}
	switch {
	case opaque != "" && isFilling(opaque):
		return TokenPlaceholder
	case len(opaque) < patMinLen:
		return TokenTooShort
	case len(opaque) > patMaxLen:
		return TokenTooLong
	}
	return ""
}

// checkIllegal finds the likeliest mistake in a text that begins like a kenbun token and has
// other characters.
func checkIllegal(text, opaque string) TokenProblem {
	switch {
	case strings.Count(text, patPrefix) > 1:
		return TokenTwice
	case isVariable(opaque):
		return TokenUnexpanded
	case strings.ContainsFunc(opaque, unicode.IsSpace):
		return TokenWhiteSpace
	case isPlaceholder(opaque):
		return TokenPlaceholder
	}
	if bare := strings.Trim(text, quotes); bare != text && checkPAT(bare) == "" {
		return TokenQuoted
	}
	return TokenIllegalCharacter
}

// checkForeign finds the likeliest mistake in a text that does not begin like a kenbun
// token.
func checkForeign(text string) TokenProblem {
	trimmed := strings.TrimSpace(text)
	bare := strings.Trim(trimmed, quotes)
	before, _, found := strings.Cut(bare, patPrefix)
	before = strings.TrimRight(before, quotes)
	words := strings.Fields(before)
	switch {
	case trimmed == "" || bare == "" && trimmed != "<>":
		return TokenEmpty
	case isVariable(trimmed) || isVariable(bare):
		return TokenUnexpanded
	case strings.Count(text, patPrefix) > 1:
		return TokenTwice
	case len(words) > 0 && strings.EqualFold(words[0], "bearer") && strings.ContainsFunc(bare, unicode.IsSpace),
		found && len(words) > 0 && strings.EqualFold(words[len(words)-1], "bearer"),
		found && strings.HasSuffix(strings.TrimSpace(before), ":"), found && strings.HasSuffix(before, "="):
		return TokenNamed
	case len(words) == 1 && strings.HasSuffix(before, " ") && found, hasOtherScheme(bare):
		return TokenWrongScheme
	case productOf(bare) != "":
		return TokenOtherProduct
	case isPlaceholder(trimmed):
		return TokenPlaceholder
	case strings.HasPrefix(trimmed, patPrefix), strings.ContainsFunc(text, unicode.IsSpace):
		return TokenWhiteSpace
	case strings.HasPrefix(bare, patPrefix):
		return TokenQuoted
	case strings.HasPrefix(patPrefix, trimmed):
		return TokenTooShort
	}
	return TokenWrongPrefix
}

// quotes surround values that were copied out of a program or a document.
const quotes = "\"'`<>()[]“”‘’„‚«»‹›"

// hasOtherScheme reports whether text begins with a scheme of HTTP authentication other than
// Bearer.
func hasOtherScheme(text string) bool {
	scheme, _, more := strings.Cut(text, " ")
	return more && slices.Contains([]string{
		"basic", "token", "digest", "apikey", "api-key", "key", "jwt", "oauth", "negotiate", "ntlm", "dpop", "hmac", "aws4-hmac-sha256",
	}, strings.TrimSuffix(strings.ToLower(scheme), ":"))
}

// isVariable reports whether text is an unexpanded variable of a shell, client or template,
// or what a program prints for a missing value.
func isVariable(text string) bool {
	for _, mark := range []string{"${", "$(", "{{", "#{", "<%"} {
		if strings.Contains(text, mark) {
			return true
		}
	}
	for _, begin := range []string{"$", "env:", "op://", "process.env.", "os.environ", "!secret", "input:"} {
		if strings.HasPrefix(text, begin) {
			return true
		}
	}
	switch {
	case slices.Contains([]string{"undefined", "null", "None", "nil", "NaN", "[object Object]", "object Object"}, text):
		return true
	case len(text) > 2 && (text[0] == '%' && text[len(text)-1] == '%' || text[0] == '{' && text[len(text)-1] == '}'):
		return true
	}
	return isVariableName(text) && !isPlaceholder(text)
}

// isVariableName reports whether text is in capital letters with an underscore, like an
// environment variable.
func isVariableName(text string) bool {
	return len(text) >= len(patPrefix) && !strings.EqualFold(text[:len(patPrefix)], patPrefix) && strings.Contains(text, "_") &&
		strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// isFilling reports whether text is what documents write in place of secret characters.
func isFilling(text string) bool { return strings.Trim(text, "*.…xX_-") == "" }

func isPlaceholder(text string) bool {
	if isFilling(text) || strings.HasPrefix(text, "<") && !strings.HasPrefix(text, "<"+patPrefix) {
		return true
	}
	lower := strings.ToLower(strings.Trim(text, quotes))
	for _, begin := range []string{"your", "my-", "my_", "insert", "replace", "changeme", "change-", "change_", "enter-", "enter_", "paste", "put-", "put_"} {
		if strings.HasPrefix(lower, begin) {
			return true
		}
	}
	return false
}

// productOf names the product whose token text seems to be, "" if unknown. The prefixes are
// those that the products document for secret scanning.
func productOf(text string) string {
	text = strings.TrimSpace(text)
	for _, known := range [...]struct{ prefix, product string }{
		{"ghp_", "a GitHub token (ghp_)"},
		{"gho_", "a GitHub token (gho_)"},
		{"ghu_", "a GitHub token (ghu_)"},
		{"ghs_", "a GitHub token (ghs_)"},
		{"github_pat_", "a GitHub token (github_pat_)"},
		{"glpat-", "a GitLab token (glpat-)"},
		{"sk-ant-", "an Anthropic key (sk-ant-)"},
		{"sk-", "a key of an AI provider (sk-)"},
		{"sk_live_", "a Stripe key (sk_live_)"},
		{"xoxb-", "a Slack token (xoxb-)"},
		{"xoxp-", "a Slack token (xoxp-)"},
		{"npm_", "an npm token (npm_)"},
		{"hf_", "a Hugging Face token (hf_)"},
		{"AKIA", "an AWS access key (AKIA)"},
		{"sxp_", "a kenbun share token (sxp_)"},
		{redact.Session, "a token of a signed-in session (" + redact.Session + ")"},
		{redact.Link, "a sign-in link of kenbun (" + redact.Link + ")"},
		{redact.ServerKey, "a key of a kenbun-mcp server (" + redact.ServerKey + ")"},
		{"eyJ", "a signed-in session (a JWT)"},
	} {
		if strings.HasPrefix(text, known.prefix) {
			return known.product
		}
	}
	return ""
}

func isTokenByte(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' || b == '_' || b == '-'
}
