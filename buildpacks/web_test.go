package buildpacks

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"paas/buildpacks/treetest"
	"paas/platform"
)

// answer starts the web process of an image in its container, and returns what it answers to a GET of the path.
func (b *bench) answer(app platform.App, img platform.Image, path string) string {
	b.t.Helper()
	return b.run(app, img, `export PORT=5000; ( `+img.Processes[platform.Web]+` ) >/tmp/log 2>&1 &
for i in $(seq 150); do curl -s localhost:5000`+path+` && exit; sleep 0.1; done; cat /tmp/log; exit 1`)
}

// archived is the tree of a txtar archive.
func archived(t testing.TB, name string) *treetest.Tree {
	t.Helper()
	archive, err := txtar.ParseFile(name)
	check(t, err)
	files := map[string]string{}
	for _, f := range archive.Files {
		files[f.Name] = string(f.Data)
	}
	return treetest.Files(files)
}

// Every package manager, alone and in a workspace, builds with what only the build needs, and leaves that out of the
// image. A new file in the source installs nothing again.
func TestPackageManagers(t *testing.T) {
	archives, err := filepath.Glob("testdata/prune/*.txtar")
	check(t, err)
	b := newBench(t, "node", "npm@11.6.2", "yarn@1.22.22", "yarn-berry@4.18.1", "pnpm@10.34.9", "pnpm@12.21.0", "bun@1.4.5")
	b.contain()
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			app, tree := b.app(), archived(t, name)
			img, told, err := b.build(t.Context(), app, tree)
			if err != nil {
				t.Fatalf("%v\n%s", err, told)
			}
			if got := b.answer(app, img, "/"); got != "built 21, 1m, nanoid: false" {
				t.Errorf("it says %q\n%s", got, told)
			}
			tree.Add("new.txt", platform.Regular, []byte("new"))
			if _, told = b.mustBuild(app, tree); !strings.Contains(told, "Using cached dependencies") {
				t.Errorf("a change of the source installs again:\n%s", told)
			}
		})
	}
}

// An add-on in C is compiled against the headers of the Node.js that runs it, without a download; the compiler is not
// in the image.
func TestNativeAddon(t *testing.T) {
	b := newBench(t, "node", "tools")
	b.contain()
	app := b.app()
	img, told := b.mustBuild(app, files(
		"package.json", `{"name": "native", "version": "1.0.0", "engines": {"node": ">=22"}, "scripts": {"start": "node server.js"}}`,
		"binding.gyp", `{"targets": [{"target_name": "hi", "sources": ["hi.c"]}]}`,
		"hi.c", `#include <node_api.h>
NAPI_MODULE_INIT() { napi_value v; napi_create_string_utf8(env, "from C", NAPI_AUTO_LENGTH, &v); return v; }
`,
		"server.js", `require('http').createServer((q, r) => r.end(require('./build/Release/hi.node'))).listen(process.env.PORT)`,
	))
	if got := b.answer(app, img, "/"); got != "from C" {
		t.Errorf("it says %q\n%s", got, told)
	}
	if got := b.run(app, img, "which gcc; true"); got != "" {
		t.Errorf("the image has %s", got)
	}
}
