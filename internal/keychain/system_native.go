//go:build darwin || windows

package keychain

// reachable reports nothing: the keychain is a part of the system.
func reachable() error { return nil }

func refusal(error) string { return "the system's keychain refused" }
