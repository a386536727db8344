package buildpacks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A base image goes to other hosts and into everybody's images, so it says nothing of where and when it was made:
// mmdebstrap leaves in it how the host is called, whom it asks for names and the proxies of its apt (mmdebstrap(1),
// "SOURCE_DATE_EPOCH"); the tools that packages run leave backups and the time. The mirror stays: it is where the
// image's packages are from.

// sourceDate is what the clock says to tools that note the time: the day on which the suite was released.
const sourceDate = "SOURCE_DATE_EPOCH=1754697600"

// neutralise removes what a fresh base in dir says of this host. since is when its making began.
func neutralise(dir string, since time.Time) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("make the base image neutral: %w", err)
	}
	defer func() { _ = root.Close() }()
	for _, pattern := range []string{
		"etc/hostname", "etc/machine-id", "etc/mailname", "etc/.pwd.lock", "etc/*-", "etc/apt/apt.conf.d/99mmdebstrap", "etc/ssh/ssh_host_*",
		"var/cache/ldconfig/*", "var/cache/debconf/*-old", "var/lib/dpkg/*-old", "var/lib/apt/lists/*", "var/log/*",
		"root/.wget-hsts", "root/.bash_history", "tmp/*", "app/.??*",
	} {
		err = errors.Join(err, removeMatching(root, pattern))
	}
	err = errors.Join(err, root.WriteFile("etc/resolv.conf", nil, 0o644),
		root.WriteFile("etc/apt/apt.conf.d/99stack", []byte("Acquire::Languages \"none\";\n"), 0o644))
	if err = errors.Join(err, settleTimes(root, since)); err != nil {
		return fmt.Errorf("make the base image neutral: %w", err)
	}
	return nil
}

func removeMatching(root *os.Root, pattern string) error {
	names, err := fs.Glob(root.FS(), pattern)
	for _, name := range names {
		err = errors.Join(err, root.RemoveAll(name))
	}
	return err
}

// settleTimes gives everything that was made since the newest time of what came out of packages, which is the same on
// every host with the same packages.
func settleTimes(root *os.Root, since time.Time) error {
	var newest time.Time
	var fresh []string
	err := fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		at := info.ModTime()
		switch {
		case !at.Before(since):
			fresh = append(fresh, path)
		case at.After(newest):
			newest = at
		}
		return nil
	})
	at := unix.NsecToTimespec(newest.Truncate(time.Second).UnixNano())
	for _, path := range fresh {
		err = errors.Join(err, unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(root.Name(), path), []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW))
	}
	return err
}
