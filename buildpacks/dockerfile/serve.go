package dockerfile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"

	"github.com/moby/buildkit/client"
	"github.com/sirupsen/logrus"

	"paas/buildpacks/dockerfile/wire"
	"paas/platform"
	"paas/runtime/image"
)

// Process is what a builder process is started with.
type Process struct {
	Dir     string // the builder's own
	Store   string // the content store
	Serve   int    // descriptor of the link that requests come from
	Daemon  int    // of the link that the builder's own requests go to
	Private bool   // ADD may fetch from private addresses
	Stderr  io.Writer
}

// Main serves builds until the daemon closes the link or is gone. A build that is under way then is given up.
func Main(ctx context.Context, p Process) error {
	logrus.SetOutput(p.Stderr)
	logrus.SetLevel(logrus.ErrorLevel)
	requests, err := wire.Open(p.Serve)
	if err != nil {
		return err
	}
	daemon, err := wire.Open(p.Daemon)
	if err != nil {
		return err
	}
	store, err := image.Open(p.Store)
	if err != nil {
		return err
	}
	b, err := open(ctx, Options{Dir: p.Dir, Store: store, Daemon: daemon.Client(), Private: p.Private})
	if err != nil {
		return err
	}
	server := &http.Server{Handler: b.handler(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)} //nolint:gosec // our own client
	_ = server.Serve(requests)
	_ = server.Close() // ends the contexts of builds
	b.working.Wait()
	return b.close()
}

func (b *builder) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(wire.PathBuild, func(w http.ResponseWriter, r *http.Request) {
		b.working.Add(1)
		defer b.working.Done()
		var req wire.Build
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			wire.Write(w, nil, err)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that who asked is gone
		out := newEvents(w)
		b.build(r.Context(), req, out.tell)
	})
	mux.HandleFunc(wire.PathPrune, func(w http.ResponseWriter, r *http.Request) {
		b.working.Add(1)
		defer b.working.Done()
		var req wire.Prune
		err := json.NewDecoder(r.Body).Decode(&req)
		var gone wire.Pruned
		if err == nil {
			gone, err = b.prune(r.Context(), req)
		}
		wire.Write(w, gone, err)
	})
	return mux
}

// events is the stream of a build's events.
type events struct {
	mu    sync.Mutex
	enc   *json.Encoder
	flush func()
}

func newEvents(w http.ResponseWriter) *events {
	return &events{enc: json.NewEncoder(w), flush: w.(http.Flusher).Flush}
}

func (e *events) tell(event wire.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_ = e.enc.Encode(event) // who asked may be gone; then the build's context ends
	e.flush()
}

// call sends a request to the daemon. The caller closes the answer's body.
func (b *builder) call(ctx context.Context, path string, question any) (io.ReadCloser, error) {
	text, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://daemon"+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	res, err := b.Daemon.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("ask the daemon: %w", err)
	}
	return res.Body, nil
}

// prune removes cache mounts that were unused for longest. Layers are the store's garbage collector's.
func (b *builder) prune(ctx context.Context, req wire.Prune) (gone wire.Pruned, err error) {
	filter := "type==" + string(client.UsageRecordTypeCacheMount)
	if req.App != 0 {
		return gone, platform.Errorf(platform.Failed, "cache mounts of one app cannot be told apart")
	}
	removed := make(chan client.UsageInfo)
	counted := make(chan struct{})
	go func() {
		defer close(counted)
		for u := range removed {
			gone.Bytes += u.Size
		}
	}()
	info := client.PruneInfo{Filter: []string{filter}, KeepDuration: req.MinAge, MaxUsedSpace: req.Keep, All: true}
	err = b.worker.Prune(ctx, removed, info)
	close(removed)
	<-counted
	return gone, errors.Join(err, b.worker.GarbageCollect(ctx))
}
