package image

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// On ext4 what is made in drafts does not crowd into one group of inodes: sixteen drafts have theirs far apart.
func TestDraftsAreSpread(t *testing.T) {
	s := openStore(t)
	var fs unix.Statfs_t
	check(t, unix.Statfs(s.dir, &fs))
	if fs.Type != unix.EXT4_SUPER_MAGIC {
		t.Logf("%s is no ext4, where this matters", s.dir)
		return
	}
	var numbers []uint64
	for range 16 {
		d, err := s.Draft()
		check(t, err)
		defer func() { check(t, d.Discard()) }()
		info, err := os.Stat(filepath.Dir(d.Dir))
		check(t, err)
		numbers = append(numbers, info.Sys().(*syscall.Stat_t).Ino)
	}
	slices.Sort(numbers)
	if distance := numbers[15] - numbers[0]; distance < 8*8192 { // inodes that one group has
		t.Errorf("sixteen drafts are within %d inodes: %v", distance, numbers)
	}
}
