package server

import (
	"iter"
	"net/http"

	"github.com/kenbun/kenbun-mcp/client"
)

// reason names why a request was refused. It stands in the log line of the request
// and in the answer. The set is closed: it is refusalReasons and the problems that
// [client.TokenProblems] returns. Where nothing finer is known, it is the code of
// the answer.
type reason string

// Reasons that are not the code of an answer.
const (
	// refusedToken is for a token that has the right form and does not work.
	refusedToken      reason = "token_refused"
	refusedUnverified reason = "token_not_verified"
	refusedMissingKey reason = "missing_key"
	refusedWrongKey   reason = "wrong_key"
	refusedNoneWanted reason = "token_not_wanted"
	refusedOtherUser  reason = "other_user"
	refusedForwarded  reason = "forwarded"
	refusedBadMessage reason = "bad_message"
	refusedHeaders    reason = "header_mismatch"
	refusedNotReady   reason = "not_ready"
	refusedSignIn     reason = "no_sign_in"
)

// refusalReasons are all reasons that are not about the form of a token.
var refusalReasons = []reason{
	refusedToken, refusedUnverified, refusedMissingKey, refusedWrongKey, refusedNoneWanted, refusedOtherUser, refusedForwarded,
	refusedBadMessage, refusedHeaders, refusedNotReady, refusedSignIn,
	// Refused because of the client, or of how much it asks.
	"forbidden_host", "forbidden_origin", "outdated_client", "rate_limited", "busy", "too_slow",
	// The form of a request.
	"not_found", "method_not_allowed", "unsupported_media_type", "unsupported_encoding", "too_large", "unreadable",
	"unsupported_version", "missing_session", "unknown_session", "unknown_question", "invalid_request",
	// A claim.
	"claim_fetched", "claim_expired", "claim_revoked", "invalid_token", "no_such_claim", "too_many_tries", "temporarily_unavailable",
	"internal",
}

// noteReason has the log line of the request that w answers tell why it was refused.
// cause is how the API could not be asked, where that is the reason.
func noteReason(w http.ResponseWriter, why reason, cause client.Cause) {
	for writer := range writers(w) {
		if recorder, ok := writer.(*statusRecorder); ok {
			recorder.reason, recorder.cause = why, cause
		}
	}
}

// writers are w and what it wraps, the outermost first.
func writers(w http.ResponseWriter) iter.Seq[http.ResponseWriter] {
	return func(yield func(http.ResponseWriter) bool) {
		for w != nil && yield(w) {
			wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
			if !ok {
				return
			}
			w = wrapper.Unwrap()
		}
	}
}
