package platform

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// NoRelease is the answer to who asks for a release that an app does not have, with the numbers of those that it has.
func NoRelease(name AppName, number int, list []Release) *Error {
	var have []int
	for _, r := range list {
		have = append(have, r.Number)
	}
	kept := cmp.Or(spans(have), "none yet")
	return Errorf(NotFound, "%s has no release v%d; it has %s", name, number, kept).WithHint("see them: ssh paas releases %s", name)
}

// spans are numbers as people say them: "v1-v4, v6".
func spans(numbers []int) string {
	sorted := slices.Sorted(slices.Values(numbers))
	var parts []string
	for i := 0; i < len(sorted); i++ {
		first := sorted[i]
		for i+1 < len(sorted) && sorted[i+1] <= sorted[i]+1 {
			i++
		}
		part := fmt.Sprintf("v%d", first)
		if sorted[i] > first {
			part += fmt.Sprintf("-v%d", sorted[i])
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}
