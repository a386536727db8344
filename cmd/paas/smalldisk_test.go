package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// disk SIZE: moves the platform's data, before its daemon starts, to an ext4 of that size (mkfs.ext4's K, M,
// G) of its own, with nothing in the store but the base image. It needs mkfs.ext4 (package e2fsprogs).
func cmdDisk(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: disk SIZE")
	}
	p := under(ts)
	ts.Check(p.makeDisk(args[0]))
	ts.Setenv("DATA", p.data)
	ts.Setenv("PAAS_DATA", p.data)
	ts.Setenv("DISK", p.disk)
}

// makeDisk mounts a fresh file system and lets the data lie in it.
func (p *platformUnderTest) makeDisk(size string) error {
	if err := os.RemoveAll(p.data); err != nil {
		return err
	}
	p.disk = p.data + ".disk"
	if err := os.Mkdir(p.disk, 0o700); err != nil {
		return err
	}
	image := p.disk + ".img"
	for _, argv := range [][]string{
		{"mkfs.ext4", "-q", "-m", "0", image, size},
		{"mount", "-o", "loop", image, p.disk},
		{"mkdir", "-p", filepath.Join(p.disk, "data", "store", "layers"), filepath.Join(p.disk, "data", "build", "index", "0")},
	} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", argv[0], err, out)
		}
	}
	p.data = filepath.Join(p.disk, "data")
	return p.copyBase()
}

// copyBase brings the base image, the first of the layers that the template was prepared with.
func (p *platformUnderTest) copyBase() error {
	index := filepath.Join("build", "index", "0", "layers")
	text, err := os.ReadFile(filepath.Join(p.template, index))
	if err != nil {
		return err
	}
	base := strings.Fields(string(text))[0]
	if err := os.WriteFile(filepath.Join(p.data, index), []byte(base+"\n"), 0o600); err != nil {
		return err
	}
	for _, part := range []string{"layers", "notes"} { // the note says that it is one
		to := filepath.Join(p.data, "store", part)
		out, err := exec.Command("sh", "-c", "mkdir -p \"$1\" && cp -a \"$0\" \"$1\"", filepath.Join(p.template, "store", part, base), to).CombinedOutput()
		if err != nil {
			return fmt.Errorf("copy the base image: %w\n%s", err, out)
		}
	}
	return nil
}

// removeDisk unmounts what makeDisk mounted, if it did.
func (p *platformUnderTest) removeDisk(t reporter) {
	if p.disk == "" {
		return
	}
	err := unix.Unmount(p.disk, 0)
	if err != nil && !errors.Is(err, unix.EINVAL) {
		err = errors.Join(err, unix.Unmount(p.disk, unix.MNT_DETACH))
	}
	err = errors.Join(err, os.Remove(p.disk+".img"), os.Remove(p.disk))
	if err != nil {
		t.Fatal(fmt.Sprintf("remove the small disk: %v", err))
	}
}
