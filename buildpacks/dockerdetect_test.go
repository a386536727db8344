package buildpacks_test

import (
	"strings"
	"testing"

	"paas/buildpacks"
	"paas/buildpacks/plan"
	"paas/buildpacks/treetest"
	"paas/platform"
)

// A Dockerfile goes before every language, and heroku.yml says which; what it names must be there.
func TestDetectDockerfile(t *testing.T) {
	for _, c := range []struct {
		name, path, detected string
		files                map[string]string
	}{
		{"alone", "Dockerfile", "Dockerfile", map[string]string{"Dockerfile": "FROM scratch"}},
		{"before a language", "Dockerfile", "Dockerfile", map[string]string{"Dockerfile": "FROM scratch", "package.json": "{}", "index.js": ""}},
		{"heroku.yml", "docker/web", "heroku.yml", map[string]string{"docker/web": "FROM scratch", "Dockerfile": "FROM x", "heroku.yml": "build:\n  docker:\n    web: docker/web\n"}},
		{"heroku.yml without it", "Dockerfile", "Dockerfile", map[string]string{"Dockerfile": "FROM scratch", "heroku.yml": "setup: {}\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := detected(t, c.files)
			if p.Builder != plan.Dockerfile || p.Dockerfile != c.path || p.Detected != c.detected {
				t.Errorf("plan %+v", p)
			}
		})
	}
	_, err := buildpacks.Detect(t.Context(), treetest.Files(map[string]string{"heroku.yml": "build: {docker: {web: ../../etc/passwd}}"}))
	if platform.KindOf(err) != platform.Failed || !strings.Contains(err.Error(), "etc/passwd (heroku.yml), which the source does not have") {
		t.Errorf("a path out of the tree: %v", err)
	}
	p := detected(t, map[string]string{"Dockerfile": "FROM scratch", "Procfile": "worker: x", "app.json": `{"healthchecks":{"web":[{"path":"/"}]}}`})
	if p.Processes["worker"] != "x" || len(p.Warnings) > 0 || len(p.Checks["web"]) != 1 {
		t.Errorf("plan %+v", p)
	}
}
