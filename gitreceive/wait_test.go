package gitreceive

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"

	"paas/platform"
)

// transcript collects what a command says while it runs.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// within waits until ok is true.
func within(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// slow makes builds wait, and returns the channels that say how.
func (m *memory) slow() (started chan string, hold chan struct{}, ended chan error) {
	started, hold, ended = make(chan string, 8), make(chan struct{}), make(chan error, 8)
	m.set(func(m *memory) { m.started, m.hold, m.ended = started, hold, ended })
	return started, hold, ended
}

func TestSecondPushWaitsAndKnowsForWhom(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	started, hold, _ := d.platform.slow()
	w := d.work("hello")
	w.commit(map[string]string{"a": "1"})
	bob := d.workAs(d.addKey("bob", true), "hello")
	bob.git("fetch", "-q", w.dir, "main")
	bob.git("reset", "-q", "--hard", "FETCH_HEAD")
	bob.commit(map[string]string{"b": "1"})

	var first, second transcript
	one, two := w.command("push", "paas", "main"), bob.command("push", "paas", "main")
	one.Stdout, one.Stderr, two.Stdout, two.Stderr = &first, &first, &second, &second
	must(t, one.Start())
	<-started
	must(t, two.Start())
	within(t, 10*time.Second, "bob is told", func() bool {
		return strings.Contains(second.String(), "remote: -----> Waiting for alice's push to finish")
	})
	if len(started) != 0 {
		t.Error("both build at once")
	}
	close(hold)
	must(t, one.Wait())
	if err := two.Wait(); err != nil { // what he pushes has alice's commit in it
		t.Errorf("bob: %v\n%s", err, second.String())
	}
	w.sound("hello")
}

func TestPushThatWouldUndoAnother(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	w := d.work("hello")
	w.commit(map[string]string{"a": "0"})
	w.git("push", "paas", "main")
	started, hold, _ := d.platform.slow()
	bob := d.workAs(d.addKey("bob", true), "hello")
	bob.git("fetch", "-q", w.dir, "main")
	bob.git("reset", "-q", "--hard", "FETCH_HEAD")
	tip := w.commit(map[string]string{"a": "1"})
	bob.commit(map[string]string{"b": "1"})

	one, two := w.command("push", "paas", "main"), bob.command("push", "paas", "main")
	var second transcript
	two.Stdout, two.Stderr = &second, &second
	must(t, one.Start())
	<-started
	must(t, two.Start())
	within(t, 10*time.Second, "bob waits", func() bool { return strings.Contains(second.String(), "Waiting") })
	close(hold)
	must(t, one.Wait())
	if two.Wait() == nil {
		t.Error("bob's push went well")
	}
	has(t, second.String(), "(fetch first)", "somebody else pushed main meanwhile")
	if got := w.bare("hello").git("rev-parse", "main"); got != tip {
		t.Errorf("main is %s, want %s", got, tip)
	}
}

func TestInterruptedPushChangesNothing(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	w := d.work("hello")
	first := w.commit(map[string]string{"a": "1"})
	w.git("push", "paas", "main")
	before := w.bare("hello").git("count-objects", "-v")
	started, _, ended := d.platform.slow()
	w.commit(map[string]string{"a": "2"})
	cmd := w.command("push", "paas", "main")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C goes to git and ssh alike
	must(t, cmd.Start())
	<-started
	pressed := time.Now()
	must(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGINT))
	if err := <-ended; err == nil {
		t.Error("the build was not cancelled")
	}
	if took := time.Since(pressed); took > time.Second {
		t.Errorf("cancelled after %v", took)
	}
	_ = cmd.Wait()
	within(t, 5*time.Second, "the quarantine goes", func() bool {
		left, err := os.ReadDir(d.repos.incoming())
		return err == nil && len(left) == 0
	})
	if got := w.bare("hello").git("rev-parse", "main"); got != first {
		t.Errorf("main moved to %s", got)
	}
	if after := w.bare("hello").git("count-objects", "-v"); after != before {
		t.Errorf("objects before:\n%s\nafter:\n%s", before, after)
	}
	d.platform.set(func(m *memory) { m.hold, m.started, m.ended = nil, nil, nil })
	w.git("push", "paas", "main")
}

func TestPushCompletesWhenThePusherGoesAfterTheSwap(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	w := d.work("hello")
	id := w.commit(map[string]string{"a": "1"})
	cmd := w.command("push", "paas", "main")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	built, killed := make(chan struct{}), make(chan struct{})
	d.platform.set(func(m *memory) {
		m.after = func() {
			close(built)
			<-killed
		}
	})
	must(t, cmd.Start())
	<-built
	must(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL))
	_ = cmd.Wait()
	time.Sleep(300 * time.Millisecond) // so that the door knows
	close(killed)
	within(t, 5*time.Second, "main moves", func() bool {
		out, ok := w.bare("hello").try("rev-parse", "main")
		return ok && strings.TrimSpace(out) == id
	})
	within(t, 5*time.Second, "main deploys", func() bool { return d.platform.app("hello").DeployBranch == "main" })
}

// TestCutPushLeavesNothing speaks the protocol itself and stops in the middle of the pack.
func TestCutPushLeavesNothing(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	w := d.work("hello")
	id := w.commit(map[string]string{"a": strings.Repeat("many bytes", 1000)})
	list := w.command("pack-objects", "--stdout", "--revs", "-q")
	list.Stdin = strings.NewReader("main\n")
	packed, err := list.Output()
	must(t, err)
	for _, cut := range []int{0, 5, 12, 20, len(packed) / 2, len(packed) - 1} {
		cmd := d.ssh(d.key, "git-receive-pack 'hello'")
		in, err := cmd.StdinPipe()
		must(t, err)
		must(t, cmd.Start())
		e := pktline.NewEncoder(in)
		must(t, e.Encodef("%040d %s refs/heads/main\x00 report-status side-band-64k", 0, id))
		must(t, e.Flush())
		_, err = in.Write(packed[:cut])
		must(t, err)
		must(t, in.Close())
		_ = cmd.Wait()
	}
	if n := d.platform.deploys(); n != 0 {
		t.Errorf("%d deploys", n)
	}
	d.empty()
	if got := w.bare("hello").git("count-objects", "-v"); !strings.Contains(got, "in-pack: 0") {
		t.Errorf("objects stayed: %s", got)
	}
	w.git("push", "paas", "main")
}

// TestOldClient speaks the protocol itself, without side-band, and with the small one.
func TestOldClient(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	w := d.work("hello")
	id := w.commit(map[string]string{"a": "1"})
	list := w.command("pack-objects", "--stdout", "--revs", "-q")
	list.Stdin = strings.NewReader("main\n")
	packed, err := list.Output()
	must(t, err)
	for able, want := range map[string]string{
		"report-status":           "000eunpack ok\n0017ok refs/heads/main\n0000",
		"report-status side-band": "\x01000eunpack ok\n0017ok refs/heads/main\n00000000",
		"":                        "",
	} {
		cmd := d.ssh(d.key, "git-receive-pack hello"+map[bool]string{true: "0"}[able == ""])
		var in bytes.Buffer
		e := pktline.NewEncoder(&in)
		must(t, e.Encodef("%040d %s refs/heads/main\x00 %s", 0, id, able))
		must(t, e.Flush())
		in.Write(packed)
		cmd.Stdin = &in
		out, err := cmd.Output()
		must(t, err)
		if !strings.HasSuffix(string(out), want) {
			t.Errorf("%q: %q", able, out)
		}
		d.platform.set(func(m *memory) { delete(m.apps, "hello") })
		must(t, d.repos.Remove(platform.App{ID: 1}))
	}
}

func TestQuarantineOfADeadProcessIsSwept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, err := OpenRepos(dir)
	must(t, err)
	dead, err := r.quarantine()
	must(t, err)
	must(t, dead.lock.Close())
	live, err := r.quarantine()
	must(t, err)
	if _, err := OpenRepos(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead.dir); !os.IsNotExist(err) {
		t.Errorf("the dead one's is there: %v", err)
	}
	if _, err := os.Stat(live.dir); err != nil {
		t.Errorf("the living one's is gone: %v", err)
	}
	live.remove()
}

func TestRemove(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	w := d.work("hello")
	w.commit(map[string]string{"a": "1"})
	w.git("push", "paas", "main")
	app := d.platform.app("hello")
	must(t, d.repos.Remove(app))
	must(t, d.repos.Remove(app))
	if _, err := os.Stat(d.repos.path(app)); !os.IsNotExist(err) {
		t.Errorf("it is there: %v", err)
	}
	d.empty()
}

// TestLinesArriveWhole writes in pieces and checks that every packet ends with a line's end.
func TestLinesArriveWhole(t *testing.T) {
	t.Parallel()
	var out transcript
	s := newScreen(context.Background(), &out, capabilities{"side-band-64k": ""})
	text := strings.Repeat("a line of some words\n", 200) + "progress 1%\rprogress 2%\r" + strings.Repeat("x", 20_000) + "\nthe end"
	for len(text) > 0 {
		n := min(7, len(text))
		_, err := io.WriteString(s, text[:n])
		must(t, err)
		text = text[n:]
	}
	must(t, s.answer([]byte("answer")))
	lines := pktline.NewScanner(strings.NewReader(out.String()))
	var answer string
	for lines.Scan() {
		p := string(lines.Bytes())
		switch {
		case p == "":
		case p[0] == 1:
			answer += p[1:]
		case !strings.HasSuffix(p, "\n") && !strings.HasSuffix(p, "\r"):
			t.Errorf("a packet ends in the middle of a line: %.50q", p)
		}
	}
	must(t, lines.Err())
	if answer != "answer" {
		t.Errorf("the answer is %q", answer)
	}
	if _, err := s.Write([]byte("late")); err == nil {
		t.Error("a late line was taken")
	}
}

func TestSilentBuildSendsKeepalives(t *testing.T) {
	t.Parallel()
	var out transcript
	s := newScreen(context.Background(), &out, capabilities{"side-band-64k": ""})
	within(t, 2*keepAlive, "a packet", func() bool { return strings.Contains(out.String(), "0005\x02") })
	must(t, s.answer(nil))
}

// stuck is a connection whose other end does not read.
type stuck struct{ net.Conn }

func TestScreenOfAPusherWhoIsGone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	near, far := net.Pipe()
	s := newScreen(ctx, stuck{near}, capabilities{"side-band-64k": ""})
	done := make(chan error, 1)
	go func() {
		for {
			if _, err := io.WriteString(s, strings.Repeat("words\n", 1000)); err != nil {
				done <- err
				return
			}
		}
	}()
	cancel()
	if err := <-done; err == nil {
		t.Error("no error")
	}
	must(t, far.Close())
	s.finish()
}

func TestUnreadyPlatformIsAReference(t *testing.T) {
	t.Parallel()
	w := newDoor(t).work("hello")
	w.commit(map[string]string{"a": "1"})
	w.platform.set(func(m *memory) { m.fail = io.ErrUnexpectedEOF })
	out := w.refused("push", "paas", "main")
	has(t, out, "(internal error)", "something went wrong inside paas (reference ")
	lacks(t, out, "unexpected EOF")
}

// Of the pushes that wait the newest stays, and the one before is told who came.
func TestNewerPushSupersedesTheOneThatWaits(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	started, hold, _ := d.platform.slow()
	w := d.work("hello")
	w.commit(map[string]string{"a": "1"})
	var first, second, third transcript
	push := func(name string, log *transcript) func() error {
		who := d.workAs(d.addKey(name, true), "hello")
		who.git("fetch", "-q", w.dir, "main")
		who.git("reset", "-q", "--hard", "FETCH_HEAD")
		who.commit(map[string]string{name: "1"})
		cmd := who.command("push", "paas", "main")
		cmd.Stdout, cmd.Stderr = log, log
		must(t, cmd.Start())
		return cmd.Wait
	}
	one := w.command("push", "paas", "main")
	one.Stdout, one.Stderr = &first, &first
	must(t, one.Start())
	<-started
	two := push("bob", &second)
	within(t, 10*time.Second, "bob waits", func() bool { return strings.Contains(second.String(), "Waiting for alice's push") })
	three := push("carol", &third)
	if err := two(); err == nil {
		t.Errorf("bob's push went on:\n%s", second.String())
	}
	has(t, second.String(), "superseded: carol's push is newer", "! [remote rejected] main -> main (superseded)")
	close(hold)
	must(t, one.Wait())
	if err := three(); err != nil {
		t.Errorf("carol's push: %v\n%s", err, third.String())
	}
	if n := d.platform.deploys(); n != 2 {
		t.Errorf("%d deploys", n)
	}
}
