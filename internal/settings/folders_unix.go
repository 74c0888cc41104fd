//go:build unix

package settings

import (
	"fmt"
	"path/filepath"
	"runtime"
)

func dataFolder() (string, error) {
	return folder("XDG_DATA_HOME", ".local", "share")
}

func configFolder() (string, error) {
	return folder("XDG_CONFIG_HOME", ".config")
}

func folder(variable string, below ...string) (string, error) {
	if runtime.GOOS == "darwin" {
		variable, below = "", []string{"Library", "Application Support"}
	} else if named := fromVariable(variable); named != "" {
		return named, nil
	}
	home, err := Home()
	if err != nil {
		advice := "Set HOME"
		if variable != "" {
			advice += " or " + variable
		}
		return "", fmt.Errorf("there is no home folder: %w. %s", err, advice)
	}
	return filepath.Join(append([]string{home}, below...)...), nil
}
