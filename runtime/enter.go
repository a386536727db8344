package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/script"
)

// Enter implements platform.Living. The instance's own init runs the command. Its streams, a PTY of the
// container's own devpts among them, are made here and handed over.
func (r *Runtime) Enter(ctx context.Context, id platform.InstanceID, cmd platform.Command, stdin io.Reader, stdout, stderr io.Writer) (platform.Exit, error) {
	c, err := r.awake(id)
	if err != nil {
		return platform.Exit{}, err
	}
	if len(cmd.Argv) == 0 {
		return platform.Exit{}, platform.Errorf(platform.Usage, "there is no command to run in %s", id)
	}
	s, err := c.entry(cmd)
	if err != nil {
		return platform.Exit{}, fmt.Errorf("enter %s: %w", id, err)
	}
	exit, err := s.run(ctx, c, stdin, stdout, stderr)
	if err != nil {
		return platform.Exit{}, fmt.Errorf("run %s in %s: %w", cmd.Argv[0], id, err)
	}
	return exit, nil
}

// entry is a command that enters a container, with both ends of its streams.
type entry struct {
	streams
	cmd      platform.Command
	master   *os.File    // of its PTY, or nil
	settling atomic.Bool // the command has ended
}

func (c *container) entry(cmd platform.Command) (*entry, error) {
	e := &entry{cmd: cmd}
	if cmd.Terminal != nil {
		if cmd.Terminal.Term != "" {
			e.cmd.Env = append([]string{"TERM=" + cmd.Terminal.Term}, cmd.Env...)
		}
		return e, e.openTerminal(c)
	}
	uid, gid := c.owner()
	for i := range e.ours {
		var err error
		if e.ours[i], e.theirs[i], err = pipe(i > 0, uid, gid); err != nil {
			e.handOver()
			e.close()
			return nil, err
		}
	}
	return e, nil
}

// owner is who owns what the app may open again: its user, whom nobody wrote down but the kernel.
func (c *container) owner() (uid, gid int) {
	for _, pid := range c.members() {
		var st unix.Stat_t
		if pid != c.init.pid && unix.Stat("/proc/"+strconv.Itoa(pid), &st) == nil && st.Uid != 0 {
			return int(st.Uid), int(st.Gid)
		}
	}
	return -1, -1
}

// openTerminal makes a PTY in the container's devpts, so that tty(1) and /dev/tty work inside. The
// multiplexer is looked up in the container's root, where the app may have put something else: it must
// be the kernel's own device on a devpts. The slave is taken through the master, not by a path.
func (e *entry) openTerminal(c *container) error {
	root, ids, err := c.root()
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	how := unix.OpenHow{
		Flags: unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC | unix.O_NONBLOCK, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS,
	}
	master, err := unix.Openat2(int(root.Fd()), "/dev/pts/ptmx", &how)
	if err != nil {
		return fmt.Errorf("open a terminal: %w", err)
	}
	e.master = os.NewFile(uintptr(master), "terminal")
	if err := e.openSlave(master, c, ids.Base); err != nil {
		e.handOver()
		return errors.Join(fmt.Errorf("open a terminal: %w", err), e.master.Close())
	}
	return nil
}

func (e *entry) openSlave(master int, c *container, base uint32) error {
	if err := checkMultiplexer(master); err != nil {
		return err
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return err
	}
	slave, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return errno
	}
	e.theirs[0] = os.NewFile(slave, "slave")
	if uid, _ := c.owner(); uid >= 0 {
		_ = unix.Fchown(int(slave), uid, int(base)+ttyGroup)
	}
	t := e.cmd.Terminal
	setSize(e.master, platform.Size{Cols: t.Cols, Rows: t.Rows})
	for i := 1; i < 3; i++ {
		var err error
		if e.theirs[i], err = dup(e.theirs[0]); err != nil {
			return err
		}
	}
	return nil
}

const ttyGroup = 5 // Debian's, and what the container's devpts is mounted with

// checkMultiplexer: character device 5:2 on a devpts (devices.txt).
func checkMultiplexer(fd int) error {
	var st unix.Stat_t
	var fs unix.Statfs_t
	if err := errors.Join(unix.Fstat(fd, &st), unix.Fstatfs(fd, &fs)); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(5, 2) || fs.Type != unix.DEVPTS_SUPER_MAGIC {
		return errors.New("the container's /dev/pts/ptmx is not a terminal multiplexer")
	}
	return nil
}

// run hands the command to init and copies until it ended.
func (e *entry) run(ctx context.Context, c *container, stdin io.Reader, stdout, stderr io.Writer) (platform.Exit, error) {
	defer e.end()
	conn, err := dial(c.dir, execSocket)
	if err != nil {
		e.handOver()
		return platform.Exit{}, err
	}
	defer func() { _ = conn.Close() }()
	init := script.Wrap(conn)
	err = request(init, e.cmd.Argv, e.cmd.Env, e.theirs, e.master != nil)
	e.handOver()
	if err != nil {
		return platform.Exit{}, err
	}
	ended, left := make(chan struct{}), make(chan struct{})
	e.connect(stdin, stdout, stderr, ended)
	stop := context.AfterFunc(ctx, func() {
		defer close(left)
		e.leave(c, init, ended)
		_ = conn.SetDeadline(time.Unix(1, 0))
	})
	c.runtime.work.Go(func() { relay(e.cmd.Signals, ended, e.deliver(init)) })
	exit, err := c.awaitReply(init)
	close(ended)
	if !stop() {
		<-left
	}
	e.settle(ctx)
	if ctx.Err() != nil {
		return platform.Exit{}, context.Cause(ctx)
	}
	return exit, err
}

// connect begins to copy between the caller's streams and the command's.
func (e *entry) connect(stdin io.Reader, stdout, stderr io.Writer, ended <-chan struct{}) {
	if e.master == nil {
		go feed(e.ours[0], stdin)
		e.copyOut(e.ours[1], stdout)
		e.copyOut(e.ours[2], stderr)
		return
	}
	go typeInto(e.master, stdin)
	e.copyOut(e.master, stdout)
	go follow(e.master, e.cmd.Terminal.Resize, ended)
}

// follow sets the terminal's size as the caller's window changes.
func follow(master *os.File, sizes <-chan platform.Size, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case size, open := <-sizes:
			if !open {
				return
			}
			setSize(master, size)
		}
	}
}

// feed gives the command the caller's input and tells it where that ends.
func feed(to *os.File, stdin io.Reader) {
	defer func() { _ = to.Close() }()
	if stdin != nil {
		_, _ = io.Copy(to, stdin)
	}
}

// copyOut copies until the command's end of a stream is closed, or, after settle has set a deadline,
// until nothing comes any more. It goes on reading when the caller takes no more: the command must not
// hang on it.
func (e *entry) copyOut(from *os.File, to io.Writer) {
	e.copies.Go(func() {
		b := make([]byte, 32<<10)
		glanced := false
		for late := 0; late < maxLate; {
			n, err := from.Read(b)
			if n > 0 && to != nil {
				if _, failed := to.Write(b[:n]); failed != nil {
					to = nil
				}
			}
			if errors.Is(err, os.ErrDeadlineExceeded) && !glanced {
				_ = from.SetReadDeadline(time.Now().Add(lastGlance))
			} else if err != nil {
				return
			}
			glanced = err != nil
			if e.settling.Load() {
				late += n
			}
		}
	})
}

// What the command left running may write for ever: after its end no more is copied than fits a pipe
// many times over, and a stream that is empty is looked at once more.
const (
	maxLate    = 4 << 20 // bytes
	lastGlance = 10 * time.Millisecond
)

// settle waits for the rest of the output. What the command left running may hold the streams for ever,
// so there is an end to it.
func (e *entry) settle(ctx context.Context) {
	e.settling.Store(true)
	limit := time.Now().Add(outputPatience)
	for _, f := range []*os.File{e.ours[1], e.ours[2], e.master} {
		if f != nil {
			_ = f.SetReadDeadline(limit)
		}
	}
	done := make(chan struct{})
	go func() { e.copies.Wait(); close(done) }()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	select {
	case <-done:
	case <-time.After(drainGrace):
	}
}

// end closes our ends. A shell that still runs on the terminal is hung up by that.
func (e *entry) end() {
	e.close()
	if e.master != nil {
		_ = e.master.Close()
	}
}
