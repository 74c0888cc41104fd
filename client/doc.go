// Package client speaks the kenbun API as a user, with that user's personal
// access token (PAT).
//
// A [Client] holds what all users share: the address, the connections, the
// policy for timeouts and retries. It has no token. [Client.As] gives a
// [Caller], a cheap view through which each call acts as exactly one user:
//
//	c, err := client.New()
//	if err != nil {
//		return err
//	}
//	pat, err := client.ParsePAT(os.Getenv("KENBUN_PAT"))
//	if err != nil {
//		return err
//	}
//	tokens, err := c.As(client.Credential{PAT: pat}).ListTokens(ctx)
//
// # Secrets
//
// A token lives in a [Secret]. Printing, logging or encoding one gives
// "[redacted]"; [Secret.Reveal] is the only way to the value. The token goes
// on the wire in one place, and only to the scheme, host and port that the
// Client was made for. Redirects are never followed.
//
// # Errors
//
// A failed call returns an [*Error], and [Caller.CreateToken] may also return
// a [*CreateError] around one. Ask what happened with [errors.Is] and the
// sentinels of this package, such as [ErrUnauthenticated] or [ErrUnavailable];
// take [*Error] out with [errors.As] for the status, the waiting time and the
// request id. The end of the caller's own context shows as [context.Canceled]
// or [context.DeadlineExceeded].
//
// # Retries
//
// GET, DELETE and PATCH are sent again after a lost connection and after the
// statuses 408, 425, 429, 500, 502, 503 and 504, with a growing, jittered pause.
// A Retry-After of up to 30 seconds is kept to (RFC 9110, section 10.2.3); where
// the API asks for more, or for more than the context has left, the call
// returns with [Error.RetryAfter] set. The context ends any pause at once.
//
// Creating a token is not repeatable: the value is shown once, and a second
// POST could make a second live token. It is therefore sent again only where
// the first one surely did nothing. When the outcome is in doubt, CreateToken
// looks for the token that it may have made and revokes it; see
// [Caller.CreateToken].
//
// # Extensions
//
// kenbun documents no permissions of tokens, no start and no change of them. Some
// installations have these: [NewToken.Permissions], [NewToken.ValidFrom],
// [Caller.UpdateToken], and what they show in [Token]. Where none of them is used,
// nothing is sent that kenbun does not document.
//
// # Watching
//
// [WithObserver] tells metrics and traces of each call, by names out of closed
// sets and without anything that was said in it; [WithTraceContext] passes a
// trace on. [Client.Reachable] tells without a token whether the API answers.
//
// # Text from the API
//
// Token names and all other strings in answers are somebody's input, and are
// kept as they came. Clean them before they reach a terminal, a page or a
// language model. [Error.Message] is cleaned already.
//
// Facts about the API are those of the kenbun API documentation, in
// particular its page "Personal Access Tokens".
package client
