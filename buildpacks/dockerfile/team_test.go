package dockerfile_test

import (
	"strings"
	"testing"

	"paas/platform"
)

// What a RUN leaves is found by other apps of the team, and not by those of another.
func TestRunsAreATeams(t *testing.T) {
	b := newBench(t)
	tree := files("Dockerfile", "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /id\nCMD sh\n")
	id := func(team string) string {
		t.Helper()
		app := b.app()
		var told safeBuffer
		img, err := b.Build(t.Context(), platform.BuildRequest{
			App: app, Source: tree, Commit: strings.Repeat("1", 40), Team: team, Story: platform.NewStory(&told, nil),
		})
		if err != nil {
			t.Fatalf("%v\n%s", err, told.String())
		}
		return b.run(app, img, "cat /id")
	}
	ann, also, bob, admins := id("a1"), id("a1"), id("b2"), id("")
	if ann != also || ann == bob || ann == admins || bob == admins {
		t.Errorf("teams have %s, %s, %s and %s", ann, also, bob, admins)
	}
}
