package platform_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"paas/platform"
	"paas/router"
	"paas/store"
)

// host is a second, honest implementation of the Runner: instances are goroutines in this process that
// really listen. Their command line is a little language: "serve", "serve http" (it answers, unless it is paused),
// "exit 3", "exit 3 early" (its end is known before its start is), "deaf", "echo WORD".
type host struct {
	jobs     map[platform.InstanceID]platform.Instance // detached
	jobExits chan platform.Instance
	mu       sync.Mutex
	next     int
	running  map[platform.InstanceID]*process
	thawed   *sync.Cond // on mu: something was resumed or ended
	exits    chan platform.Instance
	ooms     chan platform.OOMKill
	log      []platform.LogLine
	stopped  int
	broken   bool // nothing can be started
	moves    []platform.Move
}

func (h *host) refuse(starts bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = starts
}

// started is how often something was asked to start.
func (h *host) started() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.next
}

type process struct {
	platform.Instance
	line     string
	limits   platform.Limits
	security platform.Security
	kills    int64
	listener net.Listener
}

func newHost() *host {
	h := &host{running: map[platform.InstanceID]*process{}, jobs: map[platform.InstanceID]platform.Instance{}, jobExits: make(chan platform.Instance, 100), exits: make(chan platform.Instance, 100), ooms: make(chan platform.OOMKill)}
	h.thawed = sync.NewCond(&h.mu)
	return h
}

func (h *host) Start(_ context.Context, spec platform.InstanceSpec) (platform.Instance, error) {
	i, err := h.start(spec)
	if err == nil && strings.HasSuffix(spec.Command[len(spec.Command)-1], "early") {
		time.Sleep(50 * time.Millisecond)
	}
	return i, err
}

func (h *host) start(spec platform.InstanceSpec) (platform.Instance, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return platform.Instance{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next++
	if h.broken {
		_ = l.Close()
		return platform.Instance{}, platform.Errorf(platform.Failed, "the host is broken")
	}
	p := &process{line: spec.Command[len(spec.Command)-1], listener: l, limits: spec.Limits, security: spec.Security, Instance: platform.Instance{
		ID: platform.InstanceID(fmt.Sprint("i", h.next)), App: spec.App, Release: spec.Release, Epoch: spec.Epoch,
		Type: spec.Type, Number: spec.Number, StartedAt: time.Now(), Addr: netip.MustParseAddrPort(l.Addr().String()),
	}}
	h.running[p.ID] = p
	h.log = append(h.log, platform.LogLine{App: spec.App, Text: "I am " + string(p.ID)})
	if !strings.HasPrefix(p.line, "serve") {
		_ = l.Close()
	}
	if p.line == "serve http" {
		go func() { _ = http.Serve(l, h.answering(p)) }() //nolint:gosec // a test's
	}
	var code int
	if n, _ := fmt.Sscanf(p.line, "exit %d", &code); n == 1 {
		go h.end(p.ID, code)
	}
	return p.Instance, nil
}

// end lets an instance end by itself.
func (h *host) end(id platform.InstanceID, code int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.running[id]
	_ = p.listener.Close()
	p.Exit = &platform.Exit{Code: code, At: time.Now()}
	h.exits <- p.Instance
}

func (h *host) Stop(_ context.Context, id platform.InstanceID, _ time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.jobs, id)
	if p := h.running[id]; p != nil {
		_ = p.listener.Close()
		delete(h.running, id)
		h.thawed.Broadcast()
		h.stopped++
	}
	return nil
}

func (h *host) Instances(context.Context) (list []platform.Instance, _ error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.running {
		list = append(list, p.Instance)
	}
	slices.SortFunc(list, func(a, b platform.Instance) int { return a.StartedAt.Compare(b.StartedAt) })
	return list, nil
}

func (h *host) Keep(_ context.Context, id platform.InstanceID) error {
	return h.change(id, func(p *process) { p.Paused, p.Kept = true, time.Now() })
}

func (h *host) Recall(_ context.Context, id platform.InstanceID, release int) error {
	return h.change(id, func(p *process) { p.Paused, p.Kept, p.Release = false, time.Time{}, release })
}

func (h *host) change(id platform.InstanceID, f func(*process)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.running[id]
	if p == nil || p.Exit != nil {
		return platform.Errorf(platform.NotFound, "no instance %s", id)
	}
	f(p)
	h.thawed.Broadcast()
	return nil
}

func (h *host) Exits() <-chan platform.Instance                         { return h.exits }
func (h *host) Listening(platform.InstanceID) ([]netip.AddrPort, error) { return nil, nil }
func (h *host) Forget(context.Context, platform.AppName) error          { return nil }
func (h *host) Exec(context.Context, platform.InstanceID, []string, io.Writer) (platform.Exit, error) {
	return platform.Exit{}, nil
}

func (h *host) Run(_ context.Context, job platform.JobSpec, _ io.Reader, out, _ io.Writer) (e platform.Exit, _ error) {
	line := job.Command[len(job.Command)-1]
	if word, ok := strings.CutPrefix(line, "echo "); ok {
		_, err := fmt.Fprintln(out, word)
		return e, err
	}
	_, _ = fmt.Sscanf(line, "exit %d", &e.Code)
	return e, nil
}

func (h *host) Logs(_ context.Context, q platform.LogQuery, yield func(platform.LogLine) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.log {
		if l.App == q.App && (q.ID == "" || strings.HasSuffix(l.Text, " "+string(q.ID))) {
			if err := yield(l); err != nil {
				return err
			}
		}
	}
	return nil
}

// answering tells who answers, when it is not paused.
func (h *host) answering(p *process) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		h.mu.Lock()
		for p.Paused {
			h.thawed.Wait()
		}
		h.mu.Unlock()
		_, _ = io.WriteString(w, string(p.ID))
	}
}

// table is a Router without the traffic.
type table struct {
	mu       sync.Mutex
	routes   map[platform.AppName]platform.Route
	last     time.Time
	inflight int
	intake   platform.Intake
}

func (r *table) Idle(platform.AppName) (time.Time, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last, r.inflight
}

func (r *table) route(app platform.AppName) platform.Route {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.routes[app]
}

func (r *table) Swap(route platform.Route) func(context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.routes[route.App] = route
	return func(context.Context) {}
}

func (r *table) Remove(app platform.AppName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.routes, app)
}

func (r *table) Stats(platform.AppName) platform.RequestStats { return platform.RequestStats{} }
func (r *table) Configure(in platform.Intake) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.intake = in
}

func (r *table) backends(app platform.AppName) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.routes[app].Backends)
}

// procfiles is a Builder whose images do what the tree's Procfile says, or fail on "broken".
type procfiles struct{}

func (procfiles) Build(_ context.Context, req platform.BuildRequest) (platform.Image, error) {
	text := req.Source.(procfile)
	if text == "broken" {
		return platform.Image{}, platform.Errorf(platform.Failed, "build failed: npm ci exited with 1")
	}
	image := platform.Image{ID: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))), Shell: []string{"sh", "-c"}, Processes: map[platform.ProcessType]string{}}
	for line := range strings.SplitSeq(string(text), "\n") {
		typ, command, _ := strings.Cut(line, ": ")
		if typ == "image" { // what an app.json would make of it, as an Image's JSON
			if err := json.Unmarshal([]byte(command), &image); err != nil {
				return image, err
			}
			continue
		}
		if policy, ok := strings.CutPrefix(typ, "cron-"); ok { // cron-forbid: * * * * * | work
			schedule, command, _ := strings.Cut(command, " | ")
			image.Cron = append(image.Cron, platform.CronJob{
				ID: platform.CronID(schedule, command), Schedule: schedule, Command: command, Concurrency: platform.CronConcurrency(strings.TrimPrefix(policy, "allow")),
			})
			continue
		}
		image.Processes[platform.ProcessType(typ)] = command
	}
	if image.Declared == nil {
		image.Declared = map[string]platform.EnvVar{"KEY": {Generator: "secret"}}
	}
	return image, nil
}

type procfile string

func (p procfile) ID() string                       { return fmt.Sprintf("%x", sha256.Sum256([]byte(p))) }
func (procfile) Files() ([]platform.File, error)    { return nil, nil }
func (procfile) Open(string) (io.ReadCloser, error) { return nil, errors.ErrUnsupported }

type nowhere struct{}

func (nowhere) Remove(platform.App) error                                        { return nil }
func (nowhere) Rename(context.Context, platform.AppName, platform.AppName) error { return nil }
func (nowhere) Copy(context.Context, platform.App, platform.App) error           { return nil }
func (h *host) Rename(_ context.Context, from, to platform.AppName) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.moves = append(h.moves, platform.Move{From: from, To: to})
	return nil
}

// world is a platform with everything around it.
type world struct {
	*platform.Platform
	t     *testing.T
	host  *host
	table *table
	web   *router.Router // if it is to be a real one, in the place of the table
	door  net.Listener   // its
	bell  *bell
	gauge *gauge
	clock func() time.Time // nil: the real one
	path  string
	call  platform.Call
	err   bytes.Buffer

	volumes platform.Volumes // nil: there are none
}

func newWorld(t *testing.T) *world { return newWorldAt(t, nil) }

func newWorldAt(t *testing.T, clock func() time.Time) *world {
	t.Helper()
	w := &world{t: t, clock: clock, host: newHost(), path: filepath.Join(t.TempDir(), "paas.db"), bell: newBell(), gauge: &gauge{}}
	w.call = platform.Call{Actor: platform.Actor{Name: "alice", Admin: true}, Out: io.Discard, Err: &w.err}
	w.boot()
	return w
}

// boot starts a platform over the world's host and database, as a daemon does after its predecessor.
func (w *world) boot() {
	w.t.Helper()
	s, err := store.Open(context.Background(), w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	w.table = &table{routes: map[platform.AppName]platform.Route{}}
	var p *platform.Platform
	var routes platform.Router = w.table
	if w.web != nil {
		w.web = router.New(router.Options{Wake: func(app platform.AppName) { p.WakeSoon(app) }})
		routes = w.web
	}
	p = platform.New(platform.Rooms{
		Store: s, Builder: procfiles{}, Runner: w.host, Router: routes, Sources: nowhere{}, Walls: w.bell, Gauge: w.gauge, Volumes: w.volumes,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: w.clock,
	}, platform.Settings{Domain: "example.com", StartWait: 300 * time.Millisecond, Drain: time.Second, Grace: time.Second})
	w.Platform = p
	if err := w.Boot(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { p.Close(); _ = s.Close() })
	if w.web != nil {
		w.serve(w.web)
	}
}

// serve opens the router's door until the test ends.
func (w *world) serve(web *router.Router) {
	w.t.Helper()
	var err error
	if w.door, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		w.t.Fatal(err)
	}
	door, done := w.door, make(chan struct{})
	go func() { _ = web.Serve(door); close(done) }()
	w.t.Cleanup(func() {
		at, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = web.Shutdown(at)
		<-done
	})
}

// push pushes a Procfile and returns what the pusher saw.
func (w *world) push(text string) (string, error) {
	w.t.Helper()
	return w.pushApp("blog", text)
}

// pushTo pushes to an app other than the blog.
func (w *world) pushTo(app, text string) {
	w.t.Helper()
	if out, err := w.pushApp(app, text); err != nil {
		w.t.Fatalf("push: %v\n%s", err, out)
	}
}

func (w *world) pushApp(name, text string) (string, error) {
	w.t.Helper()
	app, _, err := w.OpenPush(context.Background(), w.call.Actor, name)
	if err != nil {
		w.t.Fatal(err)
	}
	var out bytes.Buffer
	_, err = w.Push(context.Background(), platform.Push{
		Actor: w.call.Actor, App: app, Branch: "main", Commit: "c0ffee00", Source: procfile(text), Out: &out,
	})
	return out.String(), err
}

// mustPush pushes and fails the test if that fails.
func (w *world) mustPush(text string) string {
	w.t.Helper()
	out, err := w.push(text)
	if err != nil {
		w.t.Fatalf("push: %v\n%s", err, out)
	}
	return out
}

// eventually waits for what happens in the background.
func (w *world) eventually(what string, cond func() bool) {
	w.t.Helper()
	for range 6000 {
		if cond() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	w.t.Fatalf("never: %s", what)
}

// running is how many instances run, of which release.
func (w *world) running(release int) (n int) {
	list, _ := w.host.Instances(context.Background())
	for _, i := range list {
		if i.Exit == nil && i.Kept.IsZero() && i.Release == release {
			n++
		}
	}
	return n
}
