package runtime

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"paas/platform"
	"paas/runtime/runtimetest/sandbox"
)

func TestRunLayer(t *testing.T) {
	b := newBench(t)
	job := func(script string) (string, platform.Exit, string) {
		var out sandbox.Buffer
		layer, exit, err := b.RunLayer(context.Background(), platform.JobSpec{InstanceSpec: asRoot(spec(script))}, &out)
		check(t, err)
		return layer, exit, out.String()
	}
	script := `mkdir /new; echo made > /new/file; chown 7:8 /new/file; rm /bin/true; echo told; echo badly >&2`
	layer, exit, out := job(script)
	equal(t, "exit", exit.Code, 0)
	equal(t, "output", out, "told\nbadly\n")
	again, _, _ := job(script)
	equal(t, "equal writes, equal layers", again, layer)

	s := asRoot(spec(`cat /new/file; stat -c %u:%g /new/file; ls /bin/true 2>&1 || true`))
	s.Image.Layers = []string{baseLayer, layer}
	seen := b.output(s)
	if !strings.Contains(seen, "made\n7:8\n") || strings.Contains(seen, "\n/bin/true") {
		t.Errorf("the image has not what was written:\n%s", seen)
	}
	for _, name := range []string{"dev", "proc", "sys", "etc"} {
		if len(glob(t, filepath.Join(b.images.Dir(layer), name))) > 0 {
			t.Errorf("the layer has %s", name)
		}
	}
	if layer, exit, _ := job("echo x > /lost; exit 3"); layer != "" || exit.Code != 3 {
		t.Errorf("a command that failed left %q, exit %d", layer, exit.Code)
	}
	if layer, _, _ := job("true"); layer != "" {
		t.Errorf("a command that wrote nothing left %q: %v", layer, append(glob(t, filepath.Join(b.images.Dir(layer), "*")), glob(t, filepath.Join(b.images.Dir(layer), "*", "*"))...))
	}
	if left := glob(t, filepath.Join(filepath.Dir(filepath.Dir(b.images.Dir(layer))), "drafts", "*")); len(left) > 0 {
		t.Errorf("drafts are left: %v", left)
	}
}
