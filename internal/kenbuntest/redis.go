package kenbuntest

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// Redis is a Redis server of a test's own, on a loopback port.
type Redis struct {
	// Address is host and port.
	Address string

	stop func()
}

// URL is where the server's database number 0 is.
func (r *Redis) URL() string { return "redis://" + r.Address + "/0" }

// Stop ends the server, as a machine does that fails.
func (r *Redis) Stop() { r.stop() }

// StartRedis starts a Redis server that keeps nothing on disk and ends with the
// test. options are further words of its command line.
func StartRedis(t testing.TB, options ...string) *Redis {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		SkipUnlessRequired(t, "there is no redis-server on this machine")
	}
	// Redis takes no port 0. Where another takes the free one first, the next is
	// tried.
	for range 10 {
		if r := startRedis(t, program, FreeAddress(t), options); r != nil {
			return r
		}
	}
	t.Fatal("redis-server does not start")
	return nil
}

func startRedis(t testing.TB, program, address string, options []string) *Redis {
	t.Helper()
	_, port, _ := strings.Cut(address, ":")
	portOption := []string{"--port", port}
	if slices.Contains(options, "--tls-port") {
		portOption = []string{"--port", "0"}
		options = slices.Clone(options)
		options[slices.Index(options, "--tls-port")+1] = port
	}
	command := exec.Command(program, slices.Concat([]string{"--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir()}, portOption, options)...)
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ready, ended := make(chan bool, 1), make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "Ready to accept connections") {
				ready <- true
			}
		}
	}()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		if err := command.Process.Kill(); err != nil {
			t.Errorf("end redis-server: %v", err)
		}
		<-ended
		_ = command.Wait() // it was killed
	}
	select {
	case <-ready:
		t.Cleanup(stop)
		return &Redis{Address: address, stop: stop}
	case <-ended:
		stopped = true
		_ = command.Wait() // its port was taken; another is tried
		return nil
	case <-time.After(20 * time.Second):
		stop()
		t.Fatal("redis-server does not get ready")
		return nil
	}
}

// Dump is all that can be read in the server: every key, and what is in it.
func (r *Redis) Dump(t testing.TB) string {
	t.Helper()
	connection, err := net.Dial("tcp", r.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }() // it was only read
	// RESP as Redis answers a script: one text.
	script := `
		local out = {}
		for _, key in ipairs(redis.call('KEYS', '*')) do
			local kind = redis.call('TYPE', key).ok
			local value = ''
			if kind == 'string' then value = redis.call('GET', key)
			elseif kind == 'zset' then value = table.concat(redis.call('ZRANGE', key, 0, -1, 'WITHSCORES'), ' ') end
			out[#out+1] = key .. ' (' .. kind .. ', ' .. redis.call('PTTL', key) .. '): ' .. value
		end
		return table.concat(out, '\n')`
	if _, err := fmt.Fprintf(connection, "*3\r\n$4\r\nEVAL\r\n$%d\r\n%s\r\n$1\r\n0\r\n", len(script), script); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(connection)
	var length int
	if _, err := fmt.Fscanf(reader, "$%d\r\n", &length); err != nil {
		t.Fatalf("redis answers something else: %v", err)
	}
	text := make([]byte, length)
	for read := 0; read < length; {
		n, err := reader.Read(text[read:])
		if err != nil {
			t.Fatal(err)
		}
		read += n
	}
	return string(text)
}
