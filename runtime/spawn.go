package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/image"
	"paas/runtime/script"
)

// Names in an instance's directory. They are on a tmpfs: making a file takes ext4 up to half a millisecond.
const (
	statusFile = "status"
	execSocket = "exec.sock"
)

const segmentBytes = 5 << 20 // of each of the two log segments of an instance

// handover is the files that a script inherits. They are the handover's own and closed after it was sent.
type handover struct {
	script *script.Script
	files  []*os.File
	errs   []error
}

// add takes a file and gives its descriptor in the script.
func (h *handover) add(f *os.File, err error) script.Arg {
	h.errs = append(h.errs, err)
	if f != nil {
		h.files = append(h.files, f)
	}
	return h.script.Inherit()
}

func (h *handover) close() {
	for _, f := range h.files {
		_ = f.Close()
	}
}

// box is what the script of a container refers to.
type box struct {
	root   script.Arg
	binds  []script.Arg
	status script.Arg
	listen script.Arg
	stdio  [3]script.Arg
	log    *script.Log

	shown   []shown // of each of the order's mounts
	devices []script.Arg
	rights  script.Rights
}

// spawn gives the shell its script. The kernel opens the network and mounts file systems at the same time.
func (c *container) spawn(o *order) error {
	h := &handover{script: script.New()}
	defer h.close()
	admitted := make(chan error, 1)
	go func() { admitted <- c.connect(o) }()
	err := c.furnish(o, h)
	if err := errors.Join(err, <-admitted); err != nil {
		return fmt.Errorf("start %s: %w", o.what, err)
	}
	return c.shell.conn.Run(h.script, h.files...)
}

// furnish gives the container its limits, ids, files and script.
func (c *container) furnish(o *order, h *handover) error {
	if err := errors.Join(c.bound(o), c.shell.assign(o.appID)); err != nil {
		return err
	}
	b := c.handOver(o, h)
	if err := errors.Join(h.errs...); err != nil {
		return err
	}
	c.write(h.script, o, b)
	return nil
}

// handOver opens everything of the host that the container needs.
func (c *container) handOver(o *order, h *handover) box {
	b := box{
		root:   h.add(c.rootfs(o)),
		status: h.add(os.OpenFile(filepath.Join(c.dir, statusFile), os.O_CREATE|os.O_WRONLY, 0o600)),
		listen: script.N(-1),
	}
	for _, bind := range o.binds {
		b.binds = append(b.binds, h.add(c.bind(o, bind)))
	}
	c.handOverMounts(o, h, &b)
	c.handOverOpened(o, h, &b)
	switch {
	case o.terminal != nil:
	case o.stdio != nil:
		for i := range b.stdio {
			b.stdio[i] = h.add(dup(o.stdio[i]))
		}
	default:
		c.handOverLog(o, h, &b)
	}
	return b
}

// handOverLog connects the output of an instance with its log, and its input with nothing.
func (c *container) handOverLog(o *order, h *handover, b *box) {
	base, _ := uidBase(o.appID) // assign has checked it
	b.log = &script.Log{Limit: segmentBytes}
	for i, reader := range []*script.Arg{&b.log.Stdout, &b.log.Stderr} {
		theirs, ours, err := blockingPipe(int(base+o.uid), int(base+o.gid))
		*reader = h.add(theirs, err)
		b.stdio[i+1] = h.add(ours, err)
	}
	segments, err := c.runtime.openLog(c.record.App, c.record.journal())
	for i := range segments {
		b.log.Segments[i] = h.add(segments[i], err)
	}
	b.listen = h.add(listen(c.dir, execSocket))
	b.stdio[0] = h.add(os.Open(os.DevNull))
}

// rootfs mounts the layers, detached: the mount appears in the container's mount namespace only, and
// vanishes with it.
func (c *container) rootfs(o *order) (*os.File, error) {
	ids, err := c.runtime.idMap(o.appID)
	if err != nil {
		return nil, err
	}
	m := image.Root{Layers: append([]string{floorLayer}, o.layers...), Upper: o.upper, IDs: ids}
	for _, layer := range o.layers {
		if !c.runtime.options.Images.Has(layer) {
			return nil, platform.Errorf(platform.NotFound, "%s needs layer %s, which is not in the store", o.what, layer).
				WithHint("deploy the app again")
		}
	}
	if m.Upper == "" { // the shell has made both
		if err := c.limitDisk(o.limits); err != nil {
			return nil, err
		}
		m.Upper, m.Work = filepath.Join(c.writes, "fs"), filepath.Join(c.writes, "work")
		return c.runtime.options.Images.Mount(c.runtime.life, m)
	}
	m.Work = filepath.Join(filepath.Dir(m.Upper), "work")
	for _, dir := range []string{m.Upper, m.Work} {
		if err := makeOpen(dir); err != nil {
			return nil, err
		}
	}
	return c.runtime.options.Images.Mount(c.runtime.life, m)
}

// makeOpen makes a directory that everybody inside may enter, whatever the umask.
func makeOpen(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return errors.Join(err, os.Chmod(dir, 0o755))
}

func (c *container) bind(o *order, b platform.Bind) (*os.File, error) {
	if !filepath.IsAbs(b.Source) || !filepath.IsAbs(b.Target) || filepath.Clean(b.Target) == "/" {
		return nil, fmt.Errorf("bind %s to %s: both must be absolute paths", b.Source, b.Target)
	}
	ids, err := c.runtime.idMap(o.appID)
	if err != nil {
		return nil, err
	}
	return c.runtime.options.Images.Bind(b.Source, b.ReadOnly, ids)
}

// isFile tells what kind of mount point a bind needs.
func isFile(b platform.Bind) bool {
	info, err := os.Lstat(b.Source)
	return err == nil && !info.IsDir()
}

// blockingPipe makes a pipe both of whose ends go to the container; it belongs to the app's user, who may
// then open /dev/stdout again.
func blockingPipe(uid, gid int) (reader, writer *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	_ = unix.Fchown(fds[1], uid, gid)
	return os.NewFile(uintptr(fds[0]), "log"), os.NewFile(uintptr(fds[1]), "output"), nil
}
