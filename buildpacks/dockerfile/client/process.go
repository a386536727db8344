package client

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"paas/buildpacks/dockerfile/wire"
)

// process is a builder that runs.
type process struct {
	cmd    *exec.Cmd
	serve  *wire.Link // to it
	ours   *wire.Link // from it
	client *http.Client
	server *http.Server
	done   chan struct{}
	failed error // valid after done
}

// endWait is how long a builder may take to put everything away.
const endWait = 20 * time.Second

// start starts a builder. Its mounts are in a namespace of its own: they are gone when it is, however it ends.
func (c *Client) start() (*process, error) {
	serve, theirServe, err := wire.Pair()
	if err != nil {
		return nil, err
	}
	ours, theirs, err := wire.Pair()
	if err != nil {
		return nil, errors.Join(err, serve.Close(), theirServe.Close())
	}
	p := &process{serve: serve, ours: ours, done: make(chan struct{})}
	args := append(append([]string(nil), c.Command[1:]...), "--dir", c.Dir, "--store", c.Images.Path())
	if c.Private {
		args = append(args, "--private")
	}
	scratch, err := c.scratch()
	if err != nil {
		return nil, errors.Join(err, serve.Close(), theirServe.Close(), ours.Close(), theirs.Close())
	}
	p.cmd = exec.Command(c.Command[0], args...) //nolint:gosec // our own program
	p.cmd.Env, p.cmd.Dir, p.cmd.Stderr = append(slices.Clone(c.Environ), "TMPDIR="+scratch), "/", os.Stderr
	p.cmd.ExtraFiles = []*os.File{theirServe, theirs}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Unshareflags: unix.CLONE_NEWNS}
	err = p.cmd.Start()
	_, _ = theirServe.Close(), theirs.Close()
	if err != nil {
		return nil, errors.Join(err, serve.Close(), ours.Close(), os.RemoveAll(scratch))
	}
	p.client = serve.Client()
	p.server = &http.Server{Handler: c.handler(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)} //nolint:gosec // our own process
	go func() { _ = p.server.Serve(ours) }()
	go func() {
		p.failed = p.cmd.Wait()
		_ = os.RemoveAll(scratch) // its mounts have ended with it
		_ = p.server.Close()      // ends what was done for it
		_ = serve.Close()
		close(p.done)
	}()
	return p, nil
}

// scratch makes a directory for a builder's temporary files, which BuildKit leaves when it is killed, and removes what
// one of a crashed daemon left. It is not in the builder's own, which a builder may empty, and whose path may be too
// long for the sockets in it (108 bytes, unix(7)).
func (c *Client) scratch() (string, error) {
	whose := sha256.Sum256([]byte(c.Dir))
	pattern := fmt.Sprintf("paas-build-%x-*", whose[:8])
	old, err := filepath.Glob(filepath.Join(os.TempDir(), pattern))
	for _, dir := range old {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if err != nil {
		return "", err
	}
	return os.MkdirTemp("", pattern)
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// end waits until the builder has put everything away, or kills it.
func (p *process) end() error {
	_ = p.serve.Close()
	select {
	case <-p.done:
		return p.failed
	case <-time.After(endWait):
	}
	_ = p.cmd.Process.Kill()
	<-p.done
	return fmt.Errorf("the builder %d did not end within %s", p.cmd.Process.Pid, endWait)
}
