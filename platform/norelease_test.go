package platform

import "testing"

func TestNoRelease(t *testing.T) {
	numbers := func(list ...int) (out []Release) {
		for _, n := range list {
			out = append(out, Release{Number: n})
		}
		return out
	}
	for want, list := range map[string][]Release{
		"none yet": nil, "v3": numbers(3), "v1-v3, v5": numbers(5, 3, 2, 1), "v2, v4": numbers(4, 2),
	} {
		if got := NoRelease("blog", 9, list).Message; got != "blog has no release v9; it has "+want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
