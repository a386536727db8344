package runtime

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"paas/platform"
	"paas/runtime/image"
	"paas/runtime/runtimetest/sandbox"
)

// Where mounts cannot map owners everything works as elsewhere: what a step writes has the owners that a
// layer has, and an instance sees them.
func TestContainersWithoutIDMappedMounts(t *testing.T) {
	b := newBench(t)
	check(t, b.Close())
	var err error
	b.images, err = image.OpenWith(image.Options{Dir: b.dir + "/images", Shift: true})
	check(t, err)
	b.open()

	cache := b.dir + "/cache"
	check(t, os.Mkdir(cache, 0o755))
	check(t, os.Chown(cache, 1000, 1000))
	s, discard := b.step("stat -c '%u:%g' / /bin /cache; mkdir /opt; echo built > /opt/out; chown 1000:1000 /opt/out; echo c > /cache/f; rm /etc/passwd")
	defer discard()
	s.Binds = []platform.Bind{{Source: cache, Target: "/cache"}}
	for range 2 { // the second command of a step finds what the first left
		var out sandbox.Buffer
		exit, err := b.Step(context.Background(), s, &out)
		check(t, err)
		equal(t, "owners inside, "+out.String(), strings.HasPrefix(out.String(), "0:0\n0:0\n1000:1000\n"), true)
		equal(t, "code", exit.Code, 0)
		s.Argv = []string{"/bin/sh", "-ec", "stat -c '%u:%g' / /bin /cache; stat -c %u:%g /opt/out | grep 1000:1000; test ! -e /etc/passwd; cat /cache/f"}
	}
	tree, err := exec.Command("find", s.Upper, "-mindepth", "1", "-printf", "%P %U:%G %y\n").Output()
	check(t, err)
	for _, want := range []string{"opt 0:0 d", "opt/out 1000:1000 f", "etc/passwd 0:0 c"} {
		if !strings.Contains(string(tree), want) {
			t.Errorf("%q is not in the layer:\n%s", want, tree)
		}
	}
}
