package gitreceive

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/gliderlabs/ssh"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"paas/platform"
)

// A push (gitprotocol-pack(5)):
//
//	server  refs and capabilities
//	client  old new ref, …, flush, pack
//	server  side-band 2: the story; side-band 1: unpack ok, ok/ng ref, …, flush; flush
//
// Nothing of it touches the repository before the new release serves.

const aliveEvery = 5 * time.Second

// reception is one push on its way in.
type reception struct {
	*Server
	actor platform.Actor
	app   platform.App
	repo  *filesystem.Storage
	req   *packp.ReferenceUpdateRequest
	band  *band
	held  *quarantine
}

func (s *Server) receivePack(ctx context.Context, session ssh.Session, actor platform.Actor, name string) error {
	app, created, err := s.Platform.OpenPush(ctx, actor, name)
	if err != nil {
		return err
	}
	repo, err := s.Repos.open(app)
	if err != nil {
		return err
	}
	if err := advertise(session, repo, receiveCapabilities, false); err != nil {
		return fmt.Errorf("advertise refs: %w", err)
	}
	in := bufio.NewReaderSize(session, 64<<10)
	if first, err := in.Peek(4); err != nil || string(first) == "0000" {
		return nil // a client that finds nothing to push just goes, politely or not
	}
	req := packp.NewReferenceUpdateRequest()
	if err := req.Decode(in); err != nil {
		return platform.Errorf(platform.Failed, "that is not a push: %v", err)
	}
	if req.Shallow != nil {
		return platform.Errorf(platform.Failed, "a shallow clone cannot be pushed: run git fetch --unshallow first")
	}
	r := &reception{Server: s, actor: actor, app: app, repo: repo, req: req}
	r.band = newBand(session, req.Capabilities.Supports(capability.Sideband64k))
	if created {
		_, _ = fmt.Fprintf(r.band, "-----> Created the app %s\n", app.Name)
	}
	return r.receive(ctx, session)
}

var receiveCapabilities = []capability.Capability{
	capability.ReportStatus, capability.DeleteRefs, capability.Sideband64k, capability.Quiet,
	capability.OFSDelta, "no-thin",
}

func (r *reception) receive(ctx context.Context, session ssh.Session) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go r.band.keepAlive(ctx, aliveEvery, cancel)
	status := packp.NewReportStatus()
	status.UnpackStatus = "ok"
	results, err := r.work(ctx)
	if err != nil {
		status.UnpackStatus = packReason(err)
	}
	for _, c := range r.req.Commands {
		result := "ok"
		if err != nil {
			result = "unpacker error"
		} else if refused := results[c.Name]; refused != nil {
			result = packReason(refused)
		}
		status.CommandStatuses = append(status.CommandStatuses, &packp.CommandStatus{ReferenceName: c.Name, Status: result})
	}
	return r.report(session, status)
}

func (r *reception) report(session ssh.Session, status *packp.ReportStatus) error {
	if !r.req.Capabilities.Supports(capability.ReportStatus) {
		return nil
	}
	var text bytes.Buffer
	if err := status.Encode(&text); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := r.band.data(text.Bytes()); err != nil {
		return nil // the client is gone
	}
	if r.band.mux != nil {
		_ = pktline.NewEncoder(session).Flush()
	}
	return nil
}

// work unpacks the push and carries out its commands. The error is about the pack; each command has an
// answer of its own, nil when its ref moved.
func (r *reception) work(ctx context.Context) (map[plumbing.ReferenceName]error, error) {
	var err error
	if r.held, err = newQuarantine(r.repo, r.Repos.path(r.app)); err != nil {
		r.Log.Error("receive", "app", r.app.Name, "err", err)
		return nil, errors.New("the server cannot store it")
	}
	defer func() { _ = r.held.remove() }()
	if r.bringsPack() {
		if err := r.held.unpack(r.req.Packfile); err != nil {
			return nil, err
		}
	}
	leave, err := r.Repos.enter(ctx, r.app, r.actor.Name+"'s push", func(holder string) {
		_, _ = fmt.Fprintf(r.band, "-----> Waiting for %s to finish\n", holder)
	})
	if err != nil {
		return nil, err
	}
	defer leave()
	results := map[plumbing.ReferenceName]error{}
	for _, c := range r.req.Commands {
		results[c.Name] = r.tell(r.carryOut(ctx, c))
	}
	return results, nil
}

func (r *reception) bringsPack() bool {
	for _, c := range r.req.Commands {
		if c.Action() != packp.Delete {
			return true
		}
	}
	return false
}

// tell shows a refusal to the pusher, and shortens it for git's own line.
func (r *reception) tell(err error) error {
	if err == nil {
		return nil
	}
	var e *platform.Error
	if !asError(err, &e) {
		r.Log.Error("push", "app", r.app.Name, "err", err)
		e = platform.Errorf(platform.Internal, "something went wrong on the server")
	}
	_, _ = fmt.Fprintf(r.band, " !     %s\n", e.Message)
	if e.Hint != "" {
		_, _ = fmt.Fprintf(r.band, "       %s\n", e.Hint)
	}
	return errors.New(strings.TrimSpace(e.Message))
}

// carryOut does one command: a push of the deploy branch deploys before its ref moves.
func (r *reception) carryOut(ctx context.Context, c *packp.Command) error {
	if err := r.unchanged(c); err != nil {
		return err
	}
	deploys, err := r.deploys(ctx, c)
	if err != nil {
		return err
	}
	if c.Action() == packp.Delete {
		return r.moveRef(c)
	}
	if err := r.held.connected(ctx, c.New); err != nil {
		return err
	}
	if deploys {
		if err := r.deploy(ctx, c); err != nil {
			return err
		}
	}
	if err := r.held.accept(); err != nil {
		return err
	}
	return r.moveRef(c)
}

// unchanged compares what the client saw with what is there now that the lane is ours.
func (r *reception) unchanged(c *packp.Command) error {
	have := plumbing.ZeroHash
	if ref, err := storageAt(r.Repos.path(r.app)).Reference(c.Name); err == nil {
		have = ref.Hash()
	}
	if have != c.Old {
		return platform.Errorf(platform.Conflict, "%s moved meanwhile: fetch first", shortRef(c.Name))
	}
	return nil
}

// deploys tells whether the command's ref is the deploy branch, and refuses what may not be pushed.
func (r *reception) deploys(ctx context.Context, c *packp.Command) (bool, error) {
	switch {
	case c.Name.IsTag():
		return false, nil
	case !c.Name.IsBranch():
		return false, platform.Errorf(platform.Usage, "only branches and tags can be pushed, not %s", c.Name)
	}
	app, err := r.Platform.OpenFetch(ctx, r.actor, string(r.app.Name)) // its branch may be set by now
	if err != nil {
		return false, err
	}
	deploys := app.DeployBranch
	if deploys == "" {
		deploys = r.firstBranch()
	}
	isIt := c.Name.Short() == deploys
	if isIt && c.Action() == packp.Delete {
		return false, platform.Errorf(platform.Conflict, "%s is the deploy branch of %s and cannot be deleted", deploys, r.app.Name)
	}
	if !isIt && c.Action() != packp.Delete {
		return false, platform.Errorf(platform.Usage, "%s deploys from %s, not from %s", r.app.Name, deploys, c.Name.Short()).
			WithHint("git push paas %s:%s deploys what you have there", c.Name.Short(), deploys)
	}
	return isIt, nil
}

// firstBranch is the branch that a first push makes the deploy branch.
func (r *reception) firstBranch() string {
	for _, c := range r.req.Commands {
		if c.Name.IsBranch() && c.Action() != packp.Delete {
			return c.Name.Short()
		}
	}
	return ""
}

func (r *reception) deploy(ctx context.Context, c *packp.Command) error {
	source, err := r.held.sourceOf(ctx, c.New)
	if err != nil {
		return err
	}
	_, err = r.Platform.Push(ctx, platform.Push{
		Actor: r.actor, App: r.app, Branch: c.Name.Short(), Commit: c.New.String(), Source: source, Out: r.band,
	})
	if err != nil {
		return err
	}
	// From here on the release serves: finish whatever the client does.
	ctx = context.WithoutCancel(ctx)
	branch, err := r.Platform.DeployBranch(ctx, r.app, c.Name.Short())
	if err != nil {
		return err
	}
	r.app.DeployBranch = branch
	r.repo, err = r.Repos.open(r.app) // points HEAD at it
	return err
}

// moveRef writes or deletes the ref, durably.
func (r *reception) moveRef(c *packp.Command) error {
	if c.Action() == packp.Delete {
		if err := r.repo.RemoveReference(c.Name); err != nil {
			return fmt.Errorf("delete %s: %w", c.Name, err)
		}
		return syncDir(r.Repos.path(r.app))
	}
	path := filepath.Join(r.Repos.path(r.app), filepath.FromSlash(c.Name.String()))
	if err := r.repo.SetReference(plumbing.NewHashReference(c.Name, c.New)); err != nil {
		return fmt.Errorf("move %s: %w", c.Name, err)
	}
	return writeDurably(path, []byte(c.New.String()+"\n"), 0o600)
}
