package server

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

func TestSettle_KeepsWhoIsConnectedAndLetsNobodyElseIn(t *testing.T) {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dialer := net.Dialer{Timeout: 20 * time.Second}
	dialer.SetMultipathTCP(false)
	early, err := dialer.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	if err := settle(listener, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	hurried := dialer
	hurried.Timeout = 300 * time.Millisecond
	late, err := hurried.Dial("tcp", listener.Addr().String())
	if !isTimeout(err) {
		t.Errorf("who comes late gets %v, %v", late, err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if accepted.RemoteAddr().String() != early.LocalAddr().String() {
		t.Errorf("accepted was %s", accepted.RemoteAddr())
	}
	if _, err := early.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if n, err := accepted.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("what is sent on the connection does not come: %v", err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := dialer.Dial("tcp", listener.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("at the end: %v", err)
	}
}

func isTimeout(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}
