package privatefile

import (
	"io/fs"
	"os"
)

// On Windows access is kept in lists that the mode bits do not show. What lies
// in a user's profile is the user's alone by the lists that it inherits.

func ownedByUser(fs.FileInfo) bool { return true }

func ownedByUserOrSystem(fs.FileInfo) bool { return true }

func ownedBySystem(fs.FileInfo) bool { return false }

func readableByOwnGroupAlone(fs.FileInfo) bool { return false }

func openWithoutWaiting(path string) (*os.File, error) { return os.Open(path) }

func replaceableByOthers(fs.FileInfo) bool { return false }

func writableByOthers(fs.FileInfo) bool { return false }

func readableByOthers(fs.FileInfo) bool { return false }

func hasOtherNames(fs.FileInfo) bool { return false }

func hasNoName(fs.FileInfo) bool { return true }

// syncFolder does nothing: a folder cannot be flushed here, and the file system
// journals a rename by itself.
func syncFolder(*os.Root) error { return nil }
