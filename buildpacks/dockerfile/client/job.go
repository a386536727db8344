package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"paas/buildpacks/dockerfile/wire"
	"paas/platform"
)

// Request is one build.
type Request struct {
	App        platform.App
	Story      *platform.Story
	Tree       platform.Tree
	Files      []platform.File // of the tree, in path order
	Dockerfile []byte
	Name       string // of the Dockerfile
	Ignore     []byte // .dockerignore
	Target     string
	Args       map[string]string        // build arguments
	Secrets    map[string]string        // by id
	Keys       map[string][]byte        // SSH keys in PEM, by id
	Bounds     platform.BuildLimits     // of each step
	Report     func(platform.BuildStep) // if not nil, is told every instruction
	Salt       []byte                   // of digests, which may be those of secrets
	Team       string                   // RUNs are shared within it
	Alone      bool                     // and not even there
}

// job is a build that is under way.
type job struct {
	Request
	id     string
	teller *teller
	files  map[string]platform.File

	mu   sync.Mutex
	exit platform.Exit // of the last step that did not end well
	full error         // the disk was full
}

func (c *Client) begin(r Request) *job {
	j := &job{Request: r, id: rand.Text(), files: map[string]platform.File{}}
	j.teller = newTeller(r.Story, (&record{Request: r, costs: &c.costs, seen: map[string]int{}}).add)
	for _, f := range r.Files {
		j.files[f.Path] = f
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs[j.id] = j
	return j
}

func (c *Client) end(j *job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.jobs, j.id)
}

func (j *job) message() wire.Build {
	return wire.Build{
		ID: j.id, App: j.App.ID, Dockerfile: j.Dockerfile, Name: j.Name, Ignore: j.Ignore, Target: j.Target,
		Args: j.Args, Secrets: j.Secrets, Keys: j.Keys, Files: j.Request.Files, Salt: j.Salt, Team: j.Team, Alone: j.Alone,
	}
}

func (c *Client) job(id string) (*job, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if j := c.jobs[id]; j != nil {
		return j, nil
	}
	return nil, platform.Errorf(platform.Interrupted, "the build has ended")
}

// handler is what the builder may ask for.
func (c *Client) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(wire.PathStep, c.serveStep)
	mux.HandleFunc(wire.PathFiles, func(w http.ResponseWriter, r *http.Request) {
		var req wire.Files
		err := decode(r, &req)
		if err == nil {
			err = c.writeFiles(r.Context(), req)
		}
		wire.Write(w, nil, err)
	})
	mux.HandleFunc(wire.PathBase, func(w http.ResponseWriter, r *http.Request) {
		var req wire.BaseRef
		var base wire.Base
		err := decode(r, &req)
		if err == nil {
			base, err = c.base(r.Context(), req)
		}
		wire.Write(w, base, err)
	})
	return mux
}

// decode reads the request to its end: only then does the server notice when who asked goes away.
func decode(r *http.Request, v any) error {
	err := json.NewDecoder(r.Body).Decode(v)
	_, _ = io.Copy(io.Discard, r.Body)
	return err
}

func (c *Client) writeFiles(ctx context.Context, req wire.Files) error {
	j, err := c.job(req.Build)
	if err != nil {
		return err
	}
	files := make([]platform.File, 0, len(req.Paths))
	for _, p := range req.Paths {
		f, ok := j.files[p]
		if !ok {
			return fmt.Errorf("the source has no %q", p)
		}
		files = append(files, f)
	}
	return c.Write(ctx, req.Dir, j.Tree, files)
}

func (c *Client) base(ctx context.Context, req wire.BaseRef) (wire.Base, error) {
	j, err := c.job(req.Build)
	if err != nil {
		return wire.Base{}, err
	}
	return c.Base(ctx, req.Name, j.Story)
}

// serveStep runs a step, sending its output as it comes. When the builder goes away the step is killed.
func (c *Client) serveStep(w http.ResponseWriter, r *http.Request) {
	var req wire.Step
	out := &stepEvents{enc: json.NewEncoder(w), flush: w.(http.Flusher).Flush}
	err := decode(r, &req)
	if err != nil {
		out.send(wire.StepEvent{Failed: wire.Fail(err)})
		return
	}
	j, err := c.job(req.Build)
	if err != nil {
		out.send(wire.StepEvent{Failed: wire.Fail(err)})
		return
	}
	w.WriteHeader(http.StatusOK)
	out.flush()
	exit, err := c.step(r.Context(), j, req.Spec, out)
	if err != nil {
		out.send(wire.StepEvent{Failed: wire.Fail(err)})
		return
	}
	out.send(wire.StepEvent{Exit: &exit})
}

// roomEvery is how often a running step is checked for having filled the disk.
const roomEvery = 500 * time.Millisecond

func (c *Client) step(ctx context.Context, j *job, spec platform.StepSpec, out io.Writer) (platform.Exit, error) {
	if err := j.Story.Admit(ctx); err != nil {
		return platform.Exit{}, err
	}
	spec.AppID, spec.App, spec.Limits, spec.Silence = j.App.ID, j.App.Name, j.Bounds.Limits, j.Bounds.Silence
	c.Surround(&spec)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go c.watchRoom(ctx, cancel)
	exit, err := c.Executor.Step(ctx, spec, out)
	j.mu.Lock()
	defer j.mu.Unlock()
	var full *platform.Error
	if cause := context.Cause(ctx); err != nil && errors.As(cause, &full) {
		j.full = full
		return exit, full
	}
	if err == nil && exit.Code != 0 {
		j.exit = exit
	}
	if err == nil && exit.Code == 0 && exit.OOM {
		j.Story.Warn("A process of this step was killed: out of memory (limit %d MiB).", spec.Limits.Memory>>20)
	}
	return exit, err
}

// watchRoom ends a step that takes the disk's reserve.
func (c *Client) watchRoom(ctx context.Context, end context.CancelCauseFunc) {
	tick := time.NewTicker(roomEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := c.Images.Room(); err != nil {
			end(err)
			return
		}
	}
}

// stepEvents sends output as events.
type stepEvents struct {
	enc   *json.Encoder
	flush func()
	sent  int
}

// longestOutput is how much of a step's output is told, in bytes. The step goes on.
const longestOutput = 4 << 20

func (s *stepEvents) send(e wire.StepEvent) {
	_ = s.enc.Encode(e) // the builder may be gone; then the request's context ends
	s.flush()
}

// Write implements io.Writer.
func (s *stepEvents) Write(p []byte) (int, error) {
	told := p[:min(len(p), max(longestOutput-s.sent, 0))]
	clipped := len(told) < len(p) && s.sent <= longestOutput
	s.sent += len(p)
	if clipped {
		told = append(slices.Clone(told), fmt.Sprintf("\n(clipped: the output is longer than %d MiB)\n", longestOutput>>20)...)
	}
	if len(told) == 0 {
		return len(p), nil
	}
	if err := s.enc.Encode(wire.StepEvent{Out: told}); err != nil {
		return 0, err
	}
	s.flush()
	return len(p), nil
}

// Failure is an instruction that did not end well.
type Failure struct {
	Name string // the instruction
	Line int    // of the Dockerfile; 0: not known
	Exit platform.Exit
}

func (f *Failure) Error() string { return fmt.Sprintf("%s: %s", f.Name, f.Exit) }

// failure is what the builder's report means to the pusher: a *Failure for a RUN that ended with a status, a
// *platform.Error for everything else that has a sentence.
func (j *job) failure(ctx context.Context, f *wire.Failed) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case j.full != nil:
		return j.full
	case f.Human != nil:
		return f.Err()
	case f.Vertex != "" && j.exit.Code != 0:
		return &Failure{Name: instruction(f.Vertex), Line: f.Line, Exit: j.exit}
	}
	return j.sentence(f)
}

// sentence makes one of what BuildKit says, which is written for people who know it.
func (j *job) sentence(f *wire.Failed) error {
	text := strings.TrimSpace(f.Message)
	for _, noise := range []string{"failed to solve: ", "failed to compute cache key: ", "dockerfile parse error "} {
		if i := strings.Index(text, noise); i >= 0 {
			text = text[i+len(noise):]
		}
	}
	for _, p := range []struct{ part, says, hint string }{
		{"network.host is not allowed", "RUN --network=host is not possible here: no build step sees the host's network", "remove --network=host: the step has a network of its own"},
		{"security.insecure is not allowed", "RUN --security=insecure is not possible here: no build step gets the host's rights", "remove --security=insecure"},
		{"device", "", ""},
	} {
		if p.says != "" && strings.Contains(text, p.part) {
			return platform.Errorf(platform.Denied, "%s", p.says).WithHint("%s", p.hint)
		}
	}
	where := j.Name
	if f.Line > 0 {
		where = fmt.Sprintf("%s line %d", j.Name, f.Line)
	}
	if f.Vertex != "" {
		text, hint := lacking(j.App.Name, instruction(f.Vertex), text)
		return platform.Errorf(platform.Failed, "build failed at %s, `%s`: %s", where, instruction(f.Vertex), text).WithHint("%s", hint)
	}
	return platform.Errorf(platform.Failed, "build failed at %s: %s", where, text).WithHint("correct the %s and push again", j.Name)
}

// instruction is a step's name without its place: "[build 2/4] RUN make" is "RUN make".
func instruction(name string) string {
	if _, rest, ok := strings.Cut(name, "] "); ok && strings.HasPrefix(name, "[") {
		return rest
	}
	return name
}
