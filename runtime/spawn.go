package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/image"
	"paas/runtime/initproc"
)

// Names in an instance's directory.
const (
	statusFile = "status"
	writesDir  = "writes" // holds fs and work, and nothing else
	execSocket = "exec.sock"
	initErrors = "init.err"
)

const segmentBytes = 5 << 20 // of each of the two log segments of an instance

// handover is the files a new init inherits. They are the handover's own and closed after the clone.
type handover struct {
	files []*os.File
	errs  []error
}

// add takes a file and tells its number in the init.
func (h *handover) add(f *os.File, err error) int {
	h.errs = append(h.errs, err)
	if err != nil {
		return initproc.None
	}
	h.files = append(h.files, f)
	return len(h.files) - 1
}

func (h *handover) close() {
	for _, f := range h.files {
		_ = f.Close()
	}
}

// spawn clones the container's init into new namespaces and sends it its spec.
func (c *container) spawn(o *order) error {
	h := &handover{}
	defer h.close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	h.add(null, err)
	h.add(dup(null))
	h.add(os.OpenFile(filepath.Join(c.dir, initErrors), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600))
	control, theirs, err := socketPair()
	c.control = control
	h.add(theirs, err)
	h.add(dup(c.runtime.program))
	spec := c.spec(o, h)
	if err := errors.Join(h.errs...); err != nil {
		return fmt.Errorf("prepare %s: %w", o.what, err)
	}
	if c.init, err = c.clone(o, h); err != nil {
		return fmt.Errorf("start %s: %w", o.what, err)
	}
	// An error here means that init died: awaitStart finds out why.
	_ = initproc.Send(c.control, spec.Encode())
	return nil
}

func (c *container) clone(o *order, h *handover) (*process, error) {
	base, err := uidBase(o.appID)
	if err != nil {
		return nil, err
	}
	group, err := c.group.open()
	if err != nil {
		return nil, err
	}
	pidfd := -1
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: int(base), Size: rangeSize}}
	attr := &syscall.ProcAttr{
		Dir: "/",
		Env: []string{"GOMAXPROCS=1", "GOGC=20", "GOTRACEBACK=single"}, // init idles; it shall stay small
		Sys: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET |
				unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
			UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true,
			Credential: &syscall.Credential{},
			Setsid:     true, // a Ctrl-C on the daemon's terminal is not for containers
			PidFD:      &pidfd,
		},
	}
	if group != nil {
		defer func() { _ = group.Close() }()
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, int(group.Fd())
	}
	for _, f := range h.files {
		attr.Files = append(attr.Files, f.Fd())
	}
	// By descriptor: the program's directory may be closed to the container's ids.
	path := "/proc/self/fd/" + strconv.Itoa(initproc.ExeFD)
	pid, err := syscall.ForkExec(path, []string{initproc.Name}, attr)
	if err != nil {
		return nil, fmt.Errorf("clone: %w", err)
	}
	return holdProcess(pid, pidfd)
}

// spec describes the container to its init; what is in it by number goes into the handover.
func (c *container) spec(o *order, h *handover) *initproc.Spec {
	rights := c.runtime.rightsOf(o.uid)
	s := &initproc.Spec{
		Hostname: o.host, Masked: maskedPaths(), ReadOnly: readOnlyPaths(),
		Rootfs: h.add(c.rootfs(o)), StopSignal: int(o.stopSignal),
		Process: initproc.Process{
			Argv: o.argv, Env: o.environ(), Dir: o.dir, UID: int(o.uid), GID: int(o.gid),
			Caps: rights.caps, Filter: rights.filter,
		},
		Stdin: initproc.None, Stdout: initproc.None, Stderr: initproc.None,
		Log: [2]int{initproc.None, initproc.None}, LogLimit: segmentBytes, Exec: initproc.None,
		Status:   h.add(os.OpenFile(filepath.Join(c.dir, statusFile), os.O_CREATE|os.O_WRONLY, 0o600)),
		Tethered: c.record.Passing, ShowCgroup: c.runtime.groups.v2,
		OpenFiles: 65536, OOMScore: 300, SharedMemory: 64 << 20,
	}
	for _, b := range o.binds {
		s.Mounts = append(s.Mounts, c.bind(o, b, h))
	}
	c.streams(o, s, h)
	return s
}

// streams says where the app reads and writes.
func (c *container) streams(o *order, s *initproc.Spec, h *handover) {
	if o.terminal != nil {
		s.Terminal = &initproc.Terminal{Cols: o.terminal.Cols, Rows: o.terminal.Rows}
		return
	}
	if o.stdio != nil {
		s.Stdin, s.Stdout, s.Stderr = h.add(dup(o.stdio[0])), h.add(dup(o.stdio[1])), h.add(dup(o.stdio[2]))
		return
	}
	segments, err := c.runtime.openLog(&c.record)
	s.Log = [2]int{h.add(segments[0], err), h.add(segments[1], err)}
	s.Exec = h.add(listen(c.dir, execSocket))
}

// rootfs mounts the layers, detached: the mount appears in the container's mount namespace only, and
// vanishes with it.
func (c *container) rootfs(o *order) (*os.File, error) {
	ids, err := c.runtime.idMap(o.appID)
	if err != nil {
		return nil, err
	}
	m := image.Root{Layers: o.layers, Upper: o.upper, IDs: ids}
	for _, layer := range o.layers {
		if !c.runtime.options.Images.Has(layer) {
			return nil, platform.Errorf(platform.NotFound, "%s needs layer %s, which is not in the store", o.what, layer).
				WithHint("deploy the app again")
		}
	}
	if m.Upper == "" {
		m.Upper = filepath.Join(c.dir, writesDir, "fs")
		if err := c.limitDisk(o.limits); err != nil {
			return nil, err
		}
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

func (c *container) bind(o *order, b platform.Bind, h *handover) initproc.Mount {
	m := initproc.Mount{Target: filepath.Clean(b.Target)}
	if !filepath.IsAbs(b.Source) || !filepath.IsAbs(b.Target) || m.Target == "/" {
		h.errs = append(h.errs, fmt.Errorf("bind %s to %s: both must be absolute paths", b.Source, b.Target))
		return m
	}
	info, err := os.Lstat(b.Source)
	if err != nil {
		h.errs = append(h.errs, fmt.Errorf("bind: %w", err))
		return m
	}
	m.File = !info.IsDir()
	ids, err := c.runtime.idMap(o.appID)
	if err != nil {
		h.errs = append(h.errs, err)
		return m
	}
	m.FD = h.add(c.runtime.options.Images.Bind(b.Source, b.ReadOnly, ids))
	return m
}
