package platform_test

import (
	"context"
	"io"
	"strings"

	"paas/platform"
)

// The host's side of what is done with an instance that runs.

func (h *host) Pause(_ context.Context, id platform.InstanceID) error  { return h.setPaused(id, true) }
func (h *host) Resume(_ context.Context, id platform.InstanceID) error { return h.setPaused(id, false) }

func (h *host) setPaused(id platform.InstanceID, paused bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.running[id]
	if p == nil || p.Exit != nil {
		return platform.Errorf(platform.NotFound, "no instance %s is running", id)
	}
	p.Paused = paused
	h.thawed.Broadcast()
	return nil
}

func (h *host) Reclaim(context.Context, platform.InstanceID) (platform.Checkpoint, error) {
	return platform.Checkpoint{Before: 100 << 20, After: 16 << 20}, nil
}

func (h *host) Checkpoint(ctx context.Context, id platform.InstanceID) (platform.Checkpoint, error) {
	return platform.Checkpoint{}, h.Pause(ctx, id)
}

func (h *host) Enter(context.Context, platform.InstanceID, platform.Command, io.Reader, io.Writer, io.Writer) (platform.Exit, error) {
	return platform.Exit{}, nil
}

func (h *host) Stats(context.Context, platform.InstanceID) (platform.Stats, error) {
	return platform.Stats{Memory: 16 << 20}, nil
}

func (h *host) CopyOut(context.Context, platform.InstanceID, string, io.Writer) error { return nil }
func (h *host) CopyIn(context.Context, platform.InstanceID, platform.CopyIn, io.Reader) error {
	return nil
}

func (h *host) Changes(context.Context, platform.InstanceID, []string) ([]platform.Change, error) {
	return nil, nil
}

func (h *host) Commit(context.Context, platform.InstanceID) (string, error) { return "commit-1", nil }

// RunLayer writes something if the command says so.
func (h *host) RunLayer(ctx context.Context, job platform.JobSpec, out io.Writer) (string, platform.Exit, error) {
	exit, err := h.Run(ctx, job, nil, out, out)
	if strings.Contains(job.Command[len(job.Command)-1], "write") {
		return "predeploy-1", exit, err
	}
	return "", exit, err
}
