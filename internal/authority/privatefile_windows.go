package authority

import "io/fs"

// Windows keeps access in lists that the mode bits do not show. What lies in a
// user's profile is his alone by those lists.

func ownershipProblem(fs.FileInfo) string { return "" }

func writableByOthers(fs.FileInfo) bool { return false }

func accessibleByOthers(fs.FileInfo) bool { return false }

// syncFolder does nothing: a folder cannot be flushed here, and the file system
// journals a rename by itself.
func syncFolder(string) error { return nil }
