package buildpacks

import (
	"context"
	"errors"
	"math"
	"regexp"
	"slices"

	"github.com/Masterminds/semver/v3"

	"paas/buildpacks/plan"
	"paas/platform"
)

var firstNumber = regexp.MustCompile(`\d+(\.\d+){0,2}`)

// nearestFirst sorts versions by how near they are to the first one that a wish names: the same minor line, the
// same major line, then the lines above and below; in a line the newest first.
func nearestFirst(wish string, versions []string) []string {
	want, err := semver.NewVersion(firstNumber.FindString(wish))
	if err != nil {
		return versions
	}
	distance := func(text string) uint64 {
		v, err := semver.NewVersion(text)
		if err != nil {
			return math.MaxUint64
		}
		if v.Major() != want.Major() {
			return apart(v.Major(), want.Major()) << 32
		}
		return apart(v.Minor(), want.Minor())
	}
	return slices.SortedStableFunc(slices.Values(versions), func(a, b string) int {
		switch da, db := distance(a), distance(b); {
		case da < db:
			return -1
		case da > db:
			return 1
		}
		return 0
	})
}

// apart counts what is above as nearer than what is as far below.
func apart(a, b uint64) uint64 {
	if a >= b {
		return 2 * (a - b)
	}
	return 2*(b-a) + 1
}

// nearestServed is the version nearest to the wish that the registry hands out, "" if none of the first few is.
func (e *Engine) nearestServed(ctx context.Context, base, pkg, wish string, versions []string, story *platform.Story) string {
	near := nearestFirst(wish, versions)
	for _, v := range near[:min(maxRefused, len(near))] {
		if e.serves(ctx, base, pkg, v, story) {
			return v
		}
	}
	return ""
}

// noSuchVersion is the error about a version that no registry has or hands out.
func (e *Engine) noSuchVersion(ctx context.Context, base, pkg string, t plan.Toolchain, all []string, story *platform.Story) *platform.Error {
	failed := platform.Errorf(platform.Failed, "%s asks for %s %s, which cannot be had", asked(t), spoken(t.Name), t.Version)
	nearest := e.nearestServed(ctx, base, pkg, t.Version, all, story)
	if nearest == "" {
		return failed.WithHint(`ask for another one, such as "22.x"`)
	}
	return platform.Errorf(platform.Failed, "%s asks for %s %s, which cannot be had; the nearest that can is %s", asked(t), spoken(t.Name), t.Version, nearest).
		WithHint("ask for %s there, or for a range that it is in", nearest)
}

// refusedAll is the error about a version that the registry lists and does not hand out, with the nearest one that it
// does. Another error stays as it is.
func (e *Engine) refusedAll(ctx context.Context, base, pkg string, t plan.Toolchain, cause error, story *platform.Story) error {
	if !errors.Is(cause, errRefused) || ctx.Err() != nil || t.Version == "" {
		return cause
	}
	all, err := e.known(ctx, "npm versions "+pkg, func() ([]string, error) { return e.npmVersions(ctx, base, pkg, story) })
	if err != nil {
		return cause
	}
	refused := e.kept("refused " + t.Name).List
	all = slices.DeleteFunc(slices.Clone(all), func(v string) bool { return slices.Contains(refused, v) })
	return e.noSuchVersion(ctx, base, pkg, t, all, story).Because(cause)
}

// serves tells whether the registry hands out a version: it may list one, and describe it, and still not do so.
func (e *Engine) serves(ctx context.Context, base, pkg, version string, story *platform.Story) bool {
	d, err := e.distribution(ctx, base, pkg, version, story)
	if err != nil {
		return false
	}
	body, err := e.download(ctx, d.Tarball, "")
	return err == nil && body.Close() == nil
}
