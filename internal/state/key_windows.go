package state

import "io/fs"

// Windows keeps access in lists that the mode bits do not show. What lies in a
// user's profile is his alone by those lists.

func ownedByUserOrRoot(fs.FileInfo) bool { return true }

func readableByOthers(fs.FileInfo) bool { return false }
