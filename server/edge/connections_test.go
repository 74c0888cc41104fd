package edge

import "testing"

// Each connection may cause another one to the API, and the process opens files
// besides.
func TestA23_ConnectionsLeaveRoomForOtherFiles(t *testing.T) {
	for files, want := range map[int]int{0: 8192, 64: 16, 256: 80, 1024: 464, 4096: 2000, 20_000: 8192, 1 << 20: 8192} {
		if got := connectionsFor(files); got != want {
			t.Errorf("with %d files: %d connections, want %d", files, got, want)
		}
	}
}
