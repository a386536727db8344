package buildpacks

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
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
		base, err := e.baseLayer(context.Background(), platform.NewStory(&out, nil))
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

