package main

import (
	"testing"

	"paas/platform"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"": 0, "0": 0, "1000": 1000, "20GB": 20 << 30, "1.5 GiB": 3 << 29, "512m": 512 << 20, "7KiB": 7 << 10, "2T": 2 << 40,
		"5%": 50, "0.1 %": 1, "100%": 1000,
	} {
		if got, err := sizeOf("disk_budget", text, 1000); got != want || err != nil {
			t.Errorf("%q is %d (%v), not %d", text, got, err, want)
		}
	}
	for _, text := range []string{"much", "-1", "GB", "1XB", "101%", "-1%", "%", "1GBB", "1 2GB", "9999999999T"} {
		if n, err := sizeOf("disk_budget", text, 1000); platform.KindOf(err) != platform.Usage {
			t.Errorf("%q is %d, %v", text, n, err)
		}
	}
}
