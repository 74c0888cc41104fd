package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// maxShown bounds what is shown of a value, in bytes.
const maxShown = 60

var (
	// placeholder is what a shell or a client would have filled in, in any text.
	placeholder = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(anyPlaceholder) })
	// pathPlaceholder is the same in a path, where variables stand beside other
	// text.
	pathPlaceholder = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(anyPlaceholder + `|\$[A-Za-z_][A-Za-z0-9_:]*|%[A-Za-z_][A-Za-z0-9_()]*%`)
	})
)

const anyPlaceholder = `\$\{[^}]*\}|\$\([^)]*\)|\{\{[^}]*\}\}|^\$[A-Za-z_][A-Za-z0-9_:]*$|^%[A-Za-z_][A-Za-z0-9_()]*%$`

// findPlaceholder returns the first one, "" if there is none. Most texts need no
// expression to tell.
func findPlaceholder(form func() *regexp.Regexp, text string) string {
	if !strings.ContainsAny(text, "$%{") {
		return ""
	}
	return form().FindString(text)
}

// CheckFilledIn reports an error that shows the variable, such as ${HOME}, if a
// value still has one in it that nothing has filled in.
func CheckFilledIn(value string) error {
	if left := findPlaceholder(placeholder, value); left != "" {
		return fmt.Errorf("it holds %s, which nothing has filled in. Write the value itself", shown(left))
	}
	return nil
}

func shown(text string) string {
	if len(text) > maxShown {
		return text[:maxShown] + "…"
	}
	return text
}

// Path returns a path as it was meant: without blanks around it, and with the
// user's home folder for a leading ~/. It does no I/O. A path that only a shell
// could read is an error, which shows what is in the way.
func Path(value string) (string, error) {
	path := Trim(value)
	switch left := findPlaceholder(pathPlaceholder, path); {
	case left != "":
		return "", fmt.Errorf("the path %s holds %s, which nothing has filled in. Write the whole path, or ~/ for your home folder", path, shown(left))
	case len(path) > 1 && strings.ContainsAny(path[:1], "\"'`") && path[0] == path[len(path)-1]:
		return "", fmt.Errorf("the path %s has quotation marks around it. Leave them out", path)
	case !strings.HasPrefix(path, "~"):
		return path, nil
	}
	rest := path[1:]
	if rest != "" && !os.IsPathSeparator(rest[0]) {
		return "", fmt.Errorf("the path %s begins with the home folder of another user, or with the name of a file. Write the whole path, or ./ before the name", path)
	}
	home, err := Home()
	if err != nil {
		return "", fmt.Errorf("the path %s begins with your home folder, and %w. Write the whole path", path, err)
	}
	return filepath.Join(home, rest), nil
}

// errNoHome is worded so that it stands in a sentence of the caller's.
var errNoHome = errors.New("HOME names none")

// Home returns the user's home folder, which need not exist.
func Home() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(home) {
		return "", errNoHome
	}
	return home, nil
}
