package runtime

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/image"
	"paas/runtime/script"
)

// container is one container in the eyes of the daemon.
type container struct {
	runtime *Runtime
	dir     string  // of its state
	writes  string  // of its writes
	shell   *shell  // what it was made of; nil before, and if it was adopted
	group   *cgroup // nil before it was made
	init    *process
	master  *os.File // of its PTY
	watchID int32    // of the kernel's, for kills for want of memory
	made    []string // mount points that init created in the root file system

	frost sync.Mutex // held while it is frozen or thawed
	cold  *freezer   // once it was looked for; guarded by frost

	gone chan struct{} // closed when every process ended
	exit platform.Exit // valid then

	// Guarded by runtime.mu. ID, Passing and Group of the record never change.
	record   record
	stopping bool      // its end is wanted: nobody is told
	killedAt time.Time // the kernel was last seen to kill something of it for want of memory
}

// launch makes a container and returns when its command was executed. After an error nothing is left.
func (r *Runtime) launch(ctx context.Context, o *order) (*container, error) {
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout*time.Second)
	defer cancel()
	c := r.register(o)
	if err := c.make(ctx, o); err != nil {
		return nil, errors.Join(err, c.scrap())
	}
	if !c.record.Passing {
		_ = c.shell.conn.Close() // an instance outlives the daemon
	}
	if err := r.oom.add(c); err != nil {
		r.log.Warn("a container runs unwatched", "instance", c.record.ID, "error", err)
	}
	r.work.Go(c.watch)
	return c, nil
}

// register makes the container known before anything of it exists, so that no sweep takes it.
func (r *Runtime) register(o *order) *container {
	o.record.ID = platform.InstanceID(string(o.record.App) + "-" + strings.ToLower(rand.Text()[:13]))
	o.record.Phase, o.record.Boot, o.record.StartedAt = making, r.boot, r.now()
	c := &container{runtime: r, dir: r.instanceDir(o.record.ID), writes: r.writesDir(o.record.ID), gone: make(chan struct{}), record: o.record}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.containers[c.record.ID] = c
	return c
}

func (c *container) make(ctx context.Context, o *order) error {
	if err := c.equip(o); err != nil {
		return err
	}
	if err := c.spawn(o); err != nil {
		return err
	}
	if err := c.awaitStart(ctx, o); err != nil {
		return err
	}
	c.removeNodes(o)
	return c.save(func(r *record) { r.Phase = running })
}

// equip makes an empty container this one's and notes that.
func (c *container) equip(o *order) (err error) {
	if c.shell, err = c.runtime.pools[o.record.Group].take(); err != nil {
		return fmt.Errorf("start %s: %w", o.what, err)
	}
	c.group, c.init = &c.shell.group, c.shell.init
	if err := errors.Join(os.Mkdir(c.dir, 0o700), os.Rename(c.shell.dir, c.writes)); err != nil {
		return fmt.Errorf("make instance directory: %w", err)
	}
	started, err := startTime(c.init.pid)
	if err != nil {
		return fmt.Errorf("start %s: %w", o.what, err)
	}
	endpoint := *c.shell.endpoint
	if c.record.Port != 0 {
		endpoint.Port = c.record.Port
	}
	return c.save(func(r *record) {
		r.Shell, r.Endpoint, r.PID, r.Started = c.shell.name, &endpoint, c.init.pid, started
	})
}

// connect opens the network to the container, or takes it away from one that shall have none.
func (c *container) connect(o *order) error {
	err := c.runtime.options.Network.Admit(*c.record.Endpoint, c.record.owner())
	if err == nil && o.offline {
		err = c.detach()
	}
	return err
}

// awaitStart reads what init tells until the command was executed.
func (c *container) awaitStart(ctx context.Context, o *order) error {
	stop := c.shell.conn.Until(ctx)
	defer stop()
	for {
		m, err := c.shell.conn.Receive()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return startError(o.what, err)
		}
		if m.File != nil {
			c.master = terminalFile(m.File)
		}
		if m.Started {
			c.made = m.Made
			return nil
		}
	}
}

// startError tells a command that cannot be executed, which its owner can mend, from trouble of ours.
func startError(what string, err error) error {
	var failed *script.Error
	if errors.As(err, &failed) {
		if name, ok := sysctlOf(failed.Doing); ok {
			return platform.Errorf(platform.Failed, "%s cannot start: this kernel does not give an app its own %s", what, name).
				WithHint("an admin can take it away: ssh paas security:set <app> sysctl=clear").Because(failed)
		}
		if err := misshapen(what, failed); err != nil {
			return err
		}
	}
	if failed == nil || !failed.Exec() {
		return fmt.Errorf("start %s: %w", what, err)
	}
	return platform.Errorf(platform.Failed, "%s cannot start: %s", what, failed).
		WithHint("check its command in the Procfile").Because(failed)
}

// save changes the record, in memory and on disk.
func (c *container) save(change func(*record)) error {
	c.runtime.mu.Lock()
	defer c.runtime.mu.Unlock()
	change(&c.record)
	if c.record.Passing { // a directory without a record is one that nobody needs
		return nil
	}
	return c.record.save(c.dir)
}

// scrap removes a container that did not start.
func (c *container) scrap() error {
	if c.init != nil {
		c.kill()
		_ = c.init.wait()
	}
	c.release()
	return c.forget()
}

// release gives back what the container held while it ran, in the background: the kernel takes its time
// over it. All its processes must have ended. The exit status stays until forget: a successor needs it if
// the end was not noted yet.
func (c *container) release() {
	if c.init != nil {
		c.init.close()
	}
	if c.shell != nil {
		_ = c.shell.conn.Close()
	}
	c.runtime.janitor.do(c.dispose)
}

func (c *container) dispose() error {
	var errs []error
	if c.group != nil {
		errs = append(errs, c.group.remove())
	}
	errs = append(errs, c.removeFreezer())
	for _, name := range []string{execSocket, pausedFile, keptFile} {
		errs = append(errs, os.RemoveAll(filepath.Join(c.dir, name)))
	}
	return errors.Join(append(errs, c.dropWrites(), c.detach())...)
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
	delete(c.runtime.containers, c.record.ID)
	c.runtime.mu.Unlock()
	err := os.Remove(filepath.Join(c.dir, recordFile))
	c.runtime.janitor.do(func() error { return os.RemoveAll(c.dir) })
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (c *container) kill() {
	if c.init != nil {
		c.init.signal(unix.SIGKILL)
		c.thaw()
	}
}

// idMap is the app's id-mapping user namespace. It stays open: making one costs a millisecond.
func (r *Runtime) idMap(appID int64) (image.IDRange, error) {
	base, err := uidBase(appID)
	ids := image.IDRange{Base: base, Size: rangeSize}
	if err != nil {
		return ids, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if f, ok := r.maps[appID]; ok {
		ids.UserNS = f
		return ids, nil
	}
	ids.UserNS, err = image.UserNS(base, rangeSize)
	if err == nil {
		r.maps[appID] = ids.UserNS
	}
	return ids, err
}

// terminalFile gives the PTY's master to the poller.
func terminalFile(f *os.File) *os.File {
	defer func() { _ = f.Close() }()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil
	}
	_ = unix.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), "terminal")
}
