// Package runtimetest runs real containers for tests of the runtime from outside.
package runtimetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"paas/platform"
	"paas/runtime"
	"paas/runtime/image"
	"paas/runtime/network"
	"paas/runtime/runtimetest/program"
	"paas/runtime/runtimetest/sandbox"
)

// Base is the name of a layer with busybox and what images usually have.
const Base = "base"

// Host is a runtime with its stores.
type Host struct {
	*runtime.Runtime
	Dir     string // everything the host keeps
	Images  *image.Store
	Network *network.Network
	Log     *sandbox.Buffer // the runtime's own complaints
}

// Open opens the host at dir, anew or as a predecessor left it.
func Open(dir string) (*Host, error) {
	h := &Host{Dir: dir, Log: &sandbox.Buffer{}}
	var err error
	if h.Images, err = image.Open(dir + "/images"); err != nil {
		return nil, err
	}
	if h.Network, err = network.Open(network.Options{ID: "rt", Dir: dir + "/network"}); err != nil {
		return nil, err
	}
	if err := h.Reopen(); err != nil {
		return nil, errors.Join(err, h.Network.Close())
	}
	return h, nil
}

// Reopen opens the runtime after Close.
func (h *Host) Reopen() (err error) {
	h.Runtime, err = runtime.Open(context.Background(), runtime.Options{
		Dir: h.Dir + "/state", Run: h.Dir + "/run", Images: h.Images, Network: h.Network, ID: sandbox.ID(),
		Init: sandbox.Program(program.Init), Log: slog.New(slog.NewTextHandler(h.Log, nil)),
	})
	return err
}

// Shut lets go of everything and leaves all that runs: the orderly end of a daemon.
func (h *Host) Shut() error { return errors.Join(h.Close(), h.Network.Close()) }

// New opens a host for a test, with the base layer. At the test's end it must be gone without a trace.
func New(t testing.TB) *Host {
	t.Helper()
	dir := t.TempDir()
	before := sandbox.Mounts(t)
	t.Cleanup(func() { sandbox.LeavesNothing(t, dir, before) })
	h, err := Open(dir)
	sandbox.Check(t, err)
	t.Cleanup(func() { h.destroy(t) })
	h.Layer(t, Base, sandbox.FillBase)
	return h
}

func (h *Host) destroy(t testing.TB) {
	if err := errors.Join(h.Destroy(), h.Network.Destroy()); err != nil {
		t.Error(err)
	}
	if text := h.Log.String(); text != "" {
		t.Errorf("the runtime complained:\n%s", text)
	}
}

// Layer commits a layer with what fill puts into a directory.
func (h *Host) Layer(t testing.TB, name string, fill func(dir string) error) {
	t.Helper()
	d, err := h.Images.Draft()
	sandbox.Check(t, err)
	defer func() { _ = d.Discard() }()
	sandbox.Check(t, fill(d.Dir))
	sandbox.Check(t, d.Commit(name))
}

// Spec is an instance of the n-th app, run by the image's user, with the base layer and more on it.
func Spec(n int, argv []string, layers ...string) platform.InstanceSpec {
	return platform.InstanceSpec{
		AppID: sandbox.App(n), App: platform.AppName(fmt.Sprintf("app%d", n)), Release: 1, Epoch: 1,
		Type: platform.Web, Number: 1,
		Image:   platform.Image{Layers: append([]string{Base}, layers...), WorkDir: "/app", UID: 1000, GID: 1000},
		Command: argv,
	}
}

// Shell is the argv of a script.
func Shell(script string) []string { return []string{"/bin/sh", "-c", script} }

// Job runs a spec to its end.
func (h *Host) Job(t testing.TB, s platform.InstanceSpec) (exit platform.Exit, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), sandbox.Patience)
	defer cancel()
	exit, err := h.Run(ctx, platform.JobSpec{InstanceSpec: s}, nil, &out, &errs)
	sandbox.Check(t, err)
	return exit, out.String(), errs.String()
}
