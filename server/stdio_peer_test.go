package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// stdioPeer is the client at the other end of a server's streams.
type stdioPeer struct {
	t     testing.TB
	stdin *os.File
	out   *os.File
	// lines are what the server wrote; closed at its end.
	lines chan message
	ended chan error
	stop  context.CancelFunc
}

// startStdio serves a peer over pipes of the operating system.
func startStdio(t testing.TB, h *house) *stdioPeer {
	t.Helper()
	fromPeer, toServer := pipe(t)
	fromServer, toPeer := pipe(t)
	ctx, stop := context.WithCancel(context.Background())
	p := &stdioPeer{
		t: t, stdin: toServer, out: fromServer, stop: stop,
		lines: make(chan message, 50_000), ended: make(chan error, 1),
	}
	go func() {
		err := h.ServeStdio(ctx, fromPeer, toPeer)
		_ = toPeer.Close() // no buffer that could fail
		p.ended <- err
	}()
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.read()
	}()
	t.Cleanup(func() {
		stop()
		_ = toServer.Close() // the test may have closed it
		_ = toPeer.Close()
		<-read
		_ = fromServer.Close()
		_ = fromPeer.Close()
	})
	return p
}

func pipe(t testing.TB) (reader, writer *os.File) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return reader, writer
}

// read checks that every line is one JSON-RPC message.
func (p *stdioPeer) read() {
	defer close(p.lines)
	reader := bufio.NewReader(p.out)
	for {
		line, err := reader.ReadBytes('\n')
		if err != nil {
			if len(line) > 0 {
				p.t.Errorf("the output ends within a line: %q", line)
			}
			return
		}
		var m message
		decoder := json.NewDecoder(bytes.NewReader(line))
		if err := decoder.Decode(&m); err != nil || m.JSONRPC != "2.0" {
			p.t.Errorf("the output has a line that is no JSON-RPC message: %q", line)
		}
		if _, err := decoder.Token(); err != io.EOF {
			p.t.Errorf("the output has a line with more than one message: %q", line)
		}
		p.lines <- m
	}
}

func (p *stdioPeer) send(lines ...string) {
	p.t.Helper()
	p.sendRaw(strings.Join(lines, "\n") + "\n")
}

func (p *stdioPeer) sendRaw(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, text); err != nil {
		p.t.Fatal(err)
	}
}

func (p *stdioPeer) closeInput() {
	p.t.Helper()
	if err := p.stdin.Close(); err != nil {
		p.t.Fatal(err)
	}
}

// next returns the next message of the server.
func (p *stdioPeer) next() message {
	p.t.Helper()
	select {
	case m, ok := <-p.lines:
		if !ok {
			p.t.Fatal("the server closed its output")
		}
		return m
	case <-time.After(patience):
		p.t.Fatal("the server wrote nothing")
	}
	return message{}
}

// answer returns the next message, which must answer id.
func (p *stdioPeer) answer(id string) message {
	p.t.Helper()
	m := p.next()
	if string(m.ID) != id || m.Method != "" {
		p.t.Fatalf("the message answers %s (method %q), want an answer to %s", m.ID, m.Method, id)
	}
	return m
}

// handshake opens the session.
func (p *stdioPeer) handshake(capabilities map[string]any) {
	p.t.Helper()
	p.send(initialize(p.t, "hello", capabilities))
	p.answer(`"hello"`)
	p.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
}

// end waits until the server has ended and returns how.
func (p *stdioPeer) end() error {
	p.t.Helper()
	select {
	case err := <-p.ended:
		p.ended <- err
		return err
	case <-time.After(patience):
		p.t.Fatal("the server does not end")
	}
	return nil
}

// rest ends the input and returns every message that is left, by id.
func (p *stdioPeer) rest() map[string]message {
	p.t.Helper()
	p.closeInput()
	if err := p.end(); err != nil {
		p.t.Errorf("the server ended with %v", err)
	}
	all := map[string]message{}
	for m := range p.lines {
		if _, twice := all[string(m.ID)]; twice {
			p.t.Errorf("two answers to %s", m.ID)
		}
		all[string(m.ID)] = m
	}
	return all
}
