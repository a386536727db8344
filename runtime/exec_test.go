package runtime

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/runtimetest/sandbox"
)

func TestExec(t *testing.T) {
	b := newBench(t)
	i := b.start("exec sleep 1000")
	for _, c := range []struct {
		script string
		code   int
		want   string
	}{
		{`echo out; echo err >&2; exit 3`, 3, "out\nerr\n"},
		{`echo $GREETING $DYNO; pwd; hostname`, 0, "hi web.1\n/app\nweb-1\n"},
		{`[ -n "$PORT" ] && echo port; wc -c`, 0, "port\n0\n"},
		{`grep -e CapEff -e NoNewPrivs -e Seccomp: -e Uid /proc/self/status`, 0,
			"Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n"},
		{`kill -KILL $$`, 137, ""},
		{`ps -o comm | grep -c sleep`, 0, "1\n"},
		{`cut -d: -f3 /proc/self/cgroup | sort -u`, 0, "/\n"},
		{`head -c 300000 /dev/zero | tr '\0' x | wc -c`, 0, "300000\n"},
	} {
		var out sandbox.Buffer
		exit, err := b.Exec(context.Background(), i.ID, []string{"/bin/sh", "-c", c.script}, &out)
		check(t, err)
		equal(t, c.script, fmt.Sprint(exit.Code, " ", out.String()), fmt.Sprint(c.code, " ", c.want))
	}
}

func TestExecIsInTheCgroup(t *testing.T) {
	b := newBench(t)
	s := spec("exec sleep 1000")
	s.Limits.Memory = 32 << 20
	i, err := b.Start(context.Background(), s)
	check(t, err)
	exit, err := b.Exec(context.Background(), i.ID, []string{"tail", "-c", "300000000", "/dev/zero"}, &sandbox.Buffer{})
	check(t, err)
	equal(t, "code", exit.Code, 137)
}

func TestExecFails(t *testing.T) {
	b := newBench(t)
	i := b.start("exec sleep 1000")
	_, err := b.Exec(context.Background(), i.ID, []string{"nothing-like-it"}, &sandbox.Buffer{})
	if platform.KindOf(err) != platform.Failed || !strings.Contains(err.Error(), "nothing-like-it") {
		t.Errorf("unknown program: %v", err)
	}
	_, err = b.Exec(context.Background(), "hello-nobody", []string{"true"}, &sandbox.Buffer{})
	equal(t, "unknown instance", platform.KindOf(err), platform.NotFound)
	check(t, b.Stop(context.Background(), i.ID, 0))
	_, err = b.Exec(context.Background(), i.ID, []string{"true"}, &sandbox.Buffer{})
	equal(t, "stopped instance", platform.KindOf(err), platform.NotFound)
}

func TestExecIsCancelled(t *testing.T) {
	b := newBench(t)
	i := b.start("exec sleep 1000")
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := b.Exec(ctx, i.ID, []string{"sleep", "999"}, &sandbox.Buffer{})
	equal(t, "error", errors.Is(err, context.DeadlineExceeded), true)
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	eventually(t, "it was killed", func() bool {
		var out sandbox.Buffer
		_, err := b.Exec(context.Background(), i.ID, []string{"ps", "-o", "args"}, &out)
		return err == nil && !strings.Contains(out.String(), "sleep 999")
	})
}

func TestExecWhileTheInstanceEnds(t *testing.T) {
	b := newBench(t)
	i := b.start("sleep 0.3; exit 1")
	_, err := b.Exec(context.Background(), i.ID, []string{"sleep", "1000"}, &sandbox.Buffer{})
	if err != nil && platform.KindOf(err) != platform.Conflict {
		t.Errorf("it said %v", err)
	}
	equal(t, "code", b.ends().Exit.Code, 1)
}

func TestExecLeavesSomethingRunning(t *testing.T) {
	b := newBench(t)
	i := b.start("exec sleep 1000")
	var out sandbox.Buffer
	begin := time.Now()
	exit, err := b.Exec(context.Background(), i.ID, []string{"/bin/sh", "-c", "sleep 900 & echo started"}, &out)
	check(t, err)
	equal(t, "output", fmt.Sprint(exit.Code, out.String()), "0started\n")
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
