package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// idle opens a connection from a loopback address, has one request without a
// token answered on it, and leaves it open.
func (a *attacked) idle(address net.IP) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: address}, Timeout: 10 * time.Second}
	connection, err := dialer.Dial("tcp", a.address)
	if err != nil {
		return nil, err
	}
	_ = connection.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(connection, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return connection, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return connection, err
	}
	return connection, answer.Body.Close()
}

// TestA23_IdleStrangersLockNobodyOut fills the table of connections of the built
// program from eight addresses, and then has a user come, from another address
// and from one of the eight.
func TestA23_IdleStrangersLockNobodyOut(t *testing.T) {
	a := startAttacked(t, []string{"KENBUN_RATE_LIMIT_ADDRESS=1000000"})
	var mu sync.Mutex
	var open []net.Conn
	failed := 0
	t.Cleanup(func() {
		for _, connection := range open {
			_ = connection.Close()
		}
	})
	fill := func() {
		var all sync.WaitGroup
		for address := range 8 {
			for range 8 {
				all.Go(func() {
					for range 128 {
						connection, err := a.idle(net.IPv4(127, 0, 0, byte(1+address)))
						mu.Lock()
						if connection != nil {
							open = append(open, connection)
						}
						if err != nil {
							failed++
						}
						mu.Unlock()
					}
				})
			}
		}
		all.Wait()
	}
	fill()
	if len(open) != 8192 || failed > 0 {
		t.Fatalf("%d connections are open, %d failed, want 8192", len(open), failed)
	}
	t.Logf("8192 idle connections: %d MiB at most", a.highWater(t)>>20)
	for _, address := range []byte{99, 1} {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, address)}}
		transport := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}
		a.user = &http.Client{Transport: transport, Timeout: 20 * time.Second}
		for i := range 20 {
			if took, err := a.call(t.Context()); err != nil {
				t.Fatalf("call %d from 127.0.0.%d: %v", i, address, err)
			} else if took > 10*time.Second {
				t.Errorf("call %d from 127.0.0.%d took %s", i, address, took)
			}
		}
	}
}

// TestA23_FewFilesAreEnough has the program bound its connections by the files
// that it may open: strangers leave enough of them for users.
func TestA23_FewFilesAreEnough(t *testing.T) {
	a := startAttacked(t, []string{"KENBUN_RATE_LIMIT_ADDRESS=1000000"}, "ulimit -n 256")
	var open []net.Conn
	for i := range 400 {
		connection, err := a.idle(net.IPv4(127, 0, 0, byte(1+i%8)))
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		open = append(open, connection)
	}
	if _, err := a.call(t.Context()); err != nil {
		t.Errorf("a user: %v", err)
	}
	for _, connection := range open {
		_ = connection.Close()
	}
}
