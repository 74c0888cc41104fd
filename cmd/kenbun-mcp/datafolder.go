package main

import (
	"path/filepath"

	"github.com/kenbun/kenbun-mcp/internal/authority"
)

// dataFolder is the path of one of this program's folders in the user's data
// folder. It does not make it.
func dataFolder(name string) (string, error) {
	dir, err := authority.DefaultDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(dir), name), nil
}
