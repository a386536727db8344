// Package initproc is the first process of a container: it turns fresh namespaces into the container,
// starts the app as its child, keeps the app's output and its exit status, and reaps.
//
//	daemon                                init                                   app
//	  | clone into new namespaces -------> |
//	  | Spec ----------------------------> | mounts
//	  | cgroup, network                    |
//	  | Go ------------------------------> | pivot_root, streams
//	  |                                    | drop privileges, fork, exec ------> |
//	  | <------------------- ReplyStarted  |                                     |
//	  x may die                            | <------------- stdout, stderr lines |
//	                                       | log segments                        |
//	                                       | <------------------------------ exit x
//	                                       | status file
//
// Nothing of the host can be reached from the app through init: init is not dumpable, so its descriptors
// and its program are closed to all who lack its capabilities; every descriptor is close-on-exec; its
// program is a read-only mount; signals other than the ones it handles do not reach the first process
// of a PID namespace (pid_namespaces(7)).
package initproc

import (
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// box is the container in the eyes of its init.
type box struct {
	spec     Spec
	control  *os.File
	root     tree
	made     []string
	children *children
}

// Main is the whole life of the init. It never returns.
func Main() {
	runtime.LockOSThread()
	os.Exit(life())
}

func life() int {
	if err := harden(); err != nil {
		return 1
	}
	b := &box{control: os.NewFile(ControlFD, "control"), children: newChildren()}
	if err := b.receive(&b.spec); err != nil {
		return 1
	}
	app, err := b.start()
	if err != nil {
		b.report(Reply{Kind: ReplyFailed, Text: err.Error(), Errno: int(errnoOf(err))})
		return 1
	}
	return b.live(app)
}

// harden comes before anything else: from here on nobody but the host's root may look at init, and
// nothing that was inherited survives an exec.
func harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return err
	}
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return err
	}
	_ = unix.Close(ExeFD)
	unix.Umask(0o022)
	return unix.SetNonblock(ControlFD, true)
}

type decoder interface{ Decode([]byte) error }

func (b *box) receive(m decoder) error {
	payload, _, err := Receive(b.control)
	if err != nil {
		return err
	}
	return m.Decode(payload)
}

func (b *box) report(r Reply, fds ...int) { _ = Send(b.control, r.Encode(), fds...) }

// start makes the container and executes the app in it.
func (b *box) start() (*app, error) {
	b.root = tree{fd: b.spec.Rootfs, made: &b.made}
	if err := b.build(); err != nil {
		return nil, err
	}
	g := &Go{}
	if err := b.receive(g); err != nil {
		return nil, fail("wait for the network", err)
	}
	if err := b.finish(g); err != nil {
		return nil, err
	}
	b.spec.Process.Env = append(b.spec.Process.Env, g.Env...)
	if err := b.enterDir(); err != nil {
		return nil, err
	}
	_ = unix.Close(b.root.fd)
	b.raiseFileLimit()
	return b.startApp()
}

// raiseFileLimit sets the soft limit as far as the hard one lets it: raising that needs CAP_SYS_RESOURCE.
func (b *box) raiseFileLimit() {
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) != nil {
		return
	}
	lim.Cur = min(uint64(b.spec.OpenFiles), lim.Max)
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &lim)
}

// live serves until the app ends, then ends everything else and says how the app ended.
func (b *box) live(a *app) int {
	b.report(Reply{Kind: ReplyStarted, Made: b.made})
	b.tether()
	go b.serveExec()
	status := <-a.ended
	at := time.Now()
	b.children.killAll()
	a.output.Wait()
	b.writeStatus(status, at)
	return 0
}

// tether ends the container with its daemon, or lets the daemon go.
func (b *box) tether() {
	if !b.spec.Tethered {
		_ = b.control.Close()
		return
	}
	go func() {
		_, _, _ = Receive(b.control)
		os.Exit(1)
	}()
}
