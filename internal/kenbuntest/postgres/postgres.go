// Package postgres gives tests a real PostgreSQL server on a loopback port.
package postgres

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/atend"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/freeport"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
)

const superuser = "kenbun"

// hasty are settings for a server that need not survive the loss of power.
var hasty = []string{"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"}

// Server is a PostgreSQL server with a data folder of its own.
type Server struct {
	// Address is host and port. They stay the same when it is started again.
	Address string
	// Folder holds its data.
	Folder string

	programs string
	password string
	settings []string

	mu      sync.Mutex
	running *exec.Cmd
	ended   chan struct{}
}

var errPortTaken = errors.New("the port is taken")

// New starts a server that syncs what it commits and ends with the test.
// settings are such as "log_statement=all".
func New(t testing.TB, settings ...string) *Server {
	t.Helper()
	var arguments []string
	for _, setting := range settings {
		arguments = append(arguments, "-c", setting)
	}
	s, err := start(programs(t), arguments)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.remove(); err != nil {
			t.Error(err)
		}
	})
	return s
}

var (
	sharedMu sync.Mutex
	shared   *Server
)

// Database returns the address of an empty database that ends with the test. It
// is on a server that all tests of a process share; the package's TestMain must
// call [atend.Run].
func Database(t testing.TB) string {
	t.Helper()
	folder := programs(t)
	sharedMu.Lock()
	defer sharedMu.Unlock()
	if shared == nil {
		s, err := start(folder, hasty)
		if err != nil {
			t.Fatal(err)
		}
		shared = s
		atend.Do(s.remove)
	}
	return shared.Database(t)
}

// programs returns the folder of the server's programs, which Debian keeps off
// the path.
func programs(t testing.TB) string {
	t.Helper()
	require.Long(t, "it starts PostgreSQL")
	if program, err := exec.LookPath("postgres"); err == nil {
		if resolved, err := filepath.EvalSymlinks(program); err == nil {
			return filepath.Dir(resolved)
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		require.SkipUnlessRequired(t, "there is no PostgreSQL server on this machine")
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1])
}

func start(programs string, arguments []string) (*Server, error) {
	folder, err := os.MkdirTemp("", "kenbun-postgres-")
	if err != nil {
		return nil, err
	}
	s := &Server{
		Folder: folder, programs: programs, password: rand.Text(),
		settings: append([]string{"-c", "max_connections=300", "-c", "shared_buffers=64MB", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="}, arguments...),
	}
	if err := s.initialize(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	for range 10 {
		// PostgreSQL takes no port 0. Where another takes the free one first, the
		// next is tried.
		s.Address, err = freeport.Address()
		if err == nil {
			err = s.start()
		}
		switch {
		case err == nil:
			return s, nil
		case !errors.Is(err, errPortTaken):
			return nil, errors.Join(err, os.RemoveAll(folder))
		}
	}
	return nil, errors.Join(errPortTaken, os.RemoveAll(folder))
}

func (s *Server) data() string { return filepath.Join(s.Folder, "data") }

func (s *Server) initialize() error {
	passwordFile := filepath.Join(s.Folder, "password")
	if err := os.WriteFile(passwordFile, []byte(s.password+"\n"), 0o600); err != nil {
		return err
	}
	if err := giveToServer(s.Folder, passwordFile); err != nil {
		return err
	}
	initdb := exec.Command(filepath.Join(s.programs, "initdb"), "--pgdata", s.data(), "--username", superuser, "--pwfile", passwordFile,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	if err := runAsServer(initdb, s.Folder); err != nil {
		return err
	}
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	return nil
}

// start starts the server and waits until it accepts connections.
func (s *Server) start() error {
	_, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return err
	}
	command := exec.Command(filepath.Join(s.programs, "postgres"), slices.Concat([]string{"-D", s.data(), "-p", port}, s.settings)...)
	if err := runAsServer(command, s.Folder); err != nil {
		return err
	}
	output, err := command.StderrPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	ready, ended := make(chan struct{}), make(chan struct{})
	var said strings.Builder
	go func() {
		defer close(ended)
		once := sync.OnceFunc(func() { close(ready) })
		for lines := bufio.NewScanner(output); lines.Scan(); {
			select {
			case <-ready:
			default:
				said.WriteString(lines.Text() + "\n")
			}
			if strings.Contains(lines.Text(), "is ready to accept connections") {
				once()
			}
		}
	}()
	select {
	case <-ready:
		s.mu.Lock()
		s.running, s.ended = command, ended
		s.mu.Unlock()
		return nil
	case <-ended:
		_ = command.Wait() // what it said tells more
		if strings.Contains(said.String(), "Address already in use") {
			return errPortTaken
		}
		return fmt.Errorf("postgres ended:\n%s", said.String())
	case <-time.After(time.Minute):
		return errors.Join(errors.New("postgres does not get ready"), command.Process.Kill())
	}
}

// Start starts the server again after Stop, on the same data and port. Where
// another took the port meanwhile, it waits for it for a minute.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	err := s.start()
	for deadline := time.Now().Add(time.Minute); errors.Is(err, errPortTaken) && time.Now().Before(deadline); err = s.start() {
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Stop ends the server, and all connections to it, in good order.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) stop() error {
	s.mu.Lock()
	command, ended := s.running, s.ended
	s.running = nil
	s.mu.Unlock()
	if command == nil {
		return nil
	}
	if err := command.Process.Signal(os.Interrupt); err != nil { // a fast shutdown
		return err
	}
	<-ended
	return command.Wait()
}

func (s *Server) remove() error {
	return errors.Join(s.stop(), os.RemoveAll(s.Folder))
}

// URL is the address of a database.
func (s *Server) URL(database string) string {
	return (&url.URL{Scheme: "postgres", User: url.UserPassword(superuser, s.password), Host: s.Address, Path: "/" + database}).String()
}

// Password is what stands in the address.
func (s *Server) Password() string { return s.password }

// Database makes an empty database that ends with the test, and returns its
// address.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	if err := s.run("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.isRunning() {
			if err := s.run("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
				t.Error(err)
			}
		}
	})
	return s.URL(name)
}

func (s *Server) isRunning() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running != nil
}

func (s *Server) run(statement string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, statement)
	return err
}

// Program returns the path of one of PostgreSQL's programs.
func (s *Server) Program(name string) string { return filepath.Join(s.programs, name) }
