package platform_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"paas/platform"
)

// Detach runs "exit N" to its end at once, and anything else until somebody ends it.
func (h *host) Detach(_ context.Context, spec platform.InstanceSpec) (platform.Instance, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next++
	if h.broken {
		return platform.Instance{}, platform.Errorf(platform.Failed, "the host is broken")
	}
	i := platform.Instance{
		ID: platform.InstanceID(fmt.Sprint("j", h.next)), App: spec.App, Release: spec.Release, Type: spec.Type, Number: spec.Number,
		StartedAt: time.Now(),
	}
	h.jobs[i.ID] = i
	var code int
	if n, _ := fmt.Sscanf(spec.Command[len(spec.Command)-1], "exit %d", &code); n == 1 {
		go h.endJob(i.ID, code)
	}
	return i, nil
}

func (h *host) endJob(id platform.InstanceID, code int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, ok := h.jobs[id]
	if !ok || i.Exit != nil {
		return
	}
	i.Exit = &platform.Exit{Code: code, At: time.Now()}
	h.jobs[id] = i
	h.jobExits <- i
}

func (h *host) Detached(context.Context) (list []platform.Instance, _ error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, i := range h.jobs {
		list = append(list, i)
	}
	slices.SortFunc(list, func(a, b platform.Instance) int { return a.StartedAt.Compare(b.StartedAt) })
	return list, nil
}

func (h *host) DetachedExits() <-chan platform.Instance { return h.jobExits }

func (h *host) Terminate(_ context.Context, id platform.InstanceID, _ time.Duration) error {
	h.endJob(id, 143)
	return nil
}

// jobsOf lists the names of what runs detached.
func (w *world) jobs() (names []string) {
	list, _ := w.host.Detached(ctx)
	for _, i := range list {
		if i.Exit == nil {
			names = append(names, i.Name())
		}
	}
	return names
}

func (w *world) detach(line string) platform.OneOffView {
	w.t.Helper()
	v, err := w.RunDetached(ctx, w.call, platform.RunInput{App: "blog", Command: []string{line}})
	w.check(err)
	return v
}

// ended waits until a one-off command is written down as ended.
func (w *world) ended(id string) (found platform.OneOffView) {
	w.t.Helper()
	w.eventually(id+" has ended", func() bool {
		list, err := w.ListRuns(ctx, w.call, platform.RunListInput{App: "blog", All: true})
		w.check(err)
		for _, v := range list {
			if v.ID == id && v.EndedAt != nil {
				found = v
			}
		}
		return found.ID != ""
	})
	return found
}

func (w *world) kind(err error, want platform.Kind) {
	w.t.Helper()
	if platform.KindOf(err) != want {
		w.t.Errorf("%v, not kind %d", err, want)
	}
}

func TestDetachedRunKeepsItsExitStatus(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	v := w.detach("exit 3")
	got := w.ended(v.ID)
	if got.Status != platform.OneOffExited || *got.ExitCode != 3 || got.Command != "exit 3" || !got.Detached {
		t.Errorf("%+v", got)
	}
	w.eventually("nothing is left", func() bool { list, _ := w.host.Detached(ctx); return len(list) == 0 })
	if kinds := w.kinds(); !strings.Contains(kinds, "ran") || !strings.Contains(kinds, "run-ended") {
		t.Error(kinds)
	}
	_, err := w.RetireRuns(ctx, w.call, platform.AppInput{App: "blog"})
	w.check(err)
	list, err := w.ListRuns(ctx, w.call, platform.RunListInput{App: "blog", All: true})
	if w.check(err); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

func TestDetachedRunOutlivesTheDaemon(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	goes, ends, lost := w.detach("work"), w.detach("work"), w.detach("work")
	w.Close()
	list, _ := w.host.Detached(ctx)
	w.host.endJob(list[1].ID, 9) // nobody is there
	<-w.host.jobExits            // and whoever was told died of it
	w.check(w.host.Stop(ctx, list[2].ID, 0))
	w.boot()
	if got := w.ended(ends.ID); *got.ExitCode != 9 {
		t.Errorf("%+v", got)
	}
	if got := w.ended(lost.ID); got.Status != platform.OneOffLost || got.ExitCode != nil {
		t.Errorf("%+v", got)
	}
	_, err := w.StopRun(ctx, w.call, platform.RunStopInput{App: "blog", ID: goes.ID})
	w.check(err)
	if got := w.ended(goes.ID); got.Status != platform.OneOffStopped || *got.ExitCode != 143 {
		t.Errorf("%+v", got)
	}
	_, err = w.StopRun(ctx, w.call, platform.RunStopInput{App: "blog", ID: goes.ID})
	w.kind(err, platform.Conflict)
}

func TestRunsAreLimited(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	_, err := w.SetRun(ctx, w.call, platform.RunSetInput{App: "blog", Key: "limit", Value: "2"})
	w.check(err)
	w.detach("work")
	w.detach("work")
	_, err = w.RunDetached(ctx, w.call, platform.RunInput{App: "blog", Command: []string{"work"}})
	w.kind(err, platform.Conflict)
	_, err = w.Run(ctx, w.call, platform.RunInput{App: "blog", Command: []string{"exit 0"}})
	w.kind(err, platform.Conflict)
	_, err = w.StopRun(ctx, w.call, platform.RunStopInput{App: "blog", All: true})
	w.check(err)
	out, err := w.Run(ctx, w.call, platform.RunInput{App: "blog", Command: []string{"exit 7"}})
	if w.check(err); out.Exit != 7 {
		t.Errorf("%+v", out)
	}
	for _, in := range []platform.RunSetInput{{Key: "limit", Value: "0"}, {Key: "limit", Value: "x"}, {Key: "keep", Value: "1s"}, {Key: "nope"}} {
		in.App = "blog"
		_, err := w.SetRun(ctx, w.call, in)
		w.kind(err, platform.Usage)
	}
}

func TestRunInput(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve\nreport: exit 6")
	out, err := w.Run(ctx, w.call, platform.RunInput{App: "blog", Command: []string{"report"}})
	if w.check(err); out.Exit != 6 {
		t.Errorf("a process type's command: %+v", out)
	}
	for _, in := range []platform.RunInput{
		{Timeout: "soon"}, {Timeout: "1ms"}, {Timeout: "1h", TTL: 5}, {Memory: "lots"}, {CPU: "none"}, {Process: "nope"}, {Env: []string{"1=2"}},
	} {
		in.App, in.Command = "blog", []string{"exit 0"}
		_, err := w.Run(ctx, w.call, in)
		w.kind(err, platform.Usage)
	}
	call := w.call
	call.Actor = platform.Actor{Name: "bob"}
	_, err = w.Run(ctx, call, platform.RunInput{App: "blog", Command: []string{"exit 0"}, Size: "standard-2x"})
	w.kind(err, platform.Denied)
	_, err = w.Run(ctx, call, platform.RunInput{App: "blog", Command: []string{"exit 0"}, Size: "64m"})
	w.check(err)
	var id bytes.Buffer
	call.Out = &id
	_, err = w.Run(ctx, call, platform.RunInput{App: "blog", Command: []string{"work"}, Detach: true, Timeout: "1s"})
	w.check(err)
	if got := w.ended(strings.TrimSpace(id.String())); got.Status != platform.OneOffTimedOut || *got.ExitCode != 143 {
		t.Errorf("%+v", got)
	}
}

func TestDestroyEndsOneOffs(t *testing.T) {
	w := newWorld(t)
	w.mustPush("web: serve")
	w.detach("work")
	_, err := w.Destroy(ctx, w.call, platform.DestroyInput{App: "blog", Confirm: "blog"})
	w.check(err)
	if left := w.jobs(); len(left) != 0 {
		t.Error(left)
	}
}
