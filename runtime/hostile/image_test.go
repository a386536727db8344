package hostile_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/runtimetest/sandbox"
)

// planted is something that an image has where the runtime will mount, write or look.
type planted struct {
	path string
	link string // a symlink to there
	mode uint32 // else a node of this kind
}

func (p planted) plant(dir string) error {
	path := dir + p.path
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if p.link != "" {
		return os.Symlink(p.link, path)
	}
	return unix.Mknod(path, p.mode|0o666, 0)
}

// hostileImages are CVE-2019-19921, 2023-27561, 2025-31133, 2025-52565, 2025-52881 and their like.
func hostileImages(secret string) (images []planted) {
	up := "../../../../../../../.."
	for _, path := range []string{"/proc", "/sys", "/dev", "/etc", "/tmp", "/app", "/dev/pts", "/dev/shm", "/dev/mqueue", "/proc/sys"} {
		for _, link := range []string{"/app", "/proc", "/proc/1/root", up + "/run", "/", "."} {
			images = append(images, planted{path: path, link: link})
		}
		images = append(images, planted{path: path, mode: unix.S_IFIFO}, planted{path: path, mode: unix.S_IFREG})
	}
	for _, path := range []string{
		"/dev/null", "/dev/console", "/dev/zero", "/dev/tty", "/dev/ptmx", "/dev/fd", "/dev/stdout", "/etc/hosts", "/etc/resolv.conf",
		"/etc/hostname", "/.file", "/dev/.file",
	} {
		for _, link := range []string{
			up + secret, "/proc/self/fd/3", "/proc/1/mem", "/proc/sys/kernel/core_pattern", "/proc/self/attr/exec", "/dev", "/etc/passwd", "hosts",
		} {
			images = append(images, planted{path: path, link: link})
		}
		images = append(images, planted{path: path, mode: unix.S_IFIFO}, planted{path: path, mode: unix.S_IFBLK})
	}
	return images
}

// Whatever an image has where the runtime mounts: it is refused, or the container is like any other.
func TestHostileImages(t *testing.T) {
	a := newArena(t)
	before := names(t, "/run")
	images := hostileImages(a.secret)
	refused := 0
	for n, p := range images {
		layer := fmt.Sprintf("planted-%d", n)
		a.plain(t, layer, p.plant)
		s := attacker(n%2 == 0, layer)
		s.Image.WorkDir = "/"
		s.Command = []string{"/attack", "doors", a.secret}
		if err := a.runsLikeAnyOther(s); err != nil {
			refused++
			t.Logf("%+v: %v", p, err)
		}
	}
	if refused == 0 || refused == len(images) {
		t.Errorf("%d of %d images were refused", refused, len(images))
	}
	if now := names(t, "/run"); now != before {
		t.Errorf("the host's /run has now %s, had %s", now, before)
	}
}

// plain puts a layer into the store without waiting for the disk, as hundreds are made.
func (a *arena) plain(t *testing.T, name string, fill func(dir string) error) {
	t.Helper()
	dir := a.Images.Dir(name)
	sandbox.Check(t, os.Mkdir(dir, 0o755))
	sandbox.Check(t, fill(dir))
}

// runsLikeAnyOther gives the error when the container was refused.
func (a *arena) runsLikeAnyOther(s platform.InstanceSpec) error {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), sandbox.Patience)
	defer cancel()
	var out, errs bytes.Buffer
	began := time.Now()
	exit, err := a.Run(ctx, platform.JobSpec{InstanceSpec: s}, nil, &out, &errs)
	if took := time.Since(began); took > 20*time.Second {
		a.t.Errorf("%v hung the start for %s", s.Image.Layers, took)
	}
	if err != nil {
		return err
	}
	r, err := parse(out.String())
	if err != nil {
		return fmt.Errorf("exit %+v: %s", exit, errs.String())
	}
	for _, what := range r.Achieved {
		a.t.Errorf("%v: it could %s", s.Image.Layers, what)
	}
	return nil
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	sandbox.Check(t, err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return fmt.Sprint(all)
}

// CVE-2024-21626: a working directory behind a descriptor that somebody forgot to close.
func TestWorkingDirectoryTricks(t *testing.T) {
	a := newArena(t)
	var dirs []string
	for fd := range 12 {
		dirs = append(dirs, fmt.Sprintf("/proc/self/fd/%d", fd), fmt.Sprintf("/dev/fd/%d", fd),
			fmt.Sprintf("/proc/self/fd/%d/../../../..", fd), fmt.Sprintf("/links/fd%d", fd), fmt.Sprintf("/links/thread%d", fd))
	}
	dirs = append(dirs, "/proc/1/root", "/proc/1/cwd", "/links/cwd", "/links/root", "/proc/self/cwd/..", "/../../..", "/proc", "//proc//1//cwd", "/links/proc/1/cwd")
	a.Layer(t, "links", func(dir string) error {
		for fd := range 12 {
			for name, to := range map[string]string{"fd": "/proc/self/fd/%d", "thread": "/proc/thread-self/fd/%d"} {
				p := planted{path: fmt.Sprintf("/links/%s%d", name, fd), link: fmt.Sprintf(to, fd)}
				if err := p.plant(dir); err != nil {
					return err
				}
			}
		}
		for name, to := range map[string]string{"cwd": "/proc/1/cwd", "root": "/proc/self/root", "proc": "/proc"} {
			if err := (planted{path: "/links/" + name, link: to}).plant(dir); err != nil {
				return err
			}
		}
		return nil
	})
	refused := 0
	for n, dir := range dirs {
		s := attacker(n%2 == 0, "links")
		s.Image.WorkDir = dir
		s.Command = []string{"/attack", "doors", a.secret}
		if a.runsLikeAnyOther(s) != nil {
			refused++
		}
	}
	if refused < 12 {
		t.Errorf("only %d of %d working directories were refused", refused, len(dirs))
	}
}

// CVE-2019-5736: while the runtime executes in a container what leads back to its own program, a
// process inside waits for a moment to overwrite it.
func TestInitIsNotOverwritten(t *testing.T) {
	a := newArena(t)
	a.Layer(t, "evil", func(dir string) error {
		err := os.WriteFile(dir+"/evil", []byte("#!/proc/self/exe\n"), 0o755)
		for name, to := range map[string]string{"/self": "/proc/self/exe", "/one": "/proc/1/exe"} {
			if err == nil {
				err = os.Symlink(to, dir+name)
			}
		}
		return err
	})
	asBoth(t, "exec", func(t *testing.T, root bool) {
		a := a.in(t)
		s := attacker(root, "evil")
		s.Command = []string{"/attack", "programs"}
		i, err := a.Start(context.Background(), s)
		sandbox.Check(t, err)
		for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			for _, path := range []string{"/evil", "/self", "/one"} {
				var out bytes.Buffer
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				_, _ = a.Exec(ctx, i.ID, []string{path}, &out)
				cancel()
			}
		}
		ended := a.ends(i.ID)
		if ended.Exit.Code != 0 {
			t.Errorf("the attack ended with %+v: %s", *ended.Exit, a.lastLine(i.ID))
		}
		sandbox.Check(t, a.Stop(context.Background(), i.ID, 0))
	})
	for _, path := range []string{"/evil", "/self", "/one"} {
		asBoth(t, "start"+path, func(t *testing.T, root bool) {
			s := attacker(root, "evil")
			s.Command = []string{path, "programs"}
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			out := &sandbox.Buffer{}
			exit, err := a.Run(ctx, platform.JobSpec{InstanceSpec: s}, nil, out, out)
			if ctx.Err() != nil { // the init's program may run as the app: it can do nothing then
				t.Errorf("it ended with %+v, %v: %s", exit, err, out)
			}
		})
	}
}

// ends waits for an instance's end.
func (a *arena) ends(id platform.InstanceID) platform.Instance {
	a.t.Helper()
	timeout := time.After(sandbox.Patience)
	for {
		select {
		case i := <-a.Exits():
			if i.ID == id {
				return i
			}
		case <-timeout:
			a.t.Fatalf("%s did not end", id)
		}
	}
}

func (a *arena) lastLine(id platform.InstanceID) (line string) {
	_ = a.Logs(context.Background(), platform.LogQuery{App: "app0", ID: id, Lines: 1}, func(l platform.LogLine) error {
		line = l.Text
		return nil
	})
	return line
}
