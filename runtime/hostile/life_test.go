package hostile_test

import (
	"context"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/runtimetest"
	"paas/runtime/runtimetest/sandbox"
)

// What a container does to itself, its init included, ends at its own walls: it can be stopped, its end
// is told, and nothing of it is left.
func TestHarmToOneself(t *testing.T) {
	a := newArena(t)
	for name, script := range map[string]string{
		"kill everything":       `kill -KILL -1`,
		"kill init":             `kill -KILL 1; kill -SEGV 1; kill -ABRT 1; sleep 100`,
		"stop init":             `kill -STOP 1; kill -TSTP 1; sleep 100`,
		"stop everything":       `kill -STOP -1; kill -STOP $$; sleep 100`,
		"starve init of files":  `/attack limit-init 3; sleep 100`,
		"ignore every signal":   `trap '' TERM INT HUP QUIT USR1 USR2; while :; do sleep 1; done`,
		"offer init to the OOM": `echo 1000 >/proc/1/oom_score_adj; /attack memory; sleep 100`,
		"leave orphans behind":  `for i in 1 2 3 4 5 6 7 8; do (setsid sleep 1000 &) ; done; sleep 0.2`,
		"close its streams":     `exec <&- >&- 2>&-; sleep 100`,
		"fill with zombies":     `/attack zombies; sleep 100`,
		"flood init by signals": `/attack signals`,
	} {
		asBoth(t, name, func(t *testing.T, root bool) {
			a := a.in(t)
			s := attacker(root)
			s.Command, s.Limits = runtimetest.Shell(script), platform.Limits{Memory: 64 * mebibyte, Processes: 64}
			i, err := a.Start(context.Background(), s)
			sandbox.Check(t, err)
			time.Sleep(200 * time.Millisecond)
			began := time.Now()
			sandbox.Check(t, a.Stop(context.Background(), i.ID, 200*time.Millisecond))
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("stopping it took %s", took)
			}
			if _, err := a.probe(); err != nil {
				t.Errorf("the neighbour does not answer any more: %v", err)
			}
			a.drainExits()
		})
	}
}

// drainExits forgets ends that were told before Stop.
func (a *arena) drainExits() {
	for {
		select {
		case <-a.Exits():
		case <-time.After(10 * time.Millisecond):
			return
		}
	}
}

// When the kernel is led to take the init, or takes a process after all, for want of memory, then that is
// what is told.
func TestInitOutOfMemory(t *testing.T) {
	a := newArena(t)
	s := attacker(true)
	s.Limits = platform.Limits{Memory: 32 * mebibyte}
	s.Command = runtimetest.Shell(`
		echo 1000 >/proc/1/oom_score_adj; echo 0 >/proc/$$/oom_score_adj
		cat /dev/zero >/dev/shm/x; exit 9`)
	i, err := a.Start(context.Background(), s)
	sandbox.Check(t, err)
	ended := a.ends(i.ID)
	if !ended.Exit.OOM || (ended.Exit.Code != 137 && ended.Exit.Code != 9) {
		t.Errorf("it ended with %+v", *ended.Exit)
	}
	sandbox.Check(t, a.Stop(context.Background(), i.ID, 0))
}
