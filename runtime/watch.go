package runtime

import (
	"path/filepath"

	"golang.org/x/sys/unix"
	"paas/platform"
)

// watch waits for the container's end and sees to what then is due. It returns early when the Runtime closes.
func (c *container) watch() {
	if err := c.init.wait(); err != nil {
		return
	}
	c.settle()
}

// unwatch makes watch return while the container goes on.
func (c *container) unwatch() {
	if c.init != nil {
		c.init.close()
	}
}

// settle notes how the container ended, lets go of what it held, and reports an instance that ended
// without being asked to.
func (c *container) settle() {
	c.runtime.oom.remove(c)
	c.exit = c.howItEnded()
	c.release()
	close(c.gone)
	if !c.record.Passing {
		c.runtime.pruneLater(c.record.App)
	}
	if !c.record.Passing && c.noteEnd() {
		c.runtime.report(c)
	}
}

// howItEnded prefers what init wrote down. Without that init itself was killed, and with it all else.
func (c *container) howItEnded() platform.Exit {
	exit, known := readStatus(filepath.Join(c.dir, statusFile))
	if !known {
		exit = c.killedExit()
	}
	if c.group == nil {
		return exit
	}
	if exit.OOM = c.forMemory(exit); exit.OOM || c.record.Group == buildsGroup {
		_, exit.MemoryPeak, exit.MemoryLimit = c.group.memory()
	}
	c.tellOOM()
	if c.record.Group == buildsGroup && exit.Code != 0 && c.group.refusals() > 0 {
		exit.Over = platform.ProcessResource
	}
	return exit
}

func (c *container) killedExit() platform.Exit {
	exit := platform.Exit{Code: 128 + int(unix.SIGKILL), Signal: signalName(int(unix.SIGKILL)), At: c.runtime.now()}
	if c.record.Boot != c.runtime.boot {
		return platform.Exit{Lost: true, At: exit.At}
	}
	if c.init != nil && c.init.status.Signaled() {
		n := int(c.init.status.Signal())
		exit.Code, exit.Signal = 128+n, signalName(n)
	}
	return exit
}

// noteEnd keeps the exit for Instances. It is false when the end was wanted.
func (c *container) noteEnd() bool {
	r := c.runtime
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.stopping {
		return false
	}
	exit := c.exit
	c.record.Phase, c.record.Exit = ended, &exit
	if err := c.record.save(c.dir); err != nil {
		r.log.Error("note end of container", "instance", c.record.ID, "error", err)
	}
	return true
}

// report delivers an ended instance and remembers that it did. Between the two a crash of the daemon
// makes the successor deliver it again.
func (r *Runtime) report(c *container) {
	r.mu.Lock()
	i, exits := c.record.instance(), r.exits
	if c.record.detached() {
		exits = r.jobExits
	}
	r.mu.Unlock()
	select {
	case exits <- i:
	case <-r.life.Done():
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.containers[c.record.ID] != c {
		return
	}
	c.record.Reported = true
	if err := c.record.save(c.dir); err != nil {
		r.log.Error("note report of container", "instance", c.record.ID, "error", err)
	}
}
