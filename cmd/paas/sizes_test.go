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

func FuzzSizeOf(f *testing.F) {
	for _, text := range []string{"20GB", " 1.5 GiB", "5%", "ıGB", "NaN", "Inf", "1e30T", "-0", "0x10M", "1_0K"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := sizeOf("disk_budget", text, 1000)
		if err != nil && platform.KindOf(err) != platform.Usage {
			t.Errorf("%q: %v", text, err)
		}
		if n < 0 || err != nil && n != 0 {
			t.Errorf("%q is %d, %v", text, n, err)
		}
	})
}
