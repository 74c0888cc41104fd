package authority

import (
	"net"
	"net/url"
	"sync"
	"testing"
)

// gate stands between a node and its database.
type gate struct {
	store string // the address through it

	mu    sync.Mutex
	state string
	conns []net.Conn
}

func newGate(t *testing.T, store string) *gate {
	t.Helper()
	address, err := url.Parse(store)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	behind := address.Host
	address.Host = listener.Addr().String()
	g := &gate{store: address.String()}
	var pumps sync.WaitGroup
	pumps.Go(func() {
		for {
			front, err := listener.Accept()
			if err != nil {
				return
			}
			back, err := net.Dial("tcp", behind)
			if err != nil || !g.admit(front, back) {
				_ = front.Close()
				if back != nil {
					_ = back.Close()
				}
				continue
			}
			pumps.Go(func() { g.pump(front, back) })
			pumps.Go(func() { g.pump(back, front) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		g.cut()
		pumps.Wait()
	})
	return g
}

func (g *gate) admit(conns ...net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns = append(g.conns, conns...)
	return g.state != "cut"
}

func (g *gate) pump(from, to net.Conn) {
	defer func() { _ = to.Close() }()
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		g.mu.Lock()
		muted := g.state == "mute"
		g.mu.Unlock()
		if muted {
			continue // swallowed, as by a network that drops packets
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (g *gate) set(state string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state = state
	if state != "mute" {
		for _, conn := range g.conns {
			_ = conn.Close()
		}
		g.conns = nil
	}
}

func (g *gate) open() { g.set("open") }
func (g *gate) cut()  { g.set("cut") }
func (g *gate) mute() { g.set("mute") }
