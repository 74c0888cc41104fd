package state_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/ratelimit"
	"github.com/kenbun/kenbun-mcp/internal/state"
)

// each does everything that a store can do.
func each(ctx context.Context, store state.Store) map[string]error {
	_, _, get := store.Get(ctx, "k")
	_, swap := store.Swap(ctx, "k", nil, []byte("v"), time.Minute)
	_, count := store.Count(ctx, "k", time.Minute)
	_, take := store.Take(ctx, "k", ratelimit.PerMinute(600))
	_, due := store.Due(ctx, time.Now(), time.Minute, 1)
	_, once := state.Once(ctx, store, "k2", time.Minute)
	return map[string]error{
		"get": get, "swap": swap, "count": count, "take": take, "due": due, "once": once, "ping": store.Ping(ctx),
		"schedule": store.Schedule(ctx, "n", time.Now()), "unschedule": store.Unschedule(ctx, "n"),
	}
}

func TestRedis_ThatStopsIsToldQuicklyAndComesBack(t *testing.T) {
	redis := kenbuntest.StartRedis(t)
	store := open(t, redis.URL(), state.NewKey())
	for what, err := range each(t.Context(), store) {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	redis.Stop()
	began := time.Now()
	for what, err := range each(t.Context(), store) {
		if err == nil || !strings.HasPrefix(err.Error(), "Redis cannot be used: ") || strings.Contains(err.Error(), redis.Address) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s to tell", took)
	}
}

func TestRedis_ThatHangsIsGivenUpInTime(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	}()
	began := time.Now()
	_, err = state.Open(t.Context(), state.Config{Address: "redis://" + listener.Addr().String(), Key: state.NewKey()})
	if err == nil || !strings.Contains(err.Error(), "did not answer in time") {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s to give up", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began = time.Now()
	if _, err := state.Open(ctx, state.Config{Address: "redis://" + listener.Addr().String(), Key: state.NewKey()}); err == nil || time.Since(began) > time.Second {
		t.Errorf("%v after %s: the caller's time is not kept", err, time.Since(began))
	}
}

func TestRedis_SurvivesConnectionsThatEnd(t *testing.T) {
	redis := kenbuntest.StartRedis(t)
	store := open(t, redis.URL(), state.NewKey())
	for range 3 {
		killOthers(t, redis)
		for what, err := range each(t.Context(), store) {
			if err != nil {
				t.Errorf("%s after a broken connection: %v", what, err)
			}
		}
	}
}

func killOthers(t *testing.T, redis *kenbuntest.Redis) {
	t.Helper()
	connection, err := net.Dial("tcp", redis.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }() // the answer is all that counts
	if _, err := connection.Write([]byte("CLIENT KILL TYPE normal SKIPME yes\r\n")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 64)
	if n, err := connection.Read(answer); err != nil || answer[0] != ':' {
		t.Fatalf("%q, %v", answer[:n], err)
	}
}

func TestRedis_KeepsReplicasWithAnotherKeyOut(t *testing.T) {
	redis := kenbuntest.StartRedis(t)
	open(t, redis.URL(), state.NewKey())
	_, err := state.Open(t.Context(), state.Config{Address: redis.URL(), Key: state.NewKey()})
	if !errors.Is(err, state.ErrOtherKey) {
		t.Errorf("another key: %v", err)
	}
	// Another database is another deployment's.
	open(t, strings.TrimSuffix(redis.URL(), "0")+"3", state.NewKey())
}

func TestR1_ErrorsHoldNoPassword(t *testing.T) {
	password := rand.Text()
	redis := kenbuntest.StartRedis(t, "--requirepass", password)
	key := state.NewKey()
	open(t, "redis://:"+password+"@"+redis.Address, key)
	open(t, "redis://default:"+password+"@"+redis.Address+"/2", key)

	wrong := rand.Text()
	for address, says := range map[string]string{
		"redis://:" + wrong + "@" + redis.Address:        "refused the user name or password",
		"redis://ada:" + wrong + "@" + redis.Address:     "refused the user name or password",
		"redis://" + redis.Address:                       "refused the user name or password",
		"redis://:" + wrong + "@127.0.0.1:1":             "no connection could be made",
		"redis://:" + wrong + "@nowhere.invalid":         "Redis cannot be used",
		"redis://:" + wrong + "%zz@" + redis.Address:     "redis://user:password@host",
		"redis://:" + wrong + "@" + redis.Address + "/x": "redis://user:password@host",
		"rediss://:" + wrong + "@" + redis.Address:       "Redis cannot be used",
		"http://:" + wrong + "@" + redis.Address:         "redis://user:password@host",
	} {
		_, err := state.Open(t.Context(), state.Config{Address: address, Key: key})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want one that says %q", err, says)
		} else if strings.Contains(err.Error(), wrong) || strings.Contains(err.Error(), redis.Address) {
			t.Errorf("the error holds a part of the address: %v", err)
		}
	}
}

func TestRedis_TellsWhatItRefuses(t *testing.T) {
	server := kenbuntest.StartRedis(t, "--maxmemory-policy", "noeviction")
	command := func(database int, name string, arguments ...any) {
		t.Helper()
		connection, err := redis.DialContext(t.Context(), "tcp", server.Address, redis.DialDatabase(database))
		if err != nil {
			t.Fatal(err)
		}
		_, err = connection.Do(name, arguments...)
		if err := errors.Join(err, connection.Close()); err != nil {
			t.Fatal(err)
		}
	}
	said := func(database, says string) {
		t.Helper()
		_, err := state.Open(t.Context(), state.Config{Address: "redis://" + server.Address + "/" + database, Key: state.NewKey()})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want one that says %q", err, says)
		}
	}
	said("99", "no database of the number")
	command(1, "RPUSH", "kenbun-mcp:key-proof", "x")
	said("1", "a database number of its own")

	inUse := open(t, "redis://"+server.Address+"/2", state.NewKey())
	command(2, "RPUSH", "kenbun-mcp:value:k", "x")
	if _, err := inUse.Swap(t.Context(), "k", nil, []byte("v"), time.Minute); err == nil || !strings.Contains(err.Error(), "a database number of its own") {
		t.Errorf("within a script: %v", err)
	}
	command(0, "CONFIG", "SET", "maxmemory", 1)
	said("3", "its memory is full")
	if _, err := inUse.Swap(t.Context(), "k2", nil, []byte("v"), time.Minute); err == nil || !strings.Contains(err.Error(), "its memory is full") {
		t.Errorf("within a script: %v", err)
	}
	command(0, "CONFIG", "SET", "maxmemory", 0)
	command(0, "CONFIG", "SET", "min-replicas-to-write", 1)
	said("3", "min-replicas-to-write")
}

func TestR27_RedisOverTLS(t *testing.T) {
	dir := t.TempDir()
	certificate, private := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	kenbuntest.NewCertificate(t, "localhost").Write(t, certificate, private)
	redis := kenbuntest.StartRedis(t, "--tls-port", "0", "--tls-cert-file", certificate, "--tls-key-file", private, "--tls-ca-cert-file", certificate, "--tls-auth-clients", "no")
	address := "rediss://localhost:" + redis.Address[strings.Index(redis.Address, ":")+1:]
	key := state.NewKey()

	store, err := state.Open(t.Context(), state.Config{Address: address, Key: key, CAFile: certificate})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		config state.Config
		says   string
	}{
		"unknown authority": {state.Config{Address: address, Key: key}, "not trusted here; name it with --ca-file"},
		"another name":      {state.Config{Address: strings.Replace(address, "localhost", "127.0.0.1", 1), Key: key, CAFile: certificate}, "for another name"},
		"no TLS":            {state.Config{Address: strings.Replace(address, "rediss", "redis", 1), Key: key}, "Redis cannot be used"},
		"no certificates":   {state.Config{Address: address, Key: key, CAFile: private}, "holds no certificate"},
	} {
		if _, err := state.Open(t.Context(), c.config); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
