package dockerfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	bkexporter "github.com/moby/buildkit/exporter"
	"github.com/moby/buildkit/frontend"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/llbsolver"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"paas/buildpacks/dockerfile/wire"
	"paas/platform"
)

// job is one build.
type job struct {
	builder *builder
	req     wire.Build
	files   []platform.File // of the context, without what is ignored
	places  []int           // of each of these in req.Files
	tell    func(wire.Event)
	names   map[digest.Digest]string
	told    map[digest.Digest]bool // whose beginning was told
	mades   map[digest.Digest]*wire.Made
}

// build runs one build to its end and tells what happens. The last event says how it ended.
func (b *builder) build(ctx context.Context, req wire.Build, tell func(wire.Event)) {
	j := &job{builder: b, req: req, tell: tell, names: map[digest.Digest]string{}, told: map[digest.Digest]bool{}, mades: map[digest.Digest]*wire.Made{}}
	result, err := j.run(ctx)
	if err != nil {
		tell(wire.Event{Failed: j.failed(ctx, err)})
		return
	}
	tell(wire.Event{Result: &result})
}

func (j *job) run(ctx context.Context) (result wire.Result, err error) {
	if j.files, err = wire.Without(j.req.Files, j.req.Ignore); err != nil {
		return result, err
	}
	j.places = placesOf(j.req.Files, j.files)
	end, id, err := j.openSession(ctx)
	if err != nil {
		return result, err
	}
	defer end()
	req, err := j.request(ctx)
	if err != nil {
		return result, err
	}
	out := &export{builder: j.builder}
	var g errgroup.Group
	status := make(chan *client.SolveStatus, 16)
	g.Go(func() error {
		for s := range status {
			j.status(s)
		}
		return nil
	})
	g.Go(func() error { return j.builder.solver.Status(context.WithoutCancel(ctx), j.req.ID, status) })
	_, err = j.builder.solver.Solve(ctx, j.req.ID, id, req, 0,
		llbsolver.ExporterRequest{Exporters: []bkexporter.ExporterInstance{out}}, nil, nil, false, nil, "", false)
	_ = g.Wait() // what could not be told is no failure
	return out.result, err
}

// placesOf are the places in a list of those of it that are left.
func placesOf(all, left []platform.File) []int {
	places := make([]int, 0, len(left))
	for i, f := range all {
		if n := len(places); n < len(left) && left[n].Path == f.Path {
			places = append(places, i)
		}
	}
	return places
}

// openSession makes what BuildKit asks for secrets, and by which everything that is done for the build is
// found to be this build's.
func (j *job) openSession(ctx context.Context) (end func(), id string, err error) {
	s, err := session.NewSession(ctx, "")
	if err != nil {
		return nil, "", err
	}
	secrets := map[string][]byte{}
	for name, value := range j.req.Secrets {
		secrets[name] = []byte(value)
	}
	s.Allow(secretsprovider.FromMap(secrets))
	s.Allow(newAgents(j.req.Keys))
	b := j.builder
	b.mu.Lock()
	b.bySession[s.ID()] = j
	b.mu.Unlock()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx, func(_ context.Context, _ string, meta map[string][]string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() { _ = b.sessions.HandleConn(ctx, theirs, meta) }()
			return ours, nil
		})
	}()
	return func() {
		b.mu.Lock()
		delete(b.bySession, s.ID())
		if len(b.bySession) == 0 {
			b.vertices, b.pins = map[digest.Digest]solver.Vertex{}, map[string]string{}
		}
		b.mu.Unlock()
		_ = s.Close()
		cancel()
		<-ended
	}, s.ID(), nil
}

// request is what the solver is asked for.
func (j *job) request(ctx context.Context) (frontend.SolveRequest, error) {
	opts := map[string]string{
		"filename": "Dockerfile",
		"cmdline":  "", // `# syntax=` names an image that would be run with the solver's rights: ours it is
		// Cache mounts are the app's own, whatever id they have.
		"build-arg:BUILDKIT_CACHE_MOUNT_NS": fmt.Sprintf("app-%d", j.req.App),
	}
	if j.req.Target != "" {
		opts["target"] = j.req.Target
	}
	if name := j.hostName(); name != "" {
		opts["hostname"] = name
	}
	for name, value := range j.req.Args {
		if !strings.HasPrefix(name, "BUILDKIT_") {
			opts["build-arg:"+name] = value
		}
	}
	inputs := map[string]*pb.Definition{}
	file := llb.Scratch().File(llb.Mkfile("/Dockerfile", 0o644, j.req.Dockerfile), llb.WithCustomName("[internal] load build definition"))
	for name, state := range map[string]llb.State{"dockerfile": file, "context": contextState(contextKey(j.files))} {
		def, err := state.Marshal(ctx)
		if err != nil {
			return frontend.SolveRequest{}, err
		}
		inputs[name] = def.ToPB()
	}
	return frontend.SolveRequest{Frontend: "dockerfile.v0", FrontendOpt: opts, FrontendInputs: inputs}, nil
}

// hostName is that of steps, which is a part of their keys. What one that may hold secrets leaves behind is the app's
// alone, and of all others its team's: another's Dockerfile of the same text shall not be given it.
func (j *job) hostName() string {
	switch {
	case j.req.Alone || mayHoldSecrets(j.req.Dockerfile):
		return fmt.Sprintf("app-%d", j.req.App)
	case j.req.Team != "":
		return "team-" + j.req.Team
	}
	return ""
}

// mayHoldSecrets errs on the side of yes.
func mayHoldSecrets(text []byte) bool {
	lower := bytes.ToLower(text)
	return bytes.Contains(lower, []byte("--mount")) &&
		(bytes.Contains(lower, []byte("secret")) || bytes.Contains(lower, []byte("ssh")) || bytes.ContainsRune(lower, '$'))
}

// internal begins the names of what is no instruction.
const internal = "[internal]"

func (j *job) status(s *client.SolveStatus) {
	for _, v := range s.Vertexes {
		j.vertex(v)
	}
	for _, l := range s.Logs {
		if j.told[l.Vertex] {
			j.tell(wire.Event{Vertex: l.Vertex.String(), Log: l.Data})
		}
	}
	for _, w := range s.Warnings {
		j.tell(wire.Event{Vertex: w.Vertex.String(), Warn: string(w.Short)})
	}
}

func (j *job) vertex(v *client.Vertex) {
	j.names[v.Digest] = v.Name
	if v.Started == nil && v.Completed == nil || strings.HasPrefix(v.Name, internal) {
		return
	}
	if !j.told[v.Digest] {
		j.told[v.Digest] = true
		j.tell(wire.Event{Vertex: v.Digest.String(), Begun: &wire.Begun{Name: v.Name}})
	}
	if v.Completed == nil {
		return
	}
	done := wire.Done{Failed: v.Error != "", Cached: v.Cached, Made: j.describe(v.Digest)}
	if v.Started != nil {
		done.Took = v.Completed.Sub(*v.Started).Round(time.Millisecond)
	}
	j.tell(wire.Event{Vertex: v.Digest.String(), Done: &done})
}

// failed finds out what the pusher must know of a failure.
func (j *job) failed(ctx context.Context, err error) *wire.Failed {
	f := wire.Fail(err)
	f.Cancel = ctx.Err() != nil
	var at *errdefs.VertexError
	if errors.As(err, &at) {
		f.Vertex = j.names[digest.Digest(at.Digest)]
	}
	for _, s := range errdefs.Sources(err) {
		if len(s.Ranges) > 0 && s.Ranges[0].Start != nil {
			f.Line = int(s.Ranges[0].Start.Line)
		}
	}
	return f
}
