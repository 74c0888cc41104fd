package pages

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// browserStart is how long a command is watched for an early failure. It may be the browser
// itself, and go on.
const browserStart = 2 * time.Second

// Browser opens pages in the user's web browser.
type Browser struct {
	// argv is the command. The address replaces "%s", or is the last argument.
	argv        []string
	environment []string
	// folder is for redirect files.
	folder string
}

// remoteHelper is the suffix of $BROWSER in remote sessions of VS Code, editors made from it, and
// GitHub Codespaces, where addresses open on the user's own machine.
const remoteHelper = "/bin/helpers/browser.sh"

// FindBrowser finds a command that opens a browser on this machine: the first of $BROWSER that
// exists, or the system's. Its error says why there is none: no program, no display, or an SSH
// session, where a browser would open on another screen. It starts nothing.
//
// data is a folder for short-lived redirect files, which need not exist.
func FindBrowser(data string) (*Browser, error) {
	b, err := findBrowser(runtime.GOOS, os.Environ(), exec.LookPath)
	if err != nil {
		return nil, err
	}
	home, _ := os.UserHomeDir() // without one, data is used
	b.folder = redirectFolder(runtime.GOOS, data, home, os.Stat)
	return b, nil
}

func findBrowser(goos string, environ []string, lookPath func(string) (string, error)) (*Browser, error) {
	value := func(name string) string {
		for _, variable := range slices.Backward(environ) {
			if v, ok := strings.CutPrefix(variable, name+"="); ok {
				return v
			}
		}
		return ""
	}
	b := &Browser{environment: browserEnvironment(environ)}

	if chosen := value("BROWSER"); chosen != "" {
		if strings.HasSuffix(chosen, remoteHelper) {
			return nil, errors.New("$BROWSER opens a browser on another machine, which cannot read the file that redirects to a page")
		}
		for _, command := range strings.FieldsFunc(chosen, func(r rune) bool { return r == listSeparator(goos) }) {
			if b.use(strings.Fields(command), lookPath) {
				return b, nil
			}
		}
		return nil, errors.New("no command in $BROWSER can be found: correct the variable or unset it")
	}

	remote := value("SSH_CONNECTION") != "" || value("SSH_TTY") != ""
	var candidates [][]string
	switch goos {
	case "darwin", "windows":
		if remote {
			return nil, errors.New("this is a session over SSH, where a browser would open on a screen that is not yours")
		}
		candidates = [][]string{{"open"}}
		if goos == "windows" {
			candidates = [][]string{{"rundll32", "url.dll,FileProtocolHandler"}}
		}
	default:
		// Under WSL, wslview opens the browser of Windows, without a display.
		if value("WSL_DISTRO_NAME") != "" {
			candidates = append(candidates, []string{"wslview"})
		}
		if value("DISPLAY") != "" || value("WAYLAND_DISPLAY") != "" {
			candidates = append(candidates, []string{"xdg-open"}, []string{"gio", "open"}, []string{"sensible-browser"}, []string{"x-www-browser"})
		}
		if len(candidates) == 0 {
			return nil, errors.New("there is no display to show a browser on: neither $DISPLAY nor $WAYLAND_DISPLAY nor $BROWSER is set")
		}
	}
	for _, candidate := range candidates {
		if b.use(candidate, lookPath) {
			return b, nil
		}
	}
	return nil, fmt.Errorf("no program that opens a browser was found (looked for %s): install one, or set $BROWSER", firstWords(candidates))
}

func listSeparator(goos string) rune {
	if goos == "windows" {
		return ';'
	}
	return ':'
}

func firstWords(commands [][]string) string {
	words := make([]string, 0, len(commands))
	for _, command := range commands {
		words = append(words, command[0])
	}
	return strings.Join(words, ", ")
}

func (b *Browser) use(command []string, lookPath func(string) (string, error)) bool {
	if len(command) == 0 {
		return false
	}
	path, err := lookPath(command[0])
	if err != nil {
		return false
	}
	b.argv = append([]string{path}, command[1:]...)
	return true
}

// browserVariables are what a browser and its wrappers need to find the user's screen, settings
// and language. Other variables, such as the kenbun token, are not passed on.
var browserVariables = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TMP", "TEMP",
	"DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS", "DESKTOP_SESSION",
	"GNOME_DESKTOP_SESSION_ID", "KDE_FULL_SESSION", "KDE_SESSION_VERSION", "BROWSER",
	"WSL_DISTRO_NAME", "WSL_INTEROP", "WSLENV",
	"SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "USERNAME", "USERPROFILE", "HOMEDRIVE", "HOMEPATH",
	"APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES", "PROGRAMFILES(X86)", "PROGRAMW6432", "PUBLIC",
}

func browserEnvironment(environ []string) []string {
	passed := []string{} // nil would mean: everything
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		name = strings.ToUpper(name) // Windows has "SystemRoot"
		if slices.Contains(browserVariables, name) || strings.HasPrefix(name, "LC_") || strings.HasPrefix(name, "XDG_") {
			passed = append(passed, variable)
		}
	}
	return passed
}

// open opens a redirect file in the browser. It returns once the command has ended, or has run
// for two seconds, since it may be the browser itself, which then outlives this program.
func (b *Browser) open(ctx context.Context, file *redirect) error {
	argv := b.command(file.url())
	// The browser outlives the call.
	command := exec.CommandContext(context.WithoutCancel(ctx), argv[0], argv[1:]...)
	command.Env = b.environment
	detach(command)
	if err := command.Start(); err != nil {
		return fmt.Errorf("the browser could not be opened: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	watched := time.NewTimer(browserStart)
	defer watched.Stop()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("the browser could not be opened: the command for it failed (%w)", err)
		}
		return nil
	case <-watched.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *Browser) command(address string) []string {
	argv, placed := slices.Clone(b.argv), false
	for i, word := range argv[1:] {
		if strings.Contains(word, "%s") {
			argv[i+1], placed = strings.ReplaceAll(word, "%s", address), true
		}
	}
	if !placed {
		argv = append(argv, address)
	}
	return argv
}

// checkLoopbackAddress refuses options, files and foreign sites.
func checkLoopbackAddress(address string) error {
	parsed, err := url.Parse(address)
	if err == nil && parsed.Scheme == "http" && parsed.User == nil {
		if ip, err := netip.ParseAddr(parsed.Hostname()); err == nil && ip.IsLoopback() {
			return nil
		}
	}
	return errors.New("only a page of this program is opened in the browser")
}
