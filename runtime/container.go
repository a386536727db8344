package runtime

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/image"
	"paas/runtime/initproc"
	"paas/runtime/network"
)

// container is one container in the eyes of the daemon.
type container struct {
	runtime *Runtime
	dir     string
	group   *cgroup // nil before it was made
	init    *process
	control *os.File // socket to init while it starts, and as long as the container passes
	master  *os.File // of its PTY
	made    []string // mount points that init created in the root file system

	gone chan struct{} // closed when every process ended and everything but the record is released
	exit platform.Exit // valid then

	// Guarded by runtime.mu. ID, Passing and Group of the record never change.
	record   record
	stopping bool // its end is wanted: nobody is told
}

// launch makes a container and returns when its command was executed. After an error nothing is left.
func (r *Runtime) launch(ctx context.Context, o *order) (*container, error) {
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout*time.Second)
	defer cancel()
	c := r.register(o)
	if err := c.make(ctx, o); err != nil {
		return nil, errors.Join(err, c.scrap())
	}
	r.work.Go(c.watch)
	return c, nil
}

// register makes the container known before anything of it exists, so that no sweep takes it.
func (r *Runtime) register(o *order) *container {
	o.record.ID = platform.InstanceID(string(o.record.App) + "-" + strings.ToLower(rand.Text()[:13]))
	o.record.Phase, o.record.Boot, o.record.StartedAt = making, r.boot, r.now()
	c := &container{runtime: r, dir: r.instanceDir(o.record.ID), gone: make(chan struct{}), record: o.record}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.containers[c.record.ID] = c
	return c
}

func (c *container) make(ctx context.Context, o *order) error {
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		return fmt.Errorf("make instance directory: %w", err)
	}
	if err := c.save(func(*record) {}); err != nil {
		return err
	}
	group, err := c.runtime.groups.create(o.record.Group, string(c.record.ID), o.limits)
	if err != nil {
		return err
	}
	c.group = &group
	if err := c.spawn(o); err != nil {
		return err
	}
	if err := c.connect(o); err != nil {
		return err
	}
	if err := c.awaitStart(ctx, o); err != nil {
		return err
	}
	return c.save(func(r *record) { r.Phase = running })
}

// connect gives the fresh namespaces their limits and their network and lets init go on.
func (c *container) connect(o *order) error {
	endpoint, err := c.placeAndAttach()
	if err != nil {
		return err
	}
	started, err := startTime(c.init.pid)
	if err != nil {
		return fmt.Errorf("start container: %w", err)
	}
	if err := c.save(func(r *record) { r.PID, r.Started = c.init.pid, started }); err != nil {
		return err
	}
	g := initproc.Go{
		Env:      []string{fmt.Sprintf("PORT=%d", endpoint.Port)},
		Hosts:    []byte(fmt.Sprintf("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n%s\t%s\n", endpoint.Addr, o.host)),
		Resolv:   endpoint.Resolv,
		Hostname: []byte(o.host + "\n"),
	}
	// An error here means that init died: it says why, or awaitStart does.
	_ = initproc.Send(c.control, g.Encode())
	return nil
}

// placeAndAttach does both at once: each waits for the kernel's RCU grace periods.
func (c *container) placeAndAttach() (*network.Endpoint, error) {
	placed := make(chan error, 1)
	go func() { placed <- c.group.place(c.init.pid) }()
	endpoint, err := c.runtime.options.Network.Attach(c.init.pid, string(c.record.ID))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("attach network: %w", err), <-placed)
	}
	err = errors.Join(<-placed, c.save(func(r *record) { r.Endpoint = &endpoint }))
	return &endpoint, err
}

// awaitStart reads what init tells until the command was executed.
func (c *container) awaitStart(ctx context.Context, o *order) error {
	stop := context.AfterFunc(ctx, func() { _ = c.control.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		payload, fds, err := initproc.Receive(c.control)
		if ctx.Err() != nil {
			closeFDs(fds)
			return fmt.Errorf("start %s: %w", o.what, context.Cause(ctx))
		}
		if err != nil {
			return fmt.Errorf("start %s: the container's init died: %w%s", o.what, err, c.lastWords())
		}
		var reply initproc.Reply
		if err := reply.Decode(payload); err != nil {
			closeFDs(fds)
			return fmt.Errorf("start %s: %w", o.what, err)
		}
		switch {
		case reply.Kind == initproc.ReplyTerminal && len(fds) == 1:
			c.master = terminalFile(fds[0])
		case reply.Kind == initproc.ReplyStarted:
			c.made = reply.Made
			return nil
		default:
			closeFDs(fds)
			return startError(o.what, reply)
		}
	}
}

// startError tells a command that cannot be executed, which its owner can mend, from trouble of ours.
func startError(what string, reply initproc.Reply) error {
	if !strings.HasPrefix(reply.Text, "execute ") {
		return fmt.Errorf("start %s: %s", what, reply.Text)
	}
	return platform.Errorf(platform.Failed, "%s cannot start: %s", what, reply.Text).
		WithHint("check its command in the Procfile").Because(unix.Errno(reply.Errno))
}

// lastWords is what init printed when it crashed.
func (c *container) lastWords() string {
	b, err := os.ReadFile(filepath.Join(c.dir, initErrors))
	if err != nil || len(b) == 0 {
		return ""
	}
	return ": " + string(b[:min(len(b), 2000)])
}

// save changes the record, in memory and on disk.
func (c *container) save(change func(*record)) error {
	c.runtime.mu.Lock()
	defer c.runtime.mu.Unlock()
	change(&c.record)
	return c.record.save(c.dir)
}

// scrap removes a container that did not start.
func (c *container) scrap() error {
	if c.init != nil {
		c.kill()
		_ = c.init.wait()
	}
	return errors.Join(c.release(), c.forget())
}

// release gives back what the container held while it ran. All its processes must have ended. The exit
// status stays on the disk until forget: a successor needs it if the end was not noted yet.
func (c *container) release() error {
	var errs []error
	if c.init != nil {
		c.init.close()
	}
	if c.control != nil {
		_ = c.control.Close()
	}
	detached := make(chan error, 1)
	go func() { detached <- c.detach() }() // waits for the kernel while the rest is removed
	if c.group != nil {
		errs = append(errs, c.group.remove())
	}
	for _, name := range []string{writesDir, execSocket, initErrors} {
		errs = append(errs, os.RemoveAll(filepath.Join(c.dir, name)))
	}
	return errors.Join(append(errs, <-detached)...)
}

func (c *container) detach() error {
	if c.record.Endpoint == nil {
		return nil
	}
	return c.runtime.options.Network.Detach(*c.record.Endpoint)
}

// forget removes the record. The log stays.
func (c *container) forget() error {
	c.runtime.mu.Lock()
	defer c.runtime.mu.Unlock()
	delete(c.runtime.containers, c.record.ID)
	return os.RemoveAll(c.dir)
}

func (c *container) kill() {
	if c.init != nil {
		c.init.signal(unix.SIGKILL)
	}
}

// idMap is the app's id-mapping user namespace. It stays open: making one costs a millisecond.
func (r *Runtime) idMap(appID int64) (*os.File, error) {
	base, err := uidBase(appID)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if f, ok := r.maps[appID]; ok {
		return f, nil
	}
	f, err := image.UserNS(base, rangeSize)
	if err == nil {
		r.maps[appID] = f
	}
	return f, err
}

func terminalFile(fd int) *os.File {
	_ = unix.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), "terminal")
}

func closeFDs(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
