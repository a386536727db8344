package buildpacks

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"paas/buildpacks/plan"
	"paas/platform"
	"paas/runtime/image"
)

// engine is over the base image that all tests on this machine share.
func engine(t *testing.T) *Engine {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("builds need root")
	}
	const shared = "/var/tmp/paas-test"
	images, err := image.Open(filepath.Join(shared, "store"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(Options{
		Dir: filepath.Join(shared, "build"), Images: images, Executor: chroots{images},
		Machine: ReadMachine(context.Background(), os.Getenv), Static: "/proc/self/exe",
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestPrepare(t *testing.T) {
	var out bytes.Buffer
	e := engine(t)
	if err := e.Prepare(context.Background(), platform.NewStory(&out, nil)); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, tc := range []plan.Toolchain{{Name: "node", Version: "22.x"}, {Name: "go", Version: "1.26"}, {Name: "python"}} {
		base, err := e.base(context.Background(), platform.NewStory(&out, nil))
		if err != nil {
			t.Fatal(err)
		}
		m, err := e.toolchain(context.Background(), base, tc, platform.NewStory(&out, nil))
		if err != nil {
			t.Fatalf("%v\n%s", err, &out)
		}
		t.Log(m)
	}
	t.Log(out.String())
}

func TestRemovedPaths(t *testing.T) {
	before := map[string]string{"a": "1", "d/x": "1", "d/y/z": "1", "k/keep": "1", "k/gone": "1", "f": "1", "e/in": "1"}
	now := map[string]string{"k/keep": "1", "f/now/dir": "1", "e": "1"}
	got := strings.Join(sorted(removedPaths(before, now)), " ")
	if got != "a d k/gone" {
		t.Fatalf("removed %q", got)
	}
}

func sorted(list []string) []string {
	for i := range list {
		for j := i; j > 0 && list[j] < list[j-1]; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
	return list
}
