package image

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// onOwnThread runs f on a thread that is thrown away afterwards, so f may change what the kernel keeps
// per thread: credentials, mount namespace, working directory.
func onOwnThread(f func() error) error {
	done := make(chan error)
	go func() { done <- lockedRun(f) }()
	return <-done
}

// lockedRun never unlocks its thread, so that the Go runtime ends the thread with the goroutine. The
// process's first thread would only be parked, with all f did to it: there it hands on to another one.
func lockedRun(f func() error) error {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		return f()
	}
	defer runtime.UnlockOSThread()
	return onOwnThread(f)
}
