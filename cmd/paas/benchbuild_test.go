package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// `make bench-build` measures what people wait for after `git push`. Its ratios are of what is allowed: 1 is the
// limit, less is better.
func TestBuildPeers(t *testing.T) {
	if !*peers {
		return // `make bench-build` runs it; a test of the machine's speed has no place among the others
	}
	needPrograms(t, "node", "npm", "go", "sshd")
	b := &buildBench{t: t, p: newPlainPlatform(t)}
	b.plain = b.p.plainRemote(t)
	b.oneLine()
	for _, c := range []candidate{
		{"node", "server.js", "//", bootNode},
		{"go", "main.go", "//", b.bootGo},
		{"static", "public/index.html", "", nil},
	} {
		b.whole(c)
	}
}

type buildBench struct {
	t     *testing.T
	p     *platformUnderTest
	plain string
	n     int
}

// candidate is an example app with the file that changes, how a comment begins there, and what its owner would do
// by hand to have it answer.
type candidate struct {
	name, file, comment string
	boot                func(dir string) error
}

// allowed prints how long something took, what is allowed, and their ratio.
func allowed(name string, took, limit float64) {
	fmt.Printf("%s\t%.2f\t%.2f\t%.2f\n", name, took, limit, took/limit)
}

// change writes another last line into a file and commits it.
func (b *buildBench) change(dir, file, comment string) {
	b.t.Helper()
	b.n++
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = fmt.Fprintf(f, "%s %d\n", comment, b.n)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.p.run(b.t, dir, "git", "commit", "-qam", "change")
}

// oneLine is an app of 2,000 files whose dependencies are there: from the pack's last byte to its command's
// execution. 15 ms are allowed for another line; 10 ms and the app's own boot for the same tree again, for other
// config and for the way back.
func (b *buildBench) oneLine() {
	dir := b.p.repository(b.t, filepath.Join(examples(), "node"), "many")
	for i := range 2000 {
		path := filepath.Join(dir, "lib", fmt.Sprint(i/100), fmt.Sprintf("part%d.js", i))
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, []byte(strings.Repeat("// a line of the program\n", 400)), 0o600)
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
	b.p.run(b.t, dir, "git", "add", "-A")
	b.p.run(b.t, dir, "git", "commit", "-qm", "many")
	b.p.run(b.t, dir, "git", "push", "paas", "main")
	b.installNode(dir)
	boot := interleaved(b.t, rounds, func() error { return bootNode(dir) })[0]
	allowed("one-line-push", b.after(rounds, "pushed", "started", func() {
		b.change(dir, "lib/3/part300.js", "//")
		b.p.run(b.t, dir, "git", "push", "paas", "main")
	}), 15)
	allowed("same-tree-push", b.after(rounds, "pushed", "healthy", func() {
		b.p.run(b.t, dir, "git", "commit", "-q", "--allow-empty", "-m", "again")
		b.p.run(b.t, dir, "git", "push", "paas", "main")
	}), 10+boot)
	ask := interleaved(b.t, rounds, func() error { return b.ssh("version") })[0]
	for name, words := range map[string]func() string{
		"config-change": func() string { b.n++; return fmt.Sprintf("config:set many N=%d", b.n) },
		"rollback":      func() string { return "rollback many" },
	} {
		took := interleaved(b.t, rounds, func() error { return b.ssh(words()) })[0]
		allowed(name, took-ask, 10+boot)
	}
}

func (b *buildBench) ssh(line string) error {
	out, err := b.p.try(b.p.home, filepath.Join(b.p.home, "bin", "ssh"), "paas", line)
	if err != nil {
		err = fmt.Errorf("ssh paas %s: %w\n%s", line, err, out)
	}
	return err
}

// after is the median time in milliseconds from the last event of one kind to the first of another after it.
func (b *buildBench) after(n int, from, to string, do func()) float64 {
	var times []float64
	for range n {
		do()
		times = append(times, b.between(from, to))
	}
	slices.Sort(times)
	return times[n/2]
}

func (b *buildBench) between(from, to string) float64 {
	b.t.Helper()
	type event struct {
		At   time.Time `json:"at"`
		Kind string    `json:"kind"`
	}
	var events []event
	for line := range strings.Lines(b.p.run(b.t, b.p.home, "paas", "events", "--app", "many", "--json")) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			b.t.Fatal(err)
		}
		events = append(events, e)
	}
	var begin time.Time
	took := 0.0
	for _, e := range events {
		switch {
		case e.Kind == from:
			begin, took = e.At, 0
		case e.Kind == to && took == 0 && !begin.IsZero():
			took = float64(e.At.Sub(begin).Microseconds()) / 1000
		}
	}
	if took == 0 {
		b.t.Fatalf("no %q comes after %q in %v", to, from, events)
	}
	return took
}

// whole is `git push` of another line until the new version answers, against the same push to plain sshd and
// what the app's owner does then by hand. 1.3 of that is allowed.
func (b *buildBench) whole(c candidate) {
	dir := b.p.repository(b.t, filepath.Join(examples(), c.name), c.name)
	b.p.run(b.t, dir, "git", "remote", "add", "plain", strings.Replace(b.plain, "plain.git", c.name+".git", 1))
	b.p.run(b.t, strings.TrimSuffix(strings.TrimPrefix(b.plain, "plain:"), "plain.git"), "git", "init", "-q", "--bare", c.name+".git")
	if c.name == "node" {
		b.installNode(dir)
	}
	push := func(remote string) func() error {
		return func() error {
			out, err := b.p.try(dir, "git", "push", remote, "main")
			if err != nil {
				err = fmt.Errorf("push to %s: %w\n%s", remote, err, out)
			}
			return err
		}
	}
	steps := []func() error{push("paas"), push("plain")}
	if c.boot != nil {
		steps = append(steps, func() error { return c.boot(dir) })
	}
	var samples [3][]float64
	for i := range rounds + 1 {
		b.change(dir, c.file, c.comment)
		for k, m := range interleaved(b.t, 1, steps...) {
			if i > 0 { // the first fills caches
				samples[k] = append(samples[k], m)
			}
		}
	}
	limit := 0.0
	for _, s := range samples[1:len(steps)] {
		slices.Sort(s)
		limit += s[rounds/2]
	}
	slices.Sort(samples[0])
	allowed("push-"+c.name, samples[0][rounds/2], 1.3*limit)
}

// installNode lets an app be booted outside.
func (b *buildBench) installNode(dir string) {
	b.p.run(b.t, dir, "sh", "-c", "echo node_modules >> .git/info/exclude && npm ci --silent")
}

// bootGo builds the app as its buildpack does, and starts it.
func (b *buildBench) bootGo(dir string) error {
	program := filepath.Join(b.p.home, "bench-go")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return boot(dir, program)
}
