package settings

import (
	"os"
	"path/filepath"
)

// program is the name of this program's folders.
const program = "kenbun-mcp"

// DataFolder returns the folder in which this program keeps its files when no
// other is named: kenbun-mcp in XDG_DATA_HOME or ~/.local/share (XDG Base Directory
// Specification), on macOS in ~/Library/Application Support and on Windows in
// %LocalAppData%. It does not make it, and need not be able to.
func DataFolder() (string, error) {
	base, err := dataFolder()
	if err != nil {
		return "", err
	}
	return filepath.Join(base, program), nil
}

// ConfigFolder returns the folder for what the user writes: kenbun-mcp in
// XDG_CONFIG_HOME or ~/.config, on macOS in ~/Library/Application Support and on
// Windows in %AppData%.
func ConfigFolder() (string, error) {
	base, err := configFolder()
	if err != nil {
		return "", err
	}
	return filepath.Join(base, program), nil
}

// fromVariable returns the folder that a variable names. As the specification
// says, one that is not absolute counts as none.
func fromVariable(name string) string {
	folder, err := Path(os.Getenv(name))
	if err != nil || !filepath.IsAbs(folder) {
		return ""
	}
	return folder
}
