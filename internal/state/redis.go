package state

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/kenbun/kenbun-mcp/internal/netproblem"
	"github.com/kenbun/kenbun-mcp/internal/ratelimit"
)

// redisTimeout bounds each step of an exchange with Redis: a user is waiting.
const redisTimeout = 2 * time.Second

// Names of keys in Redis.
const (
	redisPrefix   = "kenbun-mcp:"
	redisProof    = redisPrefix + "key-proof"
	redisSchedule = redisPrefix + "schedule"
	redisValue    = redisPrefix + "value:"
	redisCounter  = redisPrefix + "count:"
	redisBucket   = redisPrefix + "bucket:"
)

// Redis is a store that several processes share, in Redis 6 or newer, or Valkey.
type Redis struct {
	pool   *redis.Pool
	proof  string
	proven atomic.Bool

	// Each may run twice for one call, if the answer to the first is lost.
	swap, count, due, bucket *redis.Script
}

func newRedis(address string, key *Key, trust *tls.Config) (*Redis, error) {
	// The library's own errors repeat the address.
	u, err := url.Parse(address)
	if err != nil || u.Opaque != "" || u.Hostname() == "" ||
		strings.Contains(strings.TrimSuffix(u.Host, ":"+u.Port()), ":") && !strings.HasPrefix(u.Host, "[") || !isDatabase(u.Path) || u.RawQuery != "" || u.Fragment != "" {
		return nil, ErrBadAddress
	}
	mac := hmac.New(sha256.New, key.Derive("proof"))
	return &Redis{
		pool: &redis.Pool{
			MaxIdle: 8, MaxActive: 64, Wait: true, IdleTimeout: 4 * time.Minute,
			DialContext: func(ctx context.Context) (redis.Conn, error) {
				return redis.DialURLContext(ctx, address, redis.DialTLSConfig(trust),
					redis.DialConnectTimeout(redisTimeout), redis.DialTLSHandshakeTimeout(redisTimeout),
					redis.DialReadTimeout(redisTimeout), redis.DialWriteTimeout(redisTimeout))
			},
		},
		proof: base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
		swap: redis.NewScript(1, `
			local is = redis.call('GET', KEYS[1])
			if is == ARGV[3] then return 1 end
			if (ARGV[1] == '0' and is) or (ARGV[1] == '1' and is ~= ARGV[2]) then return 0 end
			redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
			return 1`),
		count: redis.NewScript(1, `
			local n = redis.call('INCR', KEYS[1])
			if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
			return n`),
		due: redis.NewScript(1, `
			local names = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
			for _, name in ipairs(names) do redis.call('ZADD', KEYS[1], ARGV[2], name) end
			return names`),
		// A bucket is the time at which it is full, in microseconds of Redis's own clock. A
		// full one has no key.
		bucket: redis.NewScript(1, `
			local time = redis.call('TIME')
			local now, interval, fill = time[1] * 1000000 + time[2], tonumber(ARGV[1]), tonumber(ARGV[2])
			local missing = math.max(tonumber(redis.call('GET', KEYS[1]) or 0) - now, 0)
			if missing + interval > fill then return {0, missing} end
			missing = missing + interval
			redis.call('SET', KEYS[1], string.format('%.0f', now + missing), 'PX', math.ceil(missing / 1000))
			return {1, missing}`),
	}, nil
}

// isDatabase reports whether the path of an address is the number of a database or nothing.
func isDatabase(path string) bool {
	number := strings.TrimPrefix(path, "/")
	return number == "" || strings.Trim(number, "0123456789") == ""
}

// run runs do on a connection and returns the answer. An idle connection may have closed, so
// one more is tried, and no third, so that a Redis that is down is not stormed.
func (r *Redis) run(ctx context.Context, do func(context.Context, redis.Conn) (any, error)) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*redisTimeout)
	defer cancel()
	answer, err := r.try(ctx, do)
	var network net.Error
	var refusal redis.Error
	switch {
	case err == nil, errors.As(err, &refusal), errors.As(err, &network) && network.Timeout(), ctx.Err() != nil:
	default:
		answer, err = r.try(ctx, do)
	}
	if err != nil {
		return nil, redisError(err)
	}
	return answer, nil
}

func (r *Redis) try(ctx context.Context, do func(context.Context, redis.Conn) (any, error)) (_ any, err error) {
	connection, err := r.pool.GetContext(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = connection.Close() }() // it goes back to the pool; what failed on it is in err
	return do(ctx, connection)
}

func (r *Redis) command(ctx context.Context, name string, args ...any) (any, error) {
	return r.run(ctx, func(ctx context.Context, connection redis.Conn) (any, error) {
		return redis.DoContext(connection, ctx, name, args...)
	})
}

func (r *Redis) script(ctx context.Context, script *redis.Script, args ...any) (any, error) {
	if err := r.ready(ctx); err != nil {
		return nil, err
	}
	return r.run(ctx, func(ctx context.Context, connection redis.Conn) (any, error) {
		return script.DoContext(ctx, connection, args...)
	})
}

// ready makes sure that all processes that use this Redis have the same key.
func (r *Redis) ready(ctx context.Context) error {
	if r.proven.Load() {
		return nil
	}
	if _, err := r.command(ctx, "SETNX", redisProof, r.proof); err != nil {
		return err
	}
	stored, err := redis.String(r.command(ctx, "GET", redisProof))
	switch {
	case err != nil:
		return asRedisError(err)
	case !hmac.Equal([]byte(stored), []byte(r.proof)):
		return ErrOtherKey
	}
	r.proven.Store(true)
	return nil
}

// Get implements [Store].
func (r *Redis) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := r.ready(ctx); err != nil {
		return nil, false, err
	}
	value, err := redis.Bytes(r.command(ctx, "GET", redisValue+key))
	switch {
	case errors.Is(err, redis.ErrNil):
		return nil, false, nil
	case err != nil:
		return nil, false, asRedisError(err)
	}
	return value, true, nil
}

// Swap implements [Store].
func (r *Redis) Swap(ctx context.Context, key string, old, next []byte, keep time.Duration) (bool, error) {
	present := 1
	if old == nil {
		present = 0
	}
	swapped, err := redis.Bool(r.script(ctx, r.swap, redisValue+key, present, old, next, milliseconds(keep)))
	if err != nil {
		return false, asRedisError(err)
	}
	return swapped, nil
}

// Count implements [Store].
func (r *Redis) Count(ctx context.Context, key string, window time.Duration) (int, error) {
	n, err := redis.Int(r.script(ctx, r.count, redisCounter+key, milliseconds(window)))
	if err != nil {
		return math.MaxInt, asRedisError(err)
	}
	return n, nil
}

// Take implements [Store].
func (r *Redis) Take(ctx context.Context, key string, limit ratelimit.Limit) (ratelimit.Level, error) {
	answer, err := redis.Int64s(r.script(ctx, r.bucket, redisBucket+key, limit.Interval.Microseconds(), limit.FillTime().Microseconds()))
	switch {
	case err != nil:
		return ratelimit.Level{}, asRedisError(err)
	case len(answer) != 2:
		return ratelimit.Level{}, redisError(errors.New("a bucket has two numbers"))
	}
	return limit.At(time.Duration(answer[1])*time.Microsecond, answer[0] == 1), nil
}

// Schedule implements [Store].
func (r *Redis) Schedule(ctx context.Context, name string, at time.Time) error {
	if err := r.ready(ctx); err != nil {
		return err
	}
	_, err := r.command(ctx, "ZADD", redisSchedule, at.UnixMilli(), name)
	return err
}

// Due implements [Store].
func (r *Redis) Due(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]string, error) {
	names, err := redis.Strings(r.script(ctx, r.due, redisSchedule, now.UnixMilli(), now.Add(lease).UnixMilli(), limit))
	if err != nil {
		return nil, asRedisError(err)
	}
	return names, nil
}

// Unschedule implements [Store].
func (r *Redis) Unschedule(ctx context.Context, name string) error {
	if err := r.ready(ctx); err != nil {
		return err
	}
	_, err := r.command(ctx, "ZREM", redisSchedule, name)
	return err
}

// Shared implements [Store].
func (*Redis) Shared() bool { return true }

// Ping implements [Store].
func (r *Redis) Ping(ctx context.Context) error {
	if err := r.ready(ctx); err != nil {
		return err
	}
	_, err := r.command(ctx, "PING")
	return err
}

// Close implements [Store].
func (r *Redis) Close() error {
	if err := r.pool.Close(); err != nil {
		return fmt.Errorf("close the connections to Redis: %w", err)
	}
	return nil
}

// milliseconds is at least one, since Redis takes no time of zero.
func milliseconds(d time.Duration) int64 { return max(d.Milliseconds(), 1) }

// asRedisError wraps errors of an answer, and leaves explained ones as they are.
func asRedisError(err error) error {
	var known *unreachableError
	if errors.As(err, &known) || errors.Is(err, ErrOtherKey) {
		return err
	}
	return redisError(err)
}

// redisError says what is wrong with Redis, without the library's own words: they can hold
// addresses.
func redisError(err error) error {
	var refusal redis.Error
	kind, _ := netproblem.Of(err)
	why, known := redisProblems[kind]
	switch {
	case errors.As(err, &refusal):
		why = refusalWords(string(refusal))
	case errors.Is(err, context.Canceled):
		why = "the request ended first"
	case !known:
		why = "it did not answer as expected"
	}
	return &unreachableError{why: why, cause: err}
}

var redisProblems = map[netproblem.Kind]string{
	netproblem.UnknownCA:          "its certificate is signed by an authority that is not trusted here; name it with --ca-file",
	netproblem.CertificateHost:    "its certificate is for another name",
	netproblem.CertificateExpired: "its certificate has expired or is not valid yet",
	netproblem.Timeout:            "it did not answer in time",
	netproblem.NoSuchHost:         "the name in --state is not known here",
	netproblem.ConnectionRefused:  noRedisConnection,
	netproblem.Unreachable:        noRedisConnection,
}

const noRedisConnection = "no connection could be made; see that it runs where --state says, and that this machine reaches it"

// unreachableError is a Redis that could not be used.
type unreachableError struct {
	why   string
	cause error
}

func (e *unreachableError) Error() string { return "Redis cannot be used: " + e.why }
func (e *unreachableError) Unwrap() error { return e.cause }

// refusals are the words by which Redis names its errors, and what they mean for the
// operator.
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

// refusalWords explains an error that Redis answered with.
func refusalWords(text string) string {
	for word := range strings.FieldsSeq(text) {
		// Redis 6 has the word of an error within a script in the middle.
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
