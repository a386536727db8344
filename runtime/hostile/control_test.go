package hostile_test

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"paas/runtime/runtimetest"
	"paas/runtime/runtimetest/sandbox"
)

// The same program must succeed where nothing holds it, or the other tests would show nothing: as the
// host's root in a chroot with namespaces of its own, which is what a careless runtime would give.
func TestAttacksWorkWithoutWalls(t *testing.T) {
	a := newArena(t)
	root := weakRoot(t, a)
	for name, want := range map[string]struct {
		words    []string
		achieved string
	}{
		"devices":    {nil, "make and open device 020000 1:3 in /tmp"},
		"mounts":     {nil, "mount tmpfs"},
		"namespaces": {nil, "unshare mount"},
		"chroot":     {[]string{a.secret}, "climb out of a chroot to the host"},
		"handles":    {nil, "open inode 2 of the file system of /app"},
		"kernel":     {nil, "bpf: make a map"},
		"keys":       {nil, "add_key"},
		"sockets":    {nil, "open a packet socket"},
		"netlink":    {nil, "add a bridge"},
		"limits":     {nil, "raise the priority"},
		"entries":    {nil, "make a call with garbage above its number"},
		"proc-write": {nil, "open for writing /proc/sys/kernel/core_pattern"},
		"proc-read":  {nil, "learn addresses from /proc/kallsyms"},
		"rights":     {nil, "have in the bounding set capability 21"},
	} {
		t.Run(name, func(t *testing.T) {
			r := runWeak(t, root, append([]string{name}, words(want.words, a.secret)...))
			if !slices.Contains(r.Achieved, want.achieved) {
				t.Errorf("%q failed: %s\nwhat worked: %q", want.achieved, r.Refused[want.achieved], r.Achieved)
			}
		})
	}
}

// words are the attack's own or, as every attack may have some, the path.
func words(own []string, path string) []string {
	if own == nil {
		return []string{path}
	}
	return own
}

// weakRoot is the base layer as a plain directory with a /proc.
func weakRoot(t *testing.T, a *arena) string {
	t.Helper()
	root := t.TempDir() + "/root"
	out, err := exec.Command("cp", "-a", a.Images.Dir(runtimetest.Base), root).CombinedOutput()
	if err != nil {
		t.Fatalf("copy the base layer: %v\n%s", err, out)
	}
	sandbox.Check(t, copyProgram(root+"/attack", 0o755))
	sandbox.Check(t, os.MkdirAll(root+"/dev/shm", 0o755))
	sandbox.Check(t, os.WriteFile(root+"/mounter", []byte("#!/bin/sh\nmknod -m 666 /dev/null c 1 3; mount -t proc proc /proc && exec \"$@\"\n"), 0o755))
	return root
}

func runWeak(t *testing.T, root string, words []string) report {
	t.Helper()
	cmd := exec.Command("/mounter", append([]string{"/attack", "drop"}, words...)...)
	cmd.Path, cmd.Err = "/mounter", nil
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot: root, Setsid: true, Unshareflags: unix.CLONE_NEWNS,
		// The cgroup namespace keeps a mount of cgroup2 from changing the options of the host's.
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP,
	}
	cmd.Dir = "/"
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	r, err := parse(string(out))
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, out, stderr.String())
	}
	return r
}
