package hostile_test

import (
	"bytes"
	"context"
	"testing"

	"paas/platform"
	"paas/runtime/runtimetest"
	"paas/runtime/runtimetest/program"
	"paas/runtime/runtimetest/sandbox"
)

const initProgram = program.Init

// walls are attacks that must achieve nothing at all, with the words they need.
func (a *arena) walls() map[string][]string {
	return map[string][]string{
		"doors": {a.secret}, "descriptors": nil, "proc-write": nil, "sys-write": nil, "proc-write-self": nil, "proc-read": nil,
		"devices": nil, "mounts": nil, "cgroups": nil, "namespaces": nil, "chroot": {a.secret}, "handles": {a.secret}, "kernel": nil,
		"keys": nil, "entries": nil, "sockets": nil, "netlink": nil, "init": nil, "rights": nil, "identity": nil, "limits": nil, "quota": nil,
	}
}

// way runs the attack program in one of the ways that processes come into containers, and gives what it printed.
type way func(a *arena, root bool, argv []string) string

func ways() map[string]way {
	return map[string]way{
		"job":      (*arena).asJob,
		"terminal": (*arena).onTerminal,
		"exec":     (*arena).byExec,
		"step":     (*arena).asStep,
	}
}

func (a *arena) asJob(root bool, argv []string) string {
	s := attacker(root, "rights", "nodes")
	s.Command = argv
	_, stdout, _ := a.Job(a.t, s)
	return stdout
}

func (a *arena) onTerminal(root bool, argv []string) string {
	s := attacker(root, "rights", "nodes")
	s.Command = argv
	var out sandbox.Buffer
	job := platform.JobSpec{InstanceSpec: s, Terminal: &platform.Terminal{Cols: 80, Rows: 24}}
	_, err := a.Run(context.Background(), job, nil, &out, nil)
	sandbox.Check(a.t, err)
	return out.String()
}

func (a *arena) byExec(root bool, argv []string) string {
	s := attacker(root, "rights", "nodes")
	s.Command = runtimetest.Shell("exec sleep 1000")
	i, err := a.Start(context.Background(), s)
	sandbox.Check(a.t, err)
	defer func() { sandbox.Check(a.t, a.Stop(context.Background(), i.ID, 0)) }()
	var out bytes.Buffer
	_, err = a.Exec(context.Background(), i.ID, argv, &out)
	sandbox.Check(a.t, err)
	return out.String()
}

func (a *arena) asStep(root bool, argv []string) string {
	s := attacker(root, "rights", "nodes")
	var out bytes.Buffer
	_, err := a.Step(context.Background(), platform.StepSpec{
		AppID: s.AppID, App: s.App, Name: "attack", Layers: s.Image.Layers, Upper: upper(a.t), Argv: argv, Dir: "/app",
		UID: s.Image.UID, GID: s.Image.GID,
	}, &out)
	sandbox.Check(a.t, err)
	return out.String()
}

func TestWalls(t *testing.T) {
	a := newArena(t)
	a.Layer(t, "rights", rightsLayer)
	a.Layer(t, "nodes", nodesLayer)
	for how, run := range ways() {
		for name, words := range a.walls() {
			asBoth(t, how+"/"+name, func(t *testing.T, root bool) {
				a := a.in(t)
				out := run(a, root, append([]string{"/attack", name}, words...))
				r, err := parse(out)
				if err != nil || r.Tried == 0 {
					t.Fatalf("it tried nothing: %v\n%s", err, out)
				}
				for _, what := range r.Achieved {
					t.Errorf("it could %s", what)
				}
			})
		}
		if _, err := a.probe(); err != nil {
			t.Errorf("the neighbour does not answer any more: %v", err)
		}
	}
}

// in gives the arena to a subtest.
func (a *arena) in(t *testing.T) *arena {
	inner := *a
	inner.t = t
	return &inner
}
