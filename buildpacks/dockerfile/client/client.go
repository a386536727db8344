// Package client is the daemon's side of Dockerfile builds: it starts the builder process when the first one
// comes, ends it when nobody has needed it for a while, and does for it what only the daemon does: it runs
// steps, writes the files of a git tree, and finds images.
package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"paas/buildpacks/dockerfile/wire"
	"paas/platform"
	"paas/runtime/image"
)

// Options are what a Client needs.
type Options struct {
	Dir      string   // the builder's own, on the content store's file system; all of it may be lost
	Command  []string // starts a builder process: the program and its first arguments
	Environ  []string // of that process
	Images   *image.Store
	Executor Executor
	Idle     time.Duration // how long a builder without work stays; 0: a minute
	Log      *slog.Logger
	Private  bool // ADD may fetch from private addresses

	// Write puts files of a tree into a directory.
	Write func(ctx context.Context, dir string, tree platform.Tree, files []platform.File) error
	// Base finds the image that a FROM names, normalized like "docker.io/library/golang:1.26".
	Base func(ctx context.Context, name string, story *platform.Story) (wire.Base, error)
	// Surround adds to a step what every build on this machine has.
	Surround func(spec *platform.StepSpec)
}

// Executor runs build steps.
type Executor interface {
	Step(ctx context.Context, s platform.StepSpec, out io.Writer) (platform.Exit, error)
}

// Client builds Dockerfiles. Safe for concurrent use.
type Client struct {
	Options
	ctx   context.Context // ends with Close
	stop  context.CancelFunc
	costs costs

	mu      sync.Mutex
	process *process
	users   int
	idle    *time.Timer
	jobs    map[string]*job
}

// Open makes a client. It starts nothing.
func Open(o Options) *Client {
	o.Idle = cmp.Or(o.Idle, time.Minute)
	c := &Client{Options: o, jobs: map[string]*job{}, costs: costs{path: filepath.Join(o.Dir, costsFile)}}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

// Close ends the builder, if there is one. Builds must have ended.
func (c *Client) Close() error {
	c.stop()
	c.mu.Lock()
	p := c.process
	c.process = nil
	if c.idle != nil {
		c.idle.Stop()
	}
	c.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.end()
}

// acquire gives the builder process, starting it if there is none. done must be called.
func (c *Client) acquire() (p *process, done func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return nil, nil, errors.New("the Dockerfile builder is closed")
	}
	if c.idle != nil {
		c.idle.Stop()
	}
	if c.process == nil || c.process.ended() {
		if c.process, err = c.start(); err != nil {
			c.process = nil
			return nil, nil, fmt.Errorf("start the Dockerfile builder: %w", err)
		}
	}
	c.users++
	return c.process, c.leave, nil
}

func (c *Client) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users--
	if c.users == 0 {
		c.idle = time.AfterFunc(c.Idle, c.endIdle)
	}
}

func (c *Client) endIdle() {
	c.mu.Lock()
	p := c.process
	if c.users > 0 || p == nil {
		c.mu.Unlock()
		return
	}
	c.process = nil
	c.mu.Unlock()
	if err := p.end(); err != nil {
		c.Log.Warn("end the Dockerfile builder", "err", err)
	}
}

// PID is the builder's process id, 0 if there is none.
func (c *Client) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil || c.process.ended() {
		return 0
	}
	return c.process.cmd.Process.Pid
}

// post sends a request to the builder. The caller closes the answer.
func post(ctx context.Context, p *process, path string, question any) (io.ReadCloser, error) {
	text, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://builder"+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	res, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// Build builds a Dockerfile. It blocks until the image is in the content store, durable, or ctx ends.
func (c *Client) Build(ctx context.Context, r Request) (wire.Result, error) {
	p, done, err := c.acquire()
	if err != nil {
		return wire.Result{}, err
	}
	defer done()
	defer c.saveCosts()
	j := c.begin(r)
	defer c.end(j)
	body, err := post(ctx, p, wire.PathBuild, j.message())
	if err != nil {
		return wire.Result{}, c.lost(ctx, err)
	}
	defer func() { _ = body.Close() }()
	events := json.NewDecoder(bufio.NewReaderSize(body, 64<<10))
	defer j.teller.close()
	for {
		var e wire.Event
		if err := events.Decode(&e); err != nil {
			return wire.Result{}, c.lost(ctx, err)
		}
		switch {
		case e.Result != nil:
			return *e.Result, nil
		case e.Failed != nil:
			return wire.Result{}, j.failure(ctx, e.Failed)
		}
		j.teller.tell(e)
	}
}

func (c *Client) saveCosts() {
	if err := c.costs.save(); err != nil {
		c.Log.Warn("remember what instructions took", "err", err)
	}
}

// lost is for an answer that broke off.
func (c *Client) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return platform.Errorf(platform.Failed, "the Dockerfile builder ended in the middle of the build").Because(err).
		WithHint("push again; if it happens again the server's log tells why")
}

// Layers are the content store's layers that the builder can build upon.
func (c *Client) Layers() (map[string]bool, error) {
	dir := filepath.Join(c.Dir, "kept")
	links, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	all := map[string]bool{}
	for _, link := range links {
		layer, e := os.Readlink(filepath.Join(dir, link.Name()))
		if e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
		all[layer] = true
	}
	delete(all, "")
	return all, err
}

// Prune removes cache mounts that were unused for longest until at most keep bytes of them are left. Those
// used since minAge stay.
func (c *Client) Prune(ctx context.Context, keep int64, minAge time.Duration) (int64, error) {
	if _, err := os.Stat(c.Dir); err != nil {
		return 0, nil //nolint:nilerr // nothing was ever built
	}
	p, done, err := c.acquire()
	if err != nil {
		return 0, err
	}
	defer done()
	body, err := post(ctx, p, wire.PathPrune, wire.Prune{Keep: keep, MinAge: minAge})
	if err != nil {
		return 0, err
	}
	defer func() { _ = body.Close() }()
	var gone wire.Pruned
	return gone.Bytes, wire.Read(body, &gone)
}

// Release ends the builder if it has no work, so that the garbage collector may remove layers that it builds
// upon: it forgets those that are gone when it starts again.
func (c *Client) Release() { c.endIdle() }
