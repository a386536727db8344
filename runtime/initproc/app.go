package initproc

import (
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"paas/runtime/ring"
)

// app is the process the container is for.
type app struct {
	ended  <-chan unix.WaitStatus
	output sync.WaitGroup // the pumps into the log
}

// startApp gives the app its streams and executes it.
func (b *box) startApp() (*app, error) {
	a := &app{}
	own, err := b.streams(a)
	if err != nil {
		return nil, err
	}
	defer closeAll(own[:])
	// Signals that arrive before the app is there wait in the channel.
	signals := b.children.listen()
	pid, ended, err := b.children.start(launch{process: b.spec.Process, stdio: own, terminal: b.spec.Terminal != nil})
	if err != nil {
		return nil, err
	}
	a.ended = ended
	raiseOOMScore(pid, b.spec.OOMScore)
	go b.children.serve(signals, pid, unix.Signal(b.spec.StopSignal))
	return a, nil
}

// raiseOOMScore makes the kernel take the app before its init and before the daemon.
func raiseOOMScore(pid, score int) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	_, _ = unix.Write(fd, []byte(strconv.Itoa(score)))
	_ = unix.Close(fd)
}

// streams are the app's stdin, stdout and stderr. The caller closes them after the app was started.
func (b *box) streams(a *app) (own [3]int, err error) {
	if b.spec.Terminal != nil {
		return b.openTerminal()
	}
	own = [3]int{b.spec.Stdin, b.spec.Stdout, b.spec.Stderr}
	if own[0] == None {
		if own[0], err = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return own, fail("open /dev/null", err)
		}
	}
	if own[1] != None {
		return own, nil
	}
	log := ring.NewWriter(b.spec.Log[0], b.spec.Log[1], int64(b.spec.LogLimit))
	for i, stream := range map[int]byte{1: ring.Stdout, 2: ring.Stderr} {
		if own[i], err = b.pump(a, log, stream); err != nil {
			return own, err
		}
	}
	return own, nil
}

// pump makes a pipe whose lines go to the log, and gives its writing end. The pipe belongs to the app's
// user, who may then open /dev/stdout again.
func (b *box) pump(a *app, log *ring.Writer, stream byte) (int, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return None, fail("make a pipe", err)
	}
	_ = unix.Fchown(p[1], b.spec.Process.UID, b.spec.Process.GID)
	_ = unix.SetNonblock(p[0], true)
	a.output.Add(1)
	go func() {
		defer a.output.Done()
		copyLines(os.NewFile(uintptr(p[0]), "output"), log, stream)
	}()
	return p[1], nil
}

// copyLines ends when no process has the pipe open any more.
func copyLines(from *os.File, log *ring.Writer, stream byte) {
	defer func() { _ = from.Close() }()
	lines := ring.Lines{Stream: stream}
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		now := time.Now().UnixNano()
		if n > 0 {
			log.Append(lines.Cut(b[:n], now)...)
		}
		if err != nil {
			log.Append(lines.Rest(now)...)
			return
		}
	}
}

// writeStatus leaves the exit status for whoever watches then: "code signal nanoseconds".
func (b *box) writeStatus(status unix.WaitStatus, at time.Time) {
	code, signal := codeOf(status)
	text := strconv.Itoa(code) + " " + strconv.Itoa(signal) + " " + strconv.FormatInt(at.UnixNano(), 10) + "\n"
	_, _ = unix.Pwrite(b.spec.Status, []byte(text), 0)
}

// codeOf follows the shell: 128+n when signal n ended it.
func codeOf(status unix.WaitStatus) (code, signal int) {
	if status.Signaled() {
		return 128 + int(status.Signal()), int(status.Signal())
	}
	return status.ExitStatus(), 0
}
