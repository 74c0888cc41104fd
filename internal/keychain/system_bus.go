//go:build !darwin && !windows

package keychain

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/godbus/dbus/v5"
)

// reachable reports whether there is a session bus, the only way to a keychain. The library
// would otherwise start one, as a child that stays behind with all of this process's
// environment and without a keychain. The places are those of dbus-launch(1).
func reachable() error {
	if address := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" && address != "autolaunch:" {
		return nil
	}
	runtime := filepath.Join("/run/user", strconv.Itoa(os.Getuid()))
	for _, name := range []string{"bus", "dbus-session"} {
		if _, err := os.Stat(filepath.Join(runtime, name)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: this process has no D-Bus session, as over SSH, in a container or under cron", ErrNoKeychain)
}

// refusal explains an error of the bus (D-Bus Specification, Error Names; Secret Service
// API, Errors).
func refusal(err error) string {
	var answer dbus.Error
	if !errors.As(err, &answer) {
		return "the D-Bus session cannot be reached"
	}
	switch answer.Name {
	case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner",
		"org.freedesktop.DBus.Error.Spawn.ServiceNotFound":
		return "the D-Bus session has no Secret Service; GNOME Keyring, KWallet or KeePassXC would be one"
	case "org.freedesktop.Secret.Error.IsLocked":
		return "it is locked; unlock it and try again"
	case "org.freedesktop.Secret.Error.NoSuchObject":
		return "it has no collection to put an entry into; make one in the keychain's own program"
	}
	return "the Secret Service refused"
}
