package main

import (
	"cmp"
	"fmt"
	"path/filepath"
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

// sizeOf reads a size: bytes, with a unit of 1024 (K, M, G or T, and B or iB as one likes), or a part of
// the disk. Empty is 0.
func sizeOf(name, text string, disk int64) (int64, error) {
	if text == "" {
		return 0, nil
	}
	wrong := platform.Errorf(platform.Usage, "%s is %q, which is no size", name, text).WithHint("write it like 20GB, 512MB or 30%%")
	if part, ok := strings.CutSuffix(text, "%"); ok {
		p, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil || p < 0 || p > 100 {
			return 0, wrong
		}
		return int64(p / 100 * float64(disk)), nil
	}
	digits := strings.TrimRight(strings.ToUpper(strings.TrimSpace(text)), "KMGTIB ")
	n, err := strconv.ParseFloat(digits, 64)
	shift, known := map[string]uint{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[unitOf(text[len(digits):])]
	if err != nil || !known || n < 0 || n > 1<<20 && shift == 40 {
		return 0, wrong
	}
	return int64(n * float64(int64(1)<<shift)), nil
}

// unitOf is the letter that counts of "GB", "GiB" or "G".
func unitOf(text string) string {
	text = strings.TrimSuffix(strings.ToUpper(strings.TrimSpace(text)), "B")
	return strings.TrimSuffix(text, "I")
}
