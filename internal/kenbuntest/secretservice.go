package kenbuntest

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// SecretService starts a D-Bus session of its own with a GNOME Keyring on it,
// until the test ends, and returns the session's address, the value for
// DBUS_SESSION_BUS_ADDRESS. The keyring is unlocked, or cannot be: nobody is
// there to be asked for its password.
func SecretService(t testing.TB, unlocked bool) (address string) {
	t.Helper()
	for _, program := range []string{"dbus-daemon", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(program); err != nil {
			SkipUnlessRequired(t, "there is no "+program+" to make a keychain with")
		}
	}
	// The path of a socket has to be short.
	dir, err := os.MkdirTemp("", "keychain")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	environment := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_RUNTIME_DIR=" + dir,
		"XDG_DATA_HOME=" + filepath.Join(dir, "data"), "XDG_CACHE_HOME=" + filepath.Join(dir, "cache"),
	}
	bus := exec.Command("dbus-daemon", "--session", "--nofork", "--print-address=1", "--address=unix:path="+filepath.Join(dir, "bus"))
	bus.Env = environment
	output, err := bus.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, bus)
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatalf("the D-Bus session did not start: %v", err)
	}
	address = strings.TrimSpace(line)

	arguments := []string{"--foreground", "--components=secrets", "--control-directory=" + filepath.Join(dir, "control")}
	if unlocked {
		arguments = append(arguments, "--unlock")
	}
	keyring := exec.Command("gnome-keyring-daemon", arguments...)
	keyring.Env = append(environment, "DBUS_SESSION_BUS_ADDRESS="+address)
	keyring.Stdin = strings.NewReader("a password for a test\n")
	start(t, keyring)
	waitForService(t, address)
	return address
}

// start starts a program that is killed when the test ends.
func start(t testing.TB, command *exec.Cmd) {
	t.Helper()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := command.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = command.Wait() // it was killed
	})
}

func waitForService(t testing.TB, address string) {
	t.Helper()
	connection, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := connection.Close(); err != nil {
			t.Error(err)
		}
	}()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var owned bool
		if err := connection.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, "org.freedesktop.secrets").Store(&owned); err != nil {
			t.Fatal(err)
		}
		if owned {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the keyring did not start")
		}
	}
}
