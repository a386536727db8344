package runtime

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"paas/platform"
)

// oomWatch hears of kills for want of memory in containers that go on: one descriptor and one goroutine for
// all of them.
//
//	v2  inotify on memory.events, which the kernel touches with every event (cgroup-v2.rst)
//	v1  an eventfd registered for memory.oom_control (cgroup-v1/memory.rst), all of them in one epoll
type oomWatch struct {
	runtime *Runtime
	v2      bool
	file    *os.File // inotify or epoll

	mu      sync.Mutex
	watched map[int32]*container // by watch descriptor or eventfd
	done    sync.WaitGroup
}

// oomRest is how long it sleeps between two looks: a thousand containers out of memory must not keep the
// daemon busy.
const (
	oomRest = 50 * time.Millisecond
	oomSlow = time.Second // a kill may take that long on a busy host
)

func (r *Runtime) openOOMWatch() error {
	if _, ok := r.groups.tops["memory"]; !ok {
		return nil
	}
	w := &oomWatch{runtime: r, v2: r.groups.v2, watched: make(map[int32]*container)}
	var fd int
	var err error
	if r.groups.v2 {
		fd, err = unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	} else {
		if fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err == nil {
			err = unix.SetNonblock(fd, true) // so that it can be polled itself
		}
	}
	if err != nil {
		return fmt.Errorf("watch for kills for want of memory: %w", err)
	}
	w.file = os.NewFile(uintptr(fd), "oom")
	r.oom = w
	w.done.Go(w.listen)
	return nil
}

func (w *oomWatch) close() {
	if w == nil {
		return
	}
	_ = w.file.Close()
	w.done.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.watched {
		w.forget(id)
	}
}

// add begins to watch a container.
func (w *oomWatch) add(c *container) error {
	if w == nil {
		return nil
	}
	dir, ok := c.group.dir("memory")
	if !ok || c.group.of.v2 != w.v2 {
		return nil
	}
	raw, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	var id int32
	controlErr := raw.Control(func(fd uintptr) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if id, err = w.register(int(fd), dir); err == nil {
			w.watched[id] = c
			c.watchID = id
		}
	})
	if err == nil {
		err = controlErr
	}
	if err != nil {
		return fmt.Errorf("watch for kills for want of memory: %w", err)
	}
	return nil
}

func (w *oomWatch) register(fd int, dir string) (int32, error) {
	if w.v2 {
		id, err := unix.InotifyAddWatch(fd, filepath.Join(dir, "memory.events"), unix.IN_MODIFY)
		return int32(id), err
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return 0, err
	}
	control, err := unix.Open(filepath.Join(dir, "memory.oom_control"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = writeControl(filepath.Join(dir, "cgroup.event_control"), fmt.Sprintf("%d %d", event, control))
		_ = unix.Close(control)
	}
	if err == nil {
		err = unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, event, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(event)})
	}
	if err != nil {
		_ = unix.Close(event)
	}
	return int32(event), err
}

// remove ends the watch of a container; its group may be gone.
func (w *oomWatch) remove(c *container) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watched[c.watchID] == c {
		w.forget(c.watchID)
	}
}

// forget closes an eventfd; an inotify watch ends with the group. The caller holds mu.
func (w *oomWatch) forget(id int32) {
	delete(w.watched, id)
	if !w.v2 {
		_ = unix.Close(int(id))
	}
}

// listen ends when the file is closed.
func (w *oomWatch) listen() {
	raw, err := w.file.SyscallConn()
	if err != nil {
		return
	}
	for {
		var ids []int32
		err := raw.Read(func(fd uintptr) bool {
			ids = w.next(int(fd))
			return len(ids) > 0
		})
		if err != nil {
			return
		}
		select { // v1 gives notice before the kill
		case <-w.runtime.life.Done():
			return
		case <-time.After(oomRest):
		}
		for _, id := range ids {
			if !w.tell(id) {
				time.AfterFunc(oomSlow, func() { w.tell(id) })
			}
		}
	}
}

// next reads what has come, without waiting.
func (w *oomWatch) next(fd int) (ids []int32) {
	if w.v2 {
		return nextWatches(fd)
	}
	var events [64]unix.EpollEvent
	n, err := unix.EpollWait(fd, events[:], 0)
	if err != nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range events[:max(n, 0)] {
		if w.watched[e.Fd] == nil {
			continue // removed meanwhile
		}
		var b [8]byte
		_, _ = unix.Read(int(e.Fd), b[:]) // it counts; that it is ready was the news
		ids = append(ids, e.Fd)
	}
	return ids
}

// nextWatches cuts a read of inotify(7) into its events.
func nextWatches(fd int) (ids []int32) {
	var b [4096]byte
	n, err := unix.Read(fd, b[:])
	if err != nil {
		return nil
	}
	seen := make(map[int32]bool)
	const size = int(unsafe.Sizeof(unix.InotifyEvent{}))
	for at := 0; at+size <= n; {
		id := int32(binary.NativeEndian.Uint32(b[at:]))
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
		at += size + int(binary.NativeEndian.Uint32(b[at+size-4:]))
	}
	return ids
}

// tell is true if there was something to tell.
func (w *oomWatch) tell(id int32) bool {
	w.mu.Lock()
	c := w.watched[id]
	w.mu.Unlock()
	return c != nil && c.tellOOM()
}

// tellOOM delivers kills that were not delivered yet. Those of build steps are in their exits only.
func (c *container) tellOOM() bool {
	r := c.runtime
	kills := c.group.oomKills()
	_, peak, limit := c.group.memory()
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh := kills - c.record.OOMKills
	if fresh <= 0 || c.record.Type == "" {
		return false
	}
	c.record.OOMKills, c.killedAt = kills, r.now()
	k := platform.OOMKill{Instance: c.record.instance(), Kills: fresh, Peak: peak, Limit: limit, At: r.now()}
	r.work.Go(func() { c.deliverOOM(k) })
	return true
}

// deliverOOM waits for the reader. What it does not take any more the next daemon tells.
func (c *container) deliverOOM(k platform.OOMKill) {
	r := c.runtime
	select {
	case r.oomKills <- k:
	case <-r.life.Done():
		return
	}
	if ended := isClosed(c.gone); ended {
		return
	}
	if err := c.save(func(*record) {}); err != nil {
		r.log.Error("note kills for want of memory", "instance", c.record.ID, "error", err)
	}
}

// OOMKills implements platform.Resources.
func (r *Runtime) OOMKills() <-chan platform.OOMKill { return r.oomKills }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// forMemory tells whether a container that ended so did for want of memory: the kernel killed something of
// it, and what ended it was that kill or followed at once.
func (c *container) forMemory(exit platform.Exit) bool {
	kills := c.group.oomKills()
	if kills == 0 {
		return false
	}
	c.runtime.mu.Lock()
	defer c.runtime.mu.Unlock()
	const atOnce = 2 * time.Second
	return exit.Code == 128+int(unix.SIGKILL) || kills > c.record.OOMKills || exit.At.Sub(c.killedAt) < atOnce
}
