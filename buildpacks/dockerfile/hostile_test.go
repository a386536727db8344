package dockerfile_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paas/platform"
	"paas/runtime/image"
)

// A hostile Dockerfile reaches nothing of the host, and its neighbours' nothing either.
func TestHostile(t *testing.T) {
	b := newBench(t)
	evil, victim := b.app(), b.app()
	secret := filepath.Join(b.Dir, "host-secret")
	check(t, os.WriteFile(secret, []byte("host-only-7141"), 0o644))
	_, _, err := b.build(t.Context(), victim, platform.Config{"TOKEN": "victim-7141"}, files("Dockerfile",
		"FROM busybox\nRUN --mount=type=cache,id=shared,target=/c --mount=type=secret,id=TOKEN cat /run/secrets/TOKEN > /c/f && cat /run/secrets/TOKEN > /leak\nCMD sh\n"))
	check(t, err)
	for name, dockerfile := range map[string]string{
		"a path of the host":                      "FROM busybox\nRUN cat " + secret + " && cat /proc/1/root" + secret + "\nCMD sh\n",
		"COPY by way of a symlink of the context": "FROM busybox\nCOPY out /f\nRUN grep host-only /f\nCMD sh\n",
		"COPY out of the context":                 "FROM busybox\nCOPY ../../../.." + secret + " /f\nCMD sh\n",
		"COPY through a symlink of the image":     "FROM busybox\nRUN ln -s " + b.Dir + " /d\nCOPY a /d/written\nRUN grep -r host-only /d/\nCMD sh\n",
		"ADD through a symlink of the image":      "FROM busybox\nRUN ln -s ../../../../../../.." + b.Dir + " /d\nADD a /d/written\nRUN grep -r host-only /d/\nCMD sh\n",
		"a bind of a symlink":                     "FROM busybox AS one\nRUN ln -s " + b.Dir + " /s\nFROM busybox\nRUN --mount=type=bind,from=one,source=/s,target=/m grep -r host-only /m\nCMD sh\n",
		"a bind upwards":                          "FROM busybox AS one\nRUN true\nFROM busybox\nRUN --mount=type=bind,from=one,source=../../../.." + b.Dir + ",target=/m grep -r host-only /m\nCMD sh\n",
		"a mount over /proc":                      "FROM busybox\nRUN --mount=type=tmpfs,target=/proc true\nCMD sh\n",
		"a mount upwards":                         "FROM busybox\nRUN --mount=type=tmpfs,target=../../proc true\nCMD sh\n",
		"another app's cache":                     "FROM busybox\nRUN --mount=type=cache,id=shared,target=/c grep victim /c/f\nCMD sh\n",
		"another app's secret":                    "FROM busybox\nRUN --mount=type=secret,id=TOKEN,required=true cat /run/secrets/TOKEN\nCMD sh\n",
		"the host's network":                      "FROM busybox\nRUN --network=host true\nCMD sh\n",
		"the host's rights":                       "FROM busybox\nRUN --security=insecure true\nCMD sh\n",
		"mounting":                                "FROM busybox\nRUN mount -t tmpfs none /mnt || mount --bind / /tmp\nCMD sh\n",
		"a device":                                "FROM busybox\nRUN mknod /dev/sda b 8 0 && cat /dev/sda\nCMD sh\n",
		"a frontend of its own":                   "#syntax=evil/frontend\nFROM evil/frontend\nCMD sh\n",
		"a git repository":                        "FROM busybox\nADD git://127.0.0.1/x.git /x\nCMD sh\n",
		"cgroups":                                 "FROM busybox\nRUN mkdir /sys/fs/cgroup/x && echo 1 > /proc/sys/kernel/panic\nCMD sh\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, told, err := b.build(t.Context(), evil, nil, files("Dockerfile", dockerfile, "a", "mine", "out", "-> "+secret))
			if err == nil {
				t.Errorf("it went well:\n%s", told)
			}
			if platform.KindOf(err) == platform.Internal {
				t.Errorf("nobody wrote a sentence for %v", err)
			}
			if strings.Contains(told, "host-only-7141") || strings.Contains(told, "victim-7141") {
				t.Errorf("it got at it:\n%s", told)
			}
		})
	}
	if found, _ := filepath.Glob(filepath.Join(b.Dir, "written*")); len(found) > 0 {
		t.Errorf("it wrote %v", found)
	}
}

// Another app's Dockerfile of the same text is not given what a step made of a secret.
func TestLayersMadeOfSecretsAreNotShared(t *testing.T) {
	b := newBench(t)
	tree := files("Dockerfile", "FROM busybox\nRUN --mount=type=secret,id=TOKEN,required=false cat /run/secrets/TOKEN > /leak; true\nCMD sh\n")
	_, _, err := b.build(t.Context(), b.app(), platform.Config{"TOKEN": "victim-7141"}, tree)
	check(t, err)
	evil := b.app()
	img, _, err := b.build(t.Context(), evil, nil, tree)
	check(t, err)
	if got := b.run(evil, img, "cat /leak"); got != "" {
		t.Errorf("it got %q", got)
	}
}

// Secrets and config vars are in no layer, log, key or file of the builder's.
func TestSecretsLeaveNoTrace(t *testing.T) {
	b := newBench(t)
	app := b.app()
	config := platform.Config{"TOKEN": "hush-7141-token", "OTHER": "hush-7141-other"}
	img, told, err := b.build(t.Context(), app, config, files("Dockerfile",
		"FROM busybox\nRUN --mount=type=secret,id=TOKEN wc -c < /run/secrets/TOKEN > /n\nRUN --mount=type=secret,id=TOKEN,env=T,target=/x test \"$T\" = \"$(cat /x)\"\nCMD sh\n"))
	check(t, err)
	if got := b.run(app, img, "cat /n; ls -A /run 2>/dev/null | wc -l"); got != "15\n0" {
		t.Errorf("the step saw %q", got)
	}
	if strings.Contains(told, "hush-7141") {
		t.Errorf("told:\n%s", told)
	}
	check(t, b.Engine.Close())
	for _, dir := range []string{"build", "images"} {
		if found := grep(t, filepath.Join(b.Dir, dir), "hush-7141"); len(found) > 0 {
			t.Errorf("it is in %v", found)
		}
	}
}

func grep(t *testing.T, root, text string) (found []string) {
	t.Helper()
	check(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), text) {
			found = append(found, path)
		}
		return err
	}))
	return found
}

// Floods stay inside: of processes, memory, output, and time.
func TestFloods(t *testing.T) {
	b := newBench(t)
	app := b.app()
	t.Run("memory", func(t *testing.T) {
		_, told, err := b.build(t.Context(), app, nil, files("Dockerfile", "FROM busybox\nRUN tail /dev/zero\nCMD sh\n"))
		if err == nil || !strings.Contains(err.Error(), "was killed: it used 256 MiB of its 256 MiB memory limit") || !strings.Contains(err.Error(), "Dockerfile line 2") {
			t.Errorf("%v\n%s", err, told)
		}
	})
	t.Run("processes", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, told, err := b.build(ctx, app, nil, files("Dockerfile", "FROM busybox\nRUN b() { b | b & }; b; sleep 1; for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; exit 3\nCMD sh\n"))
		if err == nil {
			t.Errorf("told:\n%s", told)
		}
	})
	t.Run("output", func(t *testing.T) {
		img, told, err := b.build(t.Context(), app, nil, files("Dockerfile", "FROM busybox\nRUN yes xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx | head -c 50000000; echo after > /f\nCMD sh\n"))
		if err != nil || len(told) > 8<<20 || !strings.Contains(told, "clipped") {
			t.Fatalf("%v, %d bytes", err, len(told))
		}
		if b.run(app, img, "cat /f") != "after" {
			t.Error("the step did not go on")
		}
	})
	t.Run("time", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, _, err := b.build(ctx, app, nil, files("Dockerfile", "FROM busybox\nRUN sleep 31416\nCMD sh\n"))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 8*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		eventually(t, "the step ends", func() bool { return !runs("31416") })
	})
}

// runs tells whether a process with the word among its arguments runs.
func runs(word string) bool {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range all {
		text, _ := os.ReadFile(path)
		if strings.Contains(string(text), "sleep\x00"+word) {
			return true
		}
	}
	return false
}

// A builder that is killed leaves no step, no mount, no file and no lock behind, and the next build works.
func TestBuilderIsKilled(t *testing.T) {
	b := newBench(t)
	app := b.app()
	config := platform.Config{"WORD": "x"}
	slow := files("Dockerfile", "FROM busybox\nRUN echo kept > /f\nRUN --mount=type=secret,id=WORD sleep 31417\nCMD sh\n")
	temporary := filepath.Join(os.TempDir(), "buildkit-secrets*")
	before, _ := filepath.Glob(temporary)
	failed := make(chan error, 1)
	go func() {
		_, _, err := b.build(t.Context(), app, config, slow)
		failed <- err
	}()
	eventually(t, "the step runs", func() bool { return runs("31417") })
	check(t, unix.Kill(b.BuilderPID(), unix.SIGKILL))
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "ended in the middle") {
		t.Errorf("the build: %v", err)
	}
	eventually(t, "the step ends", func() bool { return !runs("31417") })
	if left, _ := filepath.Glob(temporary); len(left) > len(before) {
		t.Errorf("left in the host's temporary directory: %v", left)
	}
	img, told, err := b.build(t.Context(), app, config, files("Dockerfile", "FROM busybox\nRUN echo kept > /f\nRUN --mount=type=secret,id=WORD true\nCMD sh\n"))
	check(t, err)
	if b.run(app, img, "cat /f") != "kept" || !strings.Contains(told, "RUN echo kept > /f (cached)") {
		t.Errorf("told:\n%s", told)
	}
}

// Who cancels a push ends its step, and nobody else's build.
func TestCancel(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, _, err := b.build(ctx, b.app(), nil, files("Dockerfile", "FROM busybox\nRUN sleep 31418\nCMD sh\n"))
		failed <- err
	}()
	eventually(t, "the step runs", func() bool { return runs("31418") })
	other := b.app()
	b.mustBuild(other, files("Dockerfile", "FROM busybox\nRUN true\nCMD sh\n"))
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("the build: %v", err)
	}
	eventually(t, "the step ends", func() bool { return !runs("31418") })
}

// A step that takes the disk's reserve is ended with a sentence.
func TestDiskIsFilled(t *testing.T) {
	b := newBench(t)
	check(t, b.Engine.Close())
	full, err := image.OpenWith(image.Options{Dir: b.Dir + "/images", Reserve: 1 << 60})
	check(t, err)
	b.Images = full
	b.open()
	_, told, err := b.build(t.Context(), b.app(), nil, files("Dockerfile", "FROM busybox\nRUN sleep 31419\nCMD sh\n"))
	if err == nil || !strings.Contains(err.Error(), "a reserve of") {
		t.Errorf("%v\n%s", err, told)
	}
	eventually(t, "the step ends", func() bool { return !runs("31419") })
}
