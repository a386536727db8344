package runtime

import (
	"context"
	"os"
	"strings"
	"testing"

	"paas/platform"
	"paas/runtime/runtimetest/sandbox"
)

// A step sees what is mounted for it, as its owner says, and none of it is in its layer.
func TestStepMounts(t *testing.T) {
	b := newBench(t)
	dir := b.dir + "/tree"
	check(t, os.MkdirAll(dir+"/deep", 0o755))
	check(t, os.WriteFile(dir+"/deep/f", []byte("deep"), 0o644))
	check(t, os.Symlink("/deep", dir+"/link"))
	check(t, os.WriteFile(b.dir+"/outside", []byte("outside"), 0o644))
	check(t, os.Symlink("../outside", dir+"/out"))
	s, discard := b.step(`
		cat /run/secret; stat -c ' %u:%g %a' /run/secret; grep -c ' /mem tmpfs' /proc/mounts; cat /sub/f
		test -e /base/bin/busybox && echo based; touch /base/x /sub/x 2>/dev/null || echo protected
		id -G; ls /sys/class/net; echo "PORT=$PORT"; cat /sys/class/net/lo/flags`)
	defer discard()
	s.UID, s.GID, s.Groups, s.Exact, s.Offline = 1000, 1000, []uint32{50, 60}, true, true
	s.Mounts = []platform.StepMount{
		{Target: "/run/secret", File: []byte("hush"), UID: 1000, GID: 5, Mode: 0o400}, {Target: "/mem", Memory: 1 << 20},
		{Target: "/sub", Upper: dir, Sub: "/link", ReadOnly: true}, {Target: "/base", Layers: []string{baseLayer}, ReadOnly: true},
	}
	var out sandbox.Buffer
	exit, err := b.Step(context.Background(), s, &out)
	check(t, err)
	equal(t, "code", exit.Code, 0)
	for _, want := range []string{"hush 1000:5 400\n", "\n1\n", "deepbased\nprotected\n1000 50 60\nlo\nPORT=\n0x9\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %q", want, out.String())
		}
	}
	for _, name := range []string{"run/secret", "mem", "sub", "base"} {
		if _, err := os.Lstat(s.Upper + "/" + name); err == nil {
			t.Errorf("%s is left in the layer", name)
		}
	}
	s.Argv = []string{"/bin/cat", "/f"}
	for name, m := range map[string]platform.StepMount{
		"a symlink out of the tree": {Target: "/f", Upper: dir, Sub: "/out"},
		"a path out of the tree":    {Target: "/f", Upper: dir, Sub: "/../outside"},
		"over /proc":                {Target: "/proc/self", Memory: 1},
		"nothing":                   {Target: "/f"},
	} {
		s.Mounts = []platform.StepMount{m}
		if exit, err := b.Step(context.Background(), s, &out); err == nil && exit.Code == 0 || strings.Contains(out.String(), "outside") {
			t.Errorf("%s: it went well: %q", name, out.String())
		}
	}
}
