package authority

import "strings"

// notBearer answers an Authorization header without the scheme Bearer.
func notBearer(value string) *problem {
	p := missingCredential()
	switch {
	case strings.HasPrefix(value, "kbn_"):
		p.reason, p.message = "missing_scheme", "the word Bearer is missing: send Authorization: Bearer, a space and the token"
	case isVariable(value):
		return malformedCredential(value)
	case value != "":
		p.reason, p.message = "wrong_scheme", "this scheme is not served: send a personal access token as Authorization: Bearer, or in X-API-Key"
	}
	return p
}

// malformedCredential answers what cannot be a credential. Where a client has put
// something else in the place of the token, it says so: that shows nothing about any
// token. What has the beginning of a token gets the answer of all tokens that do not
// work.
func malformedCredential(value string) *problem {
	p := invalidCredential()
	p.reason = "malformed_token"
	bare := strings.Trim(value, "\"'`<> ")
	switch {
	case bare == "":
		p.reason, p.message = "empty_token", "the token is empty: send a personal access token as Authorization: Bearer, or in X-API-Key"
	case isVariable(bare):
		p.reason, p.message = "unexpanded_variable", "a variable stands in place of the token, and nothing has filled it in"
	case bare != value && strings.HasPrefix(bare, "kbn_"):
		p.reason, p.message = "quoted_token", "the token has a quotation mark, a bracket or a space around it: send the token alone"
	case len(bare) > len("bearer ") && strings.HasPrefix(strings.ToLower(bare), "bearer "):
		p.reason, p.message = "name_before_token", "the token has the word Bearer before it: send it once in Authorization, and not at all in X-API-Key"
	}
	return p
}

// isVariable reports whether text is how a shell or a client's settings name a value.
func isVariable(text string) bool {
	return strings.HasPrefix(text, "$") || strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") ||
		len(text) > 2 && strings.HasPrefix(text, "%") && strings.HasSuffix(text, "%") || text == "undefined" || text == "null"
}
