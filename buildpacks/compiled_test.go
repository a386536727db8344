package buildpacks

import (
	"path/filepath"
	"strings"
	"testing"

	"paas/buildpacks/treetest"
	"paas/platform"
)

// Apps in compiled languages are built by the real runtime, with no registry of their language: their images have
// what runs, and neither source nor compiler.
func TestCompiledExamples(t *testing.T) {
	for _, c := range []struct{ name, toolchains, look, want string }{
		{"java", "jre maven", "cat .java/start; ls target; ls -d src/main/java /usr/bin/javac 2>&1; true", "hello-java-1.0.jar"},
		{"rust", "rust tools", "ls bin; ls -d target src /usr/bin/cargo 2>/dev/null; true", "hello-rust"},
		{"elixir", "elixir tools", "ls _build/prod/rel/hello/bin; ls -d lib mix.exs /usr/bin/mix 2>/dev/null; true", "hello"},
		{"cpp", "cmake tools", "ls bin; ls -d .build /usr/bin/cmake 2>/dev/null; true", "hello-cpp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, strings.Fields(c.toolchains)...)
			b.contain()
			b.Detect = Detect
			src := treetest.Dir(t, filepath.Join("..", "examples", c.name))
			app := b.app()
			img, told := b.mustBuild(app, src)
			t.Logf("%s\n%v", told, img.Processes)
			got := b.run(app, img, c.look)
			if !strings.Contains(got, c.want) {
				t.Errorf("`%s` says %q", c.look, got)
			}
			answer := b.run(app, img, "export PORT=5000; ("+img.Processes[platform.Web]+` >/tmp/log 2>&1 &) ;
				for i in $(seq 100); do curl -sf http://127.0.0.1:5000/ && exit; sleep 0.1; done; cat /tmp/log; exit 1`)
			if !strings.Contains(answer, "Hello from") {
				t.Errorf("it answers %q", answer)
			}
			ran := b.steps.ran.Load()
			if again, _ := b.mustBuild(app, src); again.ID != img.ID || b.steps.ran.Load() != ran {
				t.Errorf("the same source runs %d steps", b.steps.ran.Load()-ran)
			}
		})
	}
}
