package buildpacks

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"paas/buildpacks/treetest"
	"paas/platform"
)

var peers = flag.Bool("peers", false, "measure first builds beside the same commands by hand; prints tab-separated figures")

// TestPeersWeb measures first builds of apps whose toolchains are there, beside what one would type: in a chroot of
// the same base image with the same Node.js, on the host's network, with an empty npm cache. Each line has the figure,
// our median and what is allowed, in milliseconds, and their ratio.
func TestPeersWeb(t *testing.T) {
	if !*peers {
		t.Skip("measures for minutes; run with -peers")
	}
	for _, c := range []struct {
		figure, example, commands string
		rounds                    int
		allowed                   float64 // times the peer's
	}{
		{"node-first-deploy", "node", "npm ci --omit=dev", 5, 1.2},
		{"nextjs-first-build", "nextjs", "npm ci && npm run build", 3, 1.1},
	} {
		var ours, theirs []time.Duration
		for range c.rounds {
			// Subtests, so that each cleans up before the next.
			t.Run(c.example, func(t *testing.T) { ours = append(ours, firstBuild(t, c.example)) })
			t.Run(c.example+" by hand", func(t *testing.T) { theirs = append(theirs, byHand(t, c.example, c.commands)) })
		}
		if t.Failed() {
			return
		}
		took, limit := median(ours).Seconds(), c.allowed*median(theirs).Seconds()
		fmt.Printf("%s\t%.0f\t%.0f\t%.2f\n", c.figure, 1000*took, 1000*limit, took/limit)
	}
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

// firstBuild builds the example in a store that has the base image and Node.js, and nothing of the app, until it can be
// started. What the disk takes beside the app's start is logged.
func firstBuild(t *testing.T, example string) time.Duration {
	b := newBench(t, "node", "tools")
	b.contain()
	src := treetest.Dir(t, filepath.Join("..", "examples", example))
	app := b.app()
	start := time.Now()
	img, told := b.mustBuild(app, src)
	took := time.Since(start)
	check(t, b.Images.Durable(img.Layers))
	t.Logf("%sdurable %s later", told, time.Since(start)-took)
	return took
}

// byHand runs the commands in a chroot.
func byHand(t *testing.T, example, commands string) time.Duration {
	b := newBench(t, "node")
	story := platform.NewStory(t.Output(), nil)
	base, err := b.baseLayer(t.Context(), story)
	check(t, err)
	root := filepath.Join(b.dir, "by-hand")
	check(t, os.MkdirAll(root, 0o755))
	for _, layer := range hostLayers(t, b.Engine, []string{"node"}) {
		if out, err := exec.Command("cp", "-a", b.Images.Dir(layer)+"/.", root).CombinedOutput(); err != nil {
			t.Fatalf("copy: %v\n%s", err, out)
		}
	}
	treetest.Dir(t, filepath.Join("..", "examples", example)).Write(t, filepath.Join(root, "app"), func(string) bool { return true })
	inherit(t, root, b.Machine)
	registry, err := b.registry(t.Context(), base, story)
	check(t, err)
	// The mounts are in a namespace of the commands' own, so that nothing of them is left.
	cmd := exec.Command("/bin/sh", "-e", "-c", `mount --bind /dev "$0/dev"; mount -t proc proc "$0/proc"
exec chroot "$0" /bin/bash -e -c "cd /app && $1"`, root, commands)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	cmd.Env = []string{"PATH=/opt/node/bin:" + systemPath, "HOME=/root", "LANG=C.UTF-8", "CI=true", "NEXT_TELEMETRY_DISABLED=1", "npm_config_audit=false", "npm_config_fund=false"}
	for name, value := range b.Machine.env() {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Env = append(cmd.Env, "npm_config_registry="+registry)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(start)
	t.Log(strings.TrimSpace(string(out)))
	check(t, err)
	return took
}

// inherit gives the chroot what a person would give it: names and authorities, and places for /proc and /dev.
func inherit(t *testing.T, root string, m Machine) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Join(root, "proc"), 0o755))
	check(t, os.MkdirAll(filepath.Join(root, "dev"), 0o755))
	for from, to := range map[string]string{"/etc/resolv.conf": "/etc/resolv.conf", m.CABundle: bundlePath} {
		text, err := os.ReadFile(from)
		check(t, err)
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(root, to)), 0o755))
		check(t, os.WriteFile(filepath.Join(root, to), text, 0o644))
	}
}
