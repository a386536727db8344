package node

import (
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// Range is a set of versions in npm's notation (the semver package's README: "20", "20.x", "^20.5",
// ">=20 <23", "18 || 20", "18 - 20").
type Range struct{ alternatives *semver.Constraints }

// ParseRange reads a range. The empty range, "*", "latest" and the like are every version. A comma between
// two conditions is read as a blank, though npm refuses it.
func ParseRange(s string) (Range, error) {
	parts := strings.Split(s, "||")
	for i, part := range parts {
		if parts[i] = strings.TrimSpace(part); anything(parts[i]) {
			parts[i] = "*"
		}
	}
	text := strings.Join(parts, " || ")
	if strings.Contains(text, "!=") {
		return Range{}, fmt.Errorf("read version range %q: npm has no !=", s)
	}
	c, err := semver.NewConstraint(text)
	if err != nil {
		return Range{}, fmt.Errorf("read version range %q: %w", s, err)
	}
	return Range{c}, nil
}

func anything(part string) bool {
	switch strings.ToLower(part) {
	case "", "*", "latest", "current", "node", "stable":
		return true
	}
	return false
}

// Match tells whether the version, such as "20.5.1", is in the range. What is no version is in none.
func (r Range) Match(version string) bool {
	v, err := semver.NewVersion(version)
	return err == nil && r.alternatives.Check(v)
}

// Best is the newest of the versions in the range, or "".
func (r Range) Best(versions []string) string {
	var best *semver.Version
	for _, s := range versions {
		v, err := semver.NewVersion(s)
		if err == nil && r.alternatives.Check(v) && (best == nil || v.GreaterThan(best)) {
			best = v
		}
	}
	if best == nil {
		return ""
	}
	return best.Original()
}
