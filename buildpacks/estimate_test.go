package buildpacks

import (
	"strings"
	"testing"

	"paas/buildpacks/treetest"
	"paas/platform"
)

func TestEstimate(t *testing.T) {
	lock := strings.Repeat("x", 1000)
	for _, c := range []struct {
		files []string
		want  int64
	}{
		{[]string{"index.html", "x"}, 0},
		{[]string{"package.json", "{}", "package-lock.json", lock}, 300_000},
		{[]string{"Gemfile.lock", lock, "web/yarn.lock", lock}, 8_400_000},
		{[]string{"node_modules/a/yarn.lock", lock, "a/b/c/d/e/yarn.lock", lock}, 0},
		{[]string{"Dockerfile", "FROM scratch", "go.sum", lock}, 1012},
		{[]string{"Dockerfile", "FROM scratch", ".dockerignore", "big\n.docker*\n", "big", lock, "small", "x"}, 13},
	} {
		files := map[string]string{}
		for i := 0; i < len(c.files); i += 2 {
			files[c.files[i]] = c.files[i+1]
		}
		got, _, err := (&Engine{}).Estimate(t.Context(), platform.BuildRequest{Source: treetest.Files(files)})
		if err != nil || got != c.want {
			t.Errorf("%v: %d, %v", c.files[0], got, err)
		}
	}
}
