package human

import (
	"io/fs"
	"os"
)

// On Windows a folder in the user's profile is the user's own through the
// access list that it inherits; the mode bits say nothing.

func ownedByUser(fs.FileInfo) bool { return true }

func reachableByOthers(fs.FileInfo) bool { return false }

func replaceable(fs.FileInfo) bool { return false }

func syncFolder(*os.Root) error { return nil }
