package privatefile

import (
	"io/fs"
	"os"
)

// On Windows access is kept in lists that the mode bits do not show. What lies
// in a user's profile is the user's alone by the lists that it inherits.

func ownedByUser(fs.FileInfo) bool { return true }

func ownedByUserOrSystem(fs.FileInfo) bool { return true }

func replaceableByOthers(fs.FileInfo) bool { return false }

func writableByOthers(fs.FileInfo) bool { return false }

func readableByOthers(fs.FileInfo) bool { return false }

func hasOtherNames(fs.FileInfo) bool { return false }

// syncFolder does nothing: a folder cannot be flushed here, and the file system
// journals a rename by itself.
func syncFolder(*os.Root) error { return nil }
