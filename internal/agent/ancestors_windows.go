package agent

import (
	"context"
	"unsafe"

	"golang.org/x/sys/windows"
)

// lookUp returns a function that tells a process's parent and program. Windows lists no
// arguments, so that an agent in an interpreter is known by its variables alone.
func lookUp(context.Context) func(pid int) (parent int, arguments []string, ok bool) {
	type process struct {
		parent  int
		program string
	}
	processes := map[int]process{}
	if snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0); err == nil {
		defer func() { _ = windows.CloseHandle(snapshot) }() // it was only read
		entry := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
		for err := windows.Process32First(snapshot, &entry); err == nil; err = windows.Process32Next(snapshot, &entry) {
			processes[int(entry.ProcessID)] = process{int(entry.ParentProcessID), windows.UTF16ToString(entry.ExeFile[:])}
		}
	}
	return func(pid int) (int, []string, bool) {
		found, ok := processes[pid]
		return found.parent, []string{found.program}, ok
	}
}
