package state

import (
	"context"
	"errors"
	"strings"

	"github.com/gomodule/redigo/redis"

	"github.com/kenbun/kenbun-mcp/internal/netproblem"
)

// redisError says what is wrong with Redis. The library's own words stay out of
// what people read: they can hold addresses.
func redisError(err error) error {
	var refusal redis.Error
	why := "it did not answer as expected"
	kind, _ := netproblem.Of(err)
	switch {
	case errors.As(err, &refusal):
		why = refusalWords(string(refusal))
	case errors.Is(err, context.Canceled):
		why = "the request ended first"
	case kind == netproblem.UnknownCA:
		why = "its certificate is signed by an authority that is not trusted here; name it with --ca-file"
	case kind == netproblem.CertificateHost:
		why = "its certificate is for another name"
	case kind == netproblem.CertificateExpired:
		why = "its certificate has expired or is not valid yet"
	case kind == netproblem.Timeout:
		why = "it did not answer in time"
	case kind == netproblem.NoSuchHost:
		why = "the name in --state is not known here"
	case kind == netproblem.ConnectionRefused, kind == netproblem.Unreachable:
		why = "no connection could be made; see that it runs where --state says, and that this machine reaches it"
	}
	return &unreachableError{why: why, cause: err}
}

// unreachableError is a Redis that could not be used.
type unreachableError struct {
	why   string
	cause error
}

func (e *unreachableError) Error() string { return "Redis cannot be used: " + e.why }
func (e *unreachableError) Unwrap() error { return e.cause }

// refusals are the words by which Redis names its errors, and what they mean for
// the operator.
var refusals = map[string]string{
	"WRONGPASS":   refusedCredentials,
	"NOAUTH":      refusedCredentials,
	"NOPERM":      "its user may not run the commands that are needed, or not on keys that begin with " + redisPrefix,
	"OOM":         "its memory is full; give it more with maxmemory",
	"READONLY":    "it is a replica that only reads; name the primary",
	"LOADING":     "it is still starting",
	"MASTERDOWN":  "it is a replica without its primary; name the primary",
	"NOREPLICAS":  "it has fewer replicas than it wants for a change (min-replicas-to-write)",
	"MISCONF":     "it takes no changes while it cannot save to its disk; see its log, or turn saving off",
	"BUSY":        "it is held up by a script of another program",
	"WRONGTYPE":   "another program keeps something else under the keys that begin with " + redisPrefix + "; give this one a database number of its own",
	"DENIED":      "it is in protected mode and takes no connections from other machines; give it a password and its own address (bind)",
	"MOVED":       refusedAsCluster,
	"CLUSTERDOWN": refusedAsCluster,
	"CROSSSLOT":   refusedAsCluster,
}

const (
	refusedCredentials = "it refused the user name or password of --state" // #nosec G101 -- words, and no password
	refusedAsCluster   = "it is a cluster; name a single node that is none"
)

// refusalWords tells the operator about an error that Redis answered with.
func refusalWords(text string) string {
	for word := range strings.FieldsSeq(text) {
		// Of an error within a script Redis 6 tells the word in the middle.
		if known, found := refusals[strings.TrimPrefix(word, "-")]; found {
			return known
		}
	}
	switch {
	case strings.Contains(text, "AUTH"):
		return refusedCredentials
	case strings.Contains(text, "DB index"):
		return "it has no database of the number at the end of --state"
	case strings.Contains(text, "max number of clients"):
		return "it has as many connections as it allows; raise maxclients"
	}
	return "it refused a command that is needed; version 6 or newer is"
}
