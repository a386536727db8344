package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"paas/platform"
	"paas/router/handover"
	"paas/router/sockets"
)

// The two sides of a handover; package handover tells what must hold.

// How long the steps of a handover may take.
const (
	readyPatience   = 30 * time.Second // a successor, until it has read its settings
	servingPatience = 2 * time.Minute  // until it serves, from the moment that everything is its
	quietStep       = 50 * time.Millisecond
	quietCheck      = time.Second // for a session that came as the door was closed
	watchWait       = time.Second // for a session that only watches to finish what it writes
	killWait        = 10 * time.Second
)

// successor is the process that takes over, as its predecessor sees it.
type successor struct {
	cmd    *exec.Cmd
	link   *handover.Link
	exited chan struct{}
	claim  claim

	followed chan bool // its routes are followed no longer, because the service ends or it has ended
}

// callSuccessor starts the program that lies where ours lay, with every socket, and waits until it is ready.
func (d *daemon) callSuccessor(ctx context.Context) (*successor, error) {
	link, theirs, err := handover.Pair()
	if err != nil {
		return nil, err
	}
	defer func() { _ = theirs.Close() }()
	files := append([]*os.File{theirs}, d.sockets.Files()...)
	s := &successor{link: link, exited: make(chan struct{}), cmd: exec.CommandContext(context.WithoutCancel(ctx), d.program, append([]string{"serve"}, d.args...)...)}
	s.cmd.Env, s.cmd.ExtraFiles = sockets.Bequeath(os.Environ(), files), files
	s.cmd.Stdout, s.cmd.Stderr = d.env.stdout, d.env.stderr
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start a successor: %w", err), link.Close())
	}
	go func() { _ = s.cmd.Wait(); close(s.exited) }()
	_ = theirs.Close() // so that the end of the child is the end of the line
	if err := link.Await(handover.Ready, readyPatience); err != nil {
		s.kill()
		return nil, platform.Errorf(platform.Failed, "the program %s did not come up in place of this one", d.program).
			Because(err).WithHint("what it said is in the log: journalctl -u paas -n 50")
	}
	return s, nil
}

// kill ends a successor that could not take over, before anything is decided without it.
func (s *successor) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	select {
	case <-s.exited:
	case <-time.After(killWait):
	}
	_ = s.link.Close()
}

// abdicate ends the reign with clients still there: sessions that do something end first, for as long as the
// settings give them, and those that come meanwhile wait in the sockets' queues.
func (r *reign) abdicate(ctx context.Context) {
	patient, cancel := context.WithTimeout(ctx, r.settings.sessionWait())
	defer cancel()
	for !r.quiet(patient) && patient.Err() == nil {
		r.resumeDoors()
	}
	r.log.Info("a successor takes over", "process", os.Getpid())
	r.traffic.Settle()
	r.registry.close()
	watching, cancel := context.WithTimeout(context.WithoutCancel(ctx), watchWait)
	defer cancel()
	if err := ignoreDeadline(r.door.Shutdown(watching)); err != nil {
		r.log.Error("close the doors", "err", err)
	}
}

// quiet waits for a moment in which nobody is busy, with the doors closed and nothing slipped in.
func (r *reign) quiet(ctx context.Context) bool {
	if !r.awaitIdle(ctx) {
		return false
	}
	r.ssh.Pause()
	r.local.Pause()
	check, cancel := context.WithTimeout(ctx, quietCheck)
	defer cancel()
	return r.awaitIdle(check)
}

func (r *reign) resumeDoors() {
	if err := errors.Join(r.ssh.Resume(), r.local.Resume()); err != nil {
		r.log.Error("open the doors again", "err", err)
	}
}

func (r *reign) awaitIdle(ctx context.Context) bool {
	for r.door.Busy()+r.registry.Busy() > 0 {
		select {
		case <-time.After(quietStep):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// giveWay hands everything over. After an error the successor is dead, and this process has to decide again.
func (d *daemon) giveWay(s *successor) error {
	d.log.Info("let go of everything")
	serving := make(chan struct{})
	s.followed = make(chan bool, 1)
	err := s.link.Send(handover.Message{Say: handover.Yours})
	go func() { s.followed <- d.traffic.Follow(s.link, func() { close(serving) }) }()
	if err == nil {
		select {
		case <-serving:
			return nil
		case <-s.followed:
			err = errors.New("it ended before it served")
		case <-time.After(servingPatience):
			err = fmt.Errorf("it does not serve after %v", servingPatience)
		}
	}
	s.kill()
	s.claim.answer(0, platform.Errorf(platform.Failed, "the new program did not come up; the old one serves on").
		Because(err).WithHint("what it said is in the log: journalctl -u paas -n 50"))
	return err
}

// drain finishes what clients have begun, after the successor serves.
func (d *daemon) drain(ctx context.Context, s *successor) {
	pid := s.cmd.Process.Pid
	d.http.socket.Pause()
	if d.https != nil {
		d.https.socket.Pause()
	}
	if d.quic != nil {
		d.quic.Leave() // the successor reads from it now
	}
	d.ports.Pause()
	d.sockets.Leave()
	if ctx.Err() != nil { // the service was to end meanwhile; it is the successor's now
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
	}
	if err := d.systemd.Say("MAINPID=" + strconv.Itoa(pid)); err != nil {
		d.log.Warn("tell systemd", "err", err)
	}
	_ = s.link.Send(handover.Message{Say: handover.Main}) // when it has ended, systemd knows
	s.claim.answer(pid, nil)
	d.log.Info("handed over; finishing what is open", "successor", pid, "at most", d.settings.drainWait())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		if <-s.followed {
			cancel()
		}
	}()
	drained, stop := graceAfter(ctx, d.settings.drainWait(), shutdownWait)
	defer stop()
	if err := d.closeTraffic(drained, d.settings.drainWait()); err != nil {
		d.log.Error("finish what is open", "err", err)
	}
}

// graceAfter ends after limit, or grace after ctx ends if that is sooner.
func graceAfter(ctx context.Context, limit, grace time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithTimeout(context.Background(), limit)
	context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return out, cancel
}

// succeed waits until a predecessor hands over, if there is one.
func (d *daemon) succeed() error {
	if d.before == nil {
		return nil
	}
	err := d.before.Send(handover.Message{Say: handover.Ready})
	if err == nil {
		err = d.before.Await(handover.Yours, d.settings.sessionWait()+servingPatience)
	}
	if err != nil && d.systemd.Path != "" {
		return fmt.Errorf("take over: %w", err) // systemd starts another one
	}
	if err != nil {
		d.log.Warn("the predecessor ended before it handed over; going on without", "err", err)
		d.before = nil
		return nil
	}
	d.log.Info("takes over")
	d.traffic.Lead(d.before)
	go d.hear()
	return nil
}

// hear listens to the predecessor until it has ended.
func (d *daemon) hear() {
	main := false
	d.traffic.Hear(d.before, func() {
		main = true
		d.sockets.KeptBy(d.systemd)
		if err := d.systemd.Say("READY=1"); err != nil {
			d.log.Warn("tell systemd", "err", err)
		}
	})
	if !main && d.systemd.Path != "" {
		close(d.orphaned)
	}
	d.log.Info("the predecessor has ended")
}
