package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var killRounds = flag.Int("kills", 2, "how often the daemon is killed in the middle of each kind of change (TestKillsLeaveOldOrNew)")

// A daemon that is killed in the middle of config:set, of a rollback, to what is kept or not, or of a release phase
// leaves the old state or the new one, in its store and in what runs, and nothing else runs.
func TestKillsLeaveOldOrNew(t *testing.T) {
	k := &killer{t: t, p: newTestPlatform(t)}
	k.dir = k.p.repository(t, filepath.Join("testdata", "apps", "hello"), "hello")
	k.p.run(t, k.dir, "sh", "-c", "printf '%s\\n' 'web: perl hello-server' 'release: perl -e \"select undef, undef, undef, 0.3; print qq{migrated\\n}\"' > Procfile")
	if err := k.push("first"); err != nil {
		t.Fatal(err)
	}
	push := k.timed(func() error { return k.push("second") })
	set := k.timed(func() error { return k.set("first") })
	back := k.timed(func() error { return k.rollback("") })
	for n := range *killRounds {
		k.round(fmt.Sprintf("config:set %d", n), set, func() error { return k.set(strconv.Itoa(n)) })
		k.round(fmt.Sprintf("rollback %d", n), back, func() error { return k.rollback("") })
		k.round(fmt.Sprintf("rollback to v1 %d", n), set, func() error { return k.rollback("v1") })
		k.round(fmt.Sprintf("release phase %d", n), push, func() error { return k.push(strconv.Itoa(n)) })
	}
}

type killer struct {
	t   *testing.T
	p   *platformUnderTest
	dir string
}

// timed makes a change in peace, so that there is something to go back to, and returns a little more than it took.
func (k *killer) timed(change func() error) time.Duration {
	k.t.Helper()
	begun := time.Now()
	if err := change(); err != nil {
		k.t.Fatal(err)
	}
	return time.Since(begun) * 5 / 4
}

func (k *killer) set(value string) error {
	_, err := k.p.try(k.p.home, "paas", "config:set", "hello", "N="+value)
	return err
}

func (k *killer) rollback(to string) error {
	_, err := k.p.try(k.p.home, "sh", "-c", "paas rollback hello "+to)
	return err
}

func (k *killer) push(page string) error {
	_, err := k.p.try(k.dir, "sh", "-c", "echo "+page+"-$$ > page.txt; git add -A; git commit -qm "+page+"; git push -qf paas main")
	return err
}

// state is what an app is, as far as its users see it.
type state struct {
	Release int
	N       string
}

// round makes a change, kills the daemon in the middle of it, and looks at what is left.
func (k *killer) round(name string, within time.Duration, change func() error) {
	k.t.Helper()
	before := k.stored()
	done := make(chan error, 1)
	go func() { done <- change() }()
	after := time.Duration(rand.Int64N(int64(within)))
	time.Sleep(after)
	k.p.end(syscall.SIGKILL)
	acknowledged := <-done == nil
	if err := k.p.start(); err != nil {
		k.t.Fatal(err)
	}
	now := k.stored()
	k.t.Logf("%s: killed after %s, acknowledged %v: v%d became v%d", name, after, acknowledged, before.Release, now.Release)
	if acknowledged && now == before && !strings.HasPrefix(name, "rollback to v1") {
		k.t.Errorf("%s: it was acknowledged and is not there: %+v", name, now)
	}
	if now.Release == before.Release && now.N != before.N {
		k.t.Errorf("%s: half: %+v became %+v", name, before, now)
	}
	var err error
	for range 300 {
		if err = k.matches(now); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	k.t.Errorf("%s: %v", name, err)
}

// stored is what is wanted.
func (k *killer) stored() (s state) {
	k.t.Helper()
	var info struct{ Release int }
	if err := json.Unmarshal([]byte(k.p.run(k.t, k.p.home, "paas", "apps:info", "hello", "--json")), &info); err != nil {
		k.t.Fatal(err)
	}
	s.Release = info.Release
	if n, err := k.p.try(k.p.home, "paas", "config:get", "hello", "N"); err == nil {
		s.N = strings.TrimSpace(n)
	}
	return s
}

// matches tells whether what runs is what is wanted, and nothing else.
func (k *killer) matches(s state) error {
	if again := k.stored(); again != s {
		k.t.Errorf("%+v became %+v by itself", s, again)
	}
	_, env, err := get(k.p.url("/env"), "hello.example.test")
	if err != nil {
		return err
	}
	if has := strings.Contains(string(env), "\nN="+s.N+"\n"); has != (s.N != "") || s.N == "" && strings.Contains(string(env), "\nN=") {
		return fmt.Errorf("what runs does not have N=%q", s.N)
	}
	var ps []struct {
		Release int
		Status  string
	}
	if err := json.Unmarshal([]byte(k.p.run(k.t, k.p.home, "paas", "ps", "hello", "--json")), &ps); err != nil {
		return err
	}
	up := 0
	for _, v := range ps {
		if v.Status == "up" && v.Release == s.Release {
			up++
		} else if !strings.HasPrefix(v.Status, "kept") {
			return fmt.Errorf("%+v", v)
		}
	}
	if up != 1 {
		return fmt.Errorf("%d run of v%d", up, s.Release)
	}
	return k.noOrphans(len(ps))
}

// noOrphans counts the containers in which the app's server is, whoever knows of them.
func (k *killer) noOrphans(want int) error {
	id, err := hostID(k.p.data)
	if err != nil {
		return err
	}
	found := map[string]bool{}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		line, _ := os.ReadFile(file)                                         // it may have ended
		group, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cgroup")) // as well
		if _, own, ok := strings.Cut(string(group), "/paas-"+id+"/"); ok && strings.Contains(string(line), "hello-server") {
			path, _, _ := strings.Cut(own, "\n")
			found[path] = true
		}
	}
	if len(found) != want {
		return errors.Join(err, fmt.Errorf("%d containers run, ps shows %d: %v", len(found), want, found))
	}
	return err
}
