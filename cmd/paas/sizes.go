package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"paas/platform"
	"paas/runtime/image"
)

// The budgets, if the settings name none: of all layers and build caches, and of the caches.
const (
	defaultBudget      = "50%"
	defaultCacheBudget = "10%"
	mostCaches         = 10 << 30
)

// openImages opens the content store with the disk's bounds.
func (s settings) openImages() (*image.Store, error) {
	total, err := s.diskSize()
	if err != nil {
		return nil, err
	}
	o := image.Options{Dir: filepath.Join(s.Data, "store")}
	if o.Budget, err = sizeOf("disk_budget", cmp.Or(s.DiskBudget, defaultBudget), total); err != nil {
		return nil, err
	}
	if o.Reserve, err = sizeOf("disk_reserve", s.DiskReserve, total); err != nil {
		return nil, err
	}
	return image.OpenWith(o)
}

// diskSize is the whole file system's, in bytes.
func (s settings) diskSize() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(s.Data, &st); err != nil {
		return 0, fmt.Errorf("ask for the size of the disk: %w", err)
	}
	return int64(st.Blocks) * st.Frsize, nil //nolint:gosec // no disk has 8 EiB
}

// cacheBudget is what build caches may take.
func (s settings) cacheBudget() (int64, error) {
	total, err := s.diskSize()
	if err != nil {
		return 0, err
	}
	n, err := sizeOf("cache_budget", cmp.Or(s.CacheBudget, defaultCacheBudget), total)
	if s.CacheBudget == "" {
		n = min(n, mostCaches)
	}
	return n, err
}

// sizeForm is a number with a unit of 1024, with B or iB as one likes, or with a percent sign.
var sizeForm = regexp.MustCompile(`^(\d{1,15}(?:\.\d{1,9})?) ?(?:([KMGT]?)(?:I?B)?|(%))$`)

// sizeOf reads a size: bytes, with a unit of 1024 (K, M, G or T, and B or iB as one likes), or a part of
// the disk. Empty is 0.
func sizeOf(name, text string, disk int64) (int64, error) {
	if text == "" {
		return 0, nil
	}
	wrong := platform.Errorf(platform.Usage, "%s is %q, which is no size", name, text).WithHint("write it like 20GB, 512MB or 30%%")
	parts := sizeForm.FindStringSubmatch(strings.ToUpper(strings.TrimSpace(text)))
	if parts == nil {
		return 0, wrong
	}
	n, err := strconv.ParseFloat(parts[1], 64)
	if err != nil || parts[3] == "%" && n > 100 {
		return 0, wrong
	}
	if parts[3] == "%" {
		return int64(n / 100 * float64(disk)), nil
	}
	shift := map[string]uint{"K": 10, "M": 20, "G": 30, "T": 40}[parts[2]]
	if n *= float64(int64(1) << shift); n >= 1<<60 {
		return 0, wrong
	}
	return int64(n), nil
}
