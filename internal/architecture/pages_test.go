package architecture

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestAllPagesLookAlike keeps two copies of the style sheet the same text. The
// embedded API imports nothing of this module, and a program can embed only
// files at or below the package that embeds them.
func TestAllPagesLookAlike(t *testing.T) {
	var sheets [2][]byte
	for i, folder := range []string{"human/pages", "authority/web"} {
		var err error
		sheets[i], err = os.ReadFile(filepath.Join("..", filepath.FromSlash(folder), "style.css"))
		if err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(sheets[0], sheets[1]) {
		t.Error("internal/authority/web/style.css is not internal/human/pages/style.css any more: change the latter and copy it")
	}
}
