package buildpacks

import (
	"path/filepath"
	"strings"
	"testing"

	"paas/buildpacks/treetest"
	"paas/platform"
)

// answer starts the web process of an image in its container, and returns what it answers to a GET of the path. Of a
// site it returns the page.
func (b *bench) answer(app platform.App, img platform.Image, path string) string {
	b.t.Helper()
	if path == "" {
		return b.run(app, img, "cat dist/index.html")
	}
	return b.run(app, img, `export PORT=5000; ( `+img.Processes[platform.Web]+` ) >/tmp/log 2>&1 &
for i in $(seq 150); do curl -s -i localhost:5000`+path+` && exit; sleep 0.1; done; cat /tmp/log; exit 1`)
}

// Every package manager installs from its own lockfile, every runtime answers; a change of a page installs nothing again.
func TestWebExamples(t *testing.T) {
	b := newBench(t, "node", "static", "tools", "yarn@1.22.22", "yarn-berry@4.18.1", "pnpm@10.34.9", "bun@1.x", "deno@2")
	b.contain()
	for _, c := range []struct{ name, path, want, change string }{
		{"express-yarn", "/", "installed by Yarn 1; development tools: false", "server.js"},
		{"express-berry", "/", "Plug'n'Play: true", "server.js"},
		{"express-pnpm", "/", "installed by pnpm; development tools: false", "server.js"},
		{"bun", "/", "Hello from Bun 1.", "index.ts"},
		{"deno", "/", "Hello from Deno 2.", "main.ts"},
		{"workspace", "/", "Hello from a workspace", ""},
		{"vite", "", "<title>Hello from Vite", ""},
		{"nextjs", "/about", "This page was made at", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			app := b.app()
			dir := filepath.Join("..", "examples", c.name)
			img, told := b.mustBuild(app, treetest.Dir(t, dir))
			t.Log(told)
			if got := b.answer(app, img, c.path); !strings.Contains(got, c.want) {
				t.Errorf("GET %s: %s", c.path, got)
			}
			if c.change == "" {
				return
			}
			ran, tree := b.steps.ran.Load(), treetest.Dir(t, dir)
			tree.Add(c.change+".txt", platform.Regular, []byte("new"))
			if _, told := b.mustBuild(app, tree); b.steps.ran.Load() != ran {
				t.Errorf("a change of the source runs steps again:\n%s", told)
			}
		})
	}
}
