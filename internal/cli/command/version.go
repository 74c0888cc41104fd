package command

import (
	"runtime/debug"
)

// releaseVersion is set by the linker when a release is built.
var releaseVersion = ""

// Version returns the version of this program, or "dev".
func Version() string {
	if releaseVersion != "" {
		return releaseVersion
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}
