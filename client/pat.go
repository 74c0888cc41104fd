package client

import (
	"fmt"
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

// TokenProblem says what is wrong with the form of a token.
type TokenProblem string

// What [ParsePAT] can find.
const (
	TokenEmpty            TokenProblem = "empty"
	TokenPlaceholder      TokenProblem = "placeholder"
	TokenWhiteSpace       TokenProblem = "white_space"
	TokenBearerPrefix     TokenProblem = "bearer_prefix"
	TokenOtherProduct     TokenProblem = "other_product"
	TokenWrongPrefix      TokenProblem = "wrong_prefix"
	TokenTooShort         TokenProblem = "too_short"
	TokenTooLong          TokenProblem = "too_long"
	TokenIllegalCharacter TokenProblem = "illegal_character"
)

// TokenFormError tells why a text is no kenbun personal access token. It never
// holds the text.
type TokenFormError struct {
	Problem TokenProblem
	// Product names whose token it seems to be, for TokenOtherProduct.
	Product string
}

// Error tells what is wrong and what to do.
func (e *TokenFormError) Error() string {
	switch e.Problem {
	case TokenEmpty:
		return "the token is empty; create one in kenbun under Settings > Integrations > Personal Tokens"
	case TokenPlaceholder:
		return "the token is a placeholder that was never filled in; put the real token there"
	case TokenWhiteSpace:
		return "the token has white space or a line break in it; copy the token alone, in one piece"
	case TokenBearerPrefix:
		return `the token begins with "Bearer "; leave that word out and give the token alone`
	case TokenOtherProduct:
		return fmt.Sprintf("this looks like a %s; a kenbun personal access token begins with %q", e.Product, patPrefix)
	case TokenTooShort:
		return "the token is too short, so a part of it is missing; copy it again as a whole, or create a new one if it is no longer shown"
	case TokenTooLong:
		return "the token is too long, so something else was copied with it; copy the token alone"
	case TokenIllegalCharacter:
		return "the token has a character in it that no kenbun token has, such as a quotation mark; copy the token alone"
	default:
		return fmt.Sprintf("this is no kenbun personal access token, which begins with %q", patPrefix)
	}
}

// ParsePAT checks the form of a personal access token and wraps it. The form
// is "kbn_pat_" and 16 to 200 characters out of A-Z, a-z, 0-9, "_" and "-"; the
// kenbun API documentation, Personal Access Tokens, promises no more than the
// beginning. Whether the token is valid, only the API knows.
//
// The error is a [*TokenFormError]. Nothing is trimmed: a token with a line
// break at its end is refused, so that the caller decides what to strip.
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
	if text == "" {
		return TokenEmpty
	}
	opaque, ok := strings.CutPrefix(text, patPrefix)
	if !ok {
		return checkForeign(text)
	}
	for i := range len(opaque) {
		if !isTokenByte(opaque[i]) {
			if strings.ContainsFunc(opaque, unicode.IsSpace) {
				return TokenWhiteSpace
			}
			if isPlaceholder(opaque) {
				return TokenPlaceholder
			}
			return TokenIllegalCharacter
		}
	}
	switch {
	case len(opaque) < patMinLen:
		return TokenTooShort
	case len(opaque) > patMaxLen:
		return TokenTooLong
	}
	return ""
}

// checkForeign finds the likeliest mistake in a text that does not begin as a
// kenbun token does.
func checkForeign(text string) TokenProblem {
	trimmed := strings.TrimSpace(text)
	switch {
	case trimmed == "":
		return TokenEmpty
	case len(trimmed) > 6 && strings.EqualFold(trimmed[:6], "bearer") && unicode.IsSpace(rune(trimmed[6])):
		return TokenBearerPrefix
	case productOf(trimmed) != "":
		return TokenOtherProduct
	case isPlaceholder(trimmed):
		return TokenPlaceholder
	case strings.HasPrefix(trimmed, patPrefix), strings.ContainsFunc(text, unicode.IsSpace):
		return TokenWhiteSpace
	case strings.HasPrefix(strings.Trim(trimmed, "\"'`"), patPrefix):
		return TokenIllegalCharacter
	case strings.HasPrefix(patPrefix, trimmed):
		return TokenTooShort
	}
	return TokenWrongPrefix
}

func isPlaceholder(text string) bool {
	return strings.HasPrefix(text, "<") || strings.HasPrefix(text, "$") || strings.HasPrefix(text, "{{") ||
		strings.Trim(text, "*.…xX") == ""
}

// productOf names the product whose tokens begin as text does, "" if unknown.
// The beginnings are those that the products' own documentation gives for
// secret scanning.
func productOf(text string) string {
	text = strings.TrimSpace(text)
	for _, known := range [...]struct{ prefix, product string }{
		{"ghp_", "GitHub token (ghp_)"},
		{"gho_", "GitHub token (gho_)"},
		{"ghu_", "GitHub token (ghu_)"},
		{"ghs_", "GitHub token (ghs_)"},
		{"github_pat_", "GitHub token (github_pat_)"},
		{"glpat-", "GitLab token (glpat-)"},
		{"sk-ant-", "Anthropic key (sk-ant-)"},
		{"sk-", "key of an AI provider (sk-)"},
		{"sk_live_", "Stripe key (sk_live_)"},
		{"xoxb-", "Slack token (xoxb-)"},
		{"xoxp-", "Slack token (xoxp-)"},
		{"npm_", "npm token (npm_)"},
		{"hf_", "Hugging Face token (hf_)"},
		{"AKIA", "AWS access key (AKIA)"},
		{"sxp_", "kenbun share token (sxp_)"},
		{"eyJ", "signed-in session (a JWT)"},
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
