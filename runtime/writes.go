package runtime

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// spareDirs is how many used directories are kept for the next containers, 12 KiB each. Most containers write
// nothing, and making directories can cost ext4 more than all the rest of a container.
const spareDirs = 128

// writable makes the directory of a shell's writes, or takes a spare one.
func (r *Runtime) writable(name string) (string, error) {
	path := filepath.Join(r.options.Dir, "shells", name)
	if spare := r.spare(); spare != "" {
		return path, os.Rename(spare, path)
	}
	return path, makeWrites(path)
}

func makeWrites(path string) error {
	for _, dir := range []string{"fs", "work"} {
		if err := makeOpen(filepath.Join(path, dir)); err != nil {
			return err
		}
	}
	return nil
}

func (r *Runtime) spare() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.spares) == 0 {
		return ""
	}
	path := r.spares[0]
	r.spares = r.spares[1:]
	return path
}

// recycle removes a directory of writes, or keeps it for another container if nothing was written.
func (r *Runtime) recycle(path string) error {
	if !untouched(filepath.Join(path, "fs")) || !r.keepSpare(path) {
		return os.RemoveAll(path)
	}
	return nil
}

// keepSpare takes the directory away from its instance's name, under which others might look for it.
func (r *Runtime) keepSpare(path string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := filepath.Join(r.options.Dir, "shells", "spare-"+filepath.Base(path))
	if len(r.spares) >= spareDirs || os.Rename(path, kept) != nil {
		return false
	}
	r.spares = append(r.spares, kept)
	return true
}

// untouched tells whether a directory is as writable made it: empty, of mode 0755 and root's own. Extended
// attributes of it (the kernel's opaque mark) would show in the list of names.
func untouched(dir string) bool {
	var st unix.Stat_t
	if unix.Lstat(dir, &st) != nil || st.Mode != unix.S_IFDIR|0o755 || st.Uid != 0 || st.Gid != 0 {
		return false
	}
	d, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer func() { _ = d.Close() }()
	if n, err := unix.Flistxattr(int(d.Fd()), nil); err != nil || n > 0 {
		return false
	}
	_, err = d.Readdirnames(1)
	return errors.Is(err, io.EOF)
}
