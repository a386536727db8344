package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// `make bench-releases` measures the way back: to the release whose instances are kept, to an older one, and a change
// of a config var, each beside a plain restart of the app, and beside what podman needs to kill its container and to
// start it again.
func TestReleasePeers(t *testing.T) {
	if !*peers {
		return // `make bench-releases` runs it; a test of the machine's speed has no place among the others
	}
	needPrograms(t, "podman", "runc", "nsenter")
	b := &releaseBench{t: t, p: newPlainPlatform(t)}
	dir := b.p.repository(t, filepath.Join(examples(), "node"), "node")
	b.p.run(t, dir, "git", "push", "paas", "main")
	b.p.run(t, dir, "git", "commit", "-q", "--allow-empty", "-m", "again")
	b.p.run(t, dir, "git", "push", "paas", "main")
	ask := b.median(func() { b.paas("version") })
	restart := b.median(func() { b.paas("ps:restart", "node") }) - ask
	fmt.Println("figure\tours ms\tpeer ms\tratio")
	b.paas("config:set", "node", "N=first")
	figure("rollback-kept-vs-restart", b.median(b.rollbackKept)-ask, restart)
	figure("rollback-kept-as-told-vs-restart", b.told(), restart)
	b.paas("releases:set", "node", "keep-previous", "off")
	figure("rollback-older-vs-restart", b.median(func() { b.paas("rollback", "node") })-ask, restart)
	b.paas("releases:set", "node", "keep-previous", "10m")
	set := b.median(func() { b.n++; b.paas("config:set", "node", fmt.Sprintf("N=%d", b.n)) }) - ask
	figure("config-set-vs-restart", set, restart)
	podman := b.podman()
	figure("rollback-kept-vs-podman-kill-start", b.median(b.rollbackKept)-ask, podman)
	figure("config-set-vs-podman-kill-start", set, podman)
}

const releaseRounds = 15

type releaseBench struct {
	t    *testing.T
	p    *platformUnderTest
	n    int
	tell []float64 // what rollback said of itself
}

func (b *releaseBench) paas(words ...string) string {
	b.t.Helper()
	return b.p.run(b.t, b.p.home, append([]string{"paas"}, words...)...)
}

// median of a command's time in ms; what it leaves to be done in the background is waited for in between.
func (b *releaseBench) median(do func()) float64 {
	var all []float64
	for range releaseRounds {
		b.awaitKept()
		time.Sleep(settle)
		begun := time.Now()
		do()
		all = append(all, milliseconds(time.Since(begun)))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// awaitKept waits until what the last change replaced is kept, if it is to be; it gives up soon where nothing is.
func (b *releaseBench) awaitKept() {
	b.t.Helper()
	for range 25 {
		if strings.Contains(b.paas("ps", "node"), "kept") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (b *releaseBench) rollbackKept() {
	b.t.Helper()
	var back struct {
		Kept         bool
		Milliseconds float64
	}
	if err := json.Unmarshal([]byte(b.paas("rollback", "node", "--json", "--quiet")), &back); err != nil || !back.Kept {
		b.t.Fatalf("it was not called back: %+v, %v", back, err)
	}
	b.tell = append(b.tell, back.Milliseconds)
}

func (b *releaseBench) told() float64 {
	slices.Sort(b.tell)
	return b.tell[len(b.tell)/2]
}

// podman is the median time in ms in which it kills and starts the same image; whether the app answers is not waited for.
func (b *releaseBench) podman() float64 {
	archive := filepath.Join(b.t.TempDir(), "node.tar")
	b.p.run(b.t, b.p.home, "sh", "-c", "ssh paas images:save node > "+archive)
	podman := newPodman(b.t)
	podman.must(b.t, "load", "--quiet", "--input", archive)
	image := strings.Fields(podman.must(b.t, "images", "--quiet", "--filter", "reference=*node"))[0]
	podman.must(b.t, "run", "--detach", "--name", "node", "--network", "none", "--env", "PORT=5000",
		"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", image)
	var all []float64
	for range releaseRounds {
		time.Sleep(settle)
		begun := time.Now()
		podman.must(b.t, "kill", "node")
		podman.must(b.t, "start", "node")
		all = append(all, milliseconds(time.Since(begun)))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
