package gitreceive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"paas/gitreceive/pack"
	"paas/platform"
)

// A push, as git's pack protocol (gitprotocol-pack(5)) has it:
//
//	client                         server
//	git-receive-pack 'hello'
//	                               refs, capabilities, flush
//	commands, flush, pack
//	                               judge      by name: which branch deploys
//	                               unpack     into the quarantine, checked
//	                               lane       one push an app; the others wait
//	                               inspect    connected? commits? did the ref move?
//	     "remote: -----> …" <----  Platform.Push builds and deploys
//	                               admit      objects move into the repository
//	                               move       the refs move
//	     report-status      <----  "ok refs/heads/main", or "ng refs/heads/main build failed"
//
// Until admit nothing of the push is in the repository; a quarantine is deleted however the push ends.
type push struct {
	door   *Server
	client *client
	app    platform.App
	repo   *repo
	req    *request
	all    verdicts
	screen *screen
	unread bool  // the client still sends its pack
	came   error // what it failed of; nil if all was taken
	entry  *platform.Entry
}

// receivePack serves one push and returns the exit status.
func (d *Server) receivePack(c *client, name string) int {
	app, created, err := d.options.Platform.OpenPush(c.ctx, c.actor, name)
	if err != nil {
		return d.turnAway(c, name, err)
	}
	repo, err := d.options.Repos.open(app)
	if err != nil {
		return d.turnAway(c, name, err)
	}
	refs, err := repo.refs()
	if err != nil {
		return d.turnAway(c, name, err)
	}
	if err := advertiseReceive(c.out, refs); err != nil {
		return 1
	}
	req, err := readRequest(c.in)
	if err != nil {
		return d.complain(c, platform.Errorf(platform.Usage, "the push is not understood").Because(err))
	}
	if len(req.commands) == 0 {
		return 0
	}
	p := &push{door: d, client: c, app: app, repo: repo, req: req, screen: newScreen(c.ctx, c.out, req.able)}
	return p.serve(created, refs)
}

func advertiseReceive(out io.Writer, refs map[plumbing.ReferenceName]pack.ID) error {
	adv := packp.NewAdvRefs()
	for name, id := range refs {
		adv.References[string(name)] = id
	}
	for _, c := range []capability.Capability{
		capability.ReportStatus, capability.DeleteRefs, capability.Sideband64k, capability.Quiet,
		capability.Atomic, capability.OFSDelta, "no-thin",
	} {
		_ = adv.Capabilities.Set(c) // fails only for a wrong number of values
	}
	_ = adv.Capabilities.Set(capability.ObjectFormat, "sha1")
	_ = adv.Capabilities.Set(capability.Agent, agent)
	return adv.Encode(out)
}

const agent = "paas"

func (p *push) serve(created bool, refs map[plumbing.ReferenceName]pack.ID) int {
	if created {
		p.say("-----> Created the app %s\n", p.app.Name)
	}
	p.unread = p.req.sendsPack()
	entry, err := p.door.options.Platform.Begin(p.client.ctx, p.client.actor, p.app.Name, p.line())
	if err != nil {
		p.tell(err)
		return 1
	}
	p.entry, p.client.ctx = entry, entry.Within(p.client.ctx)
	unpacked := p.run(refs)
	p.audit(entry)
	p.tellRefusals()
	if err := p.screen.answer(p.report(unpacked)); err != nil {
		return 1
	}
	if p.unread { // or the client would be cut off while it writes, and not read why
		_, _ = io.Copy(io.Discard, io.LimitReader(p.client.in, p.door.options.Limits.Bytes))
	}
	return 0
}

// run does the push and returns git's word on the unpacking: "ok", or what is wrong.
func (p *push) run(refs map[plumbing.ReferenceName]pack.ID) string {
	p.judge(p.app.DeployBranch, refs)
	if len(p.all.taken()) == 0 {
		return "ok"
	}
	room, err := p.door.options.Platform.RoomForPush(p.client.ctx, p.app)
	if err != nil {
		return p.failed(err)
	}
	q, err := p.door.options.Repos.quarantine()
	if err != nil {
		return p.failed(err)
	}
	defer q.remove()
	got, err := p.unpack(q, room)
	if err != nil {
		return p.failed(err)
	}
	leave, err := p.enter()
	if err != nil {
		return p.failed(err)
	}
	defer leave()
	if err := p.settle(q, got); err != nil {
		return p.failed(err)
	}
	return "ok"
}

func (p *push) judge(deploys string, refs map[plumbing.ReferenceName]pack.ID) {
	p.all = judge(p.req, deploys, refs)
	p.keepAtomic()
}

// keepAtomic refuses everything once something is refused, if the pusher asked for all or nothing.
func (p *push) keepAtomic() {
	if p.req.able.has(capability.Atomic) && len(p.all.taken()) < len(p.all) {
		p.all.refuseRest("atomic push failed")
	}
}

// unpack receives the pack, if there is one, into at most so many bytes of the disk.
func (p *push) unpack(q *quarantine, room int64) (*pack.Received, error) {
	if !p.unread {
		return &pack.Received{}, nil
	}
	limits := p.door.options.Limits
	limits.Bytes = min(limits.Bytes, room)
	begun := time.Now()
	got, err := pack.Receive(p.client.ctx, p.client.in, q.packs(), limits)
	if err == nil {
		p.say("-----> Received %d objects in %s\n", got.Objects, platform.Seconds(time.Since(begun)))
	}
	var limit *pack.LimitError
	if errors.As(err, &limit) && limit.Whole && room < p.door.options.Limits.Bytes {
		err = p.noRoom(err)
	}
	if err == nil || errors.As(err, &limit) {
		p.unread = false // beyond a limit the rest is not worth waiting for
	}
	return got, err
}

// noRoom explains a pack that came to the disk's reserve.
func (p *push) noRoom(err error) error {
	return p.door.options.Platform.ExplainRoom(p.client.ctx,
		platform.Errorf(platform.Failed, "the push does not fit on the server's disk beside its reserve").Because(err).
			WithHint("see what takes the disk: ssh paas disk"))
}

func (p *push) enter() (leave func(), err error) {
	lane := p.door.options.Repos.lane(p.app)
	enter := lane.enter
	if p.all.deploying() != nil {
		enter = lane.enterNewest
	}
	return enter(p.client.ctx, p.client.actor.Name+"'s push", func(holder string) {
		p.say("-----> Waiting for %s to finish\n", holder)
	})
}

// settle does what has to be done while nobody else pushes to the app.
func (p *push) settle(q *quarantine, got *pack.Received) error {
	if err := p.refresh(); err != nil {
		return err
	}
	store, err := pack.OpenStore(q.dir, q.dir, p.repo.objects())
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	if err := p.inspect(store, got); err != nil {
		return err
	}
	if v := p.all.deploying(); v != nil && v.Old != v.New {
		if err := p.deploy(store, v); err != nil {
			p.came = err
			p.tell(err)
			v.refuse(p.door.reason(err), nil)
			p.all.refuseRest(v.Name.Short() + " was rejected")
			return nil
		}
	}
	if err := p.client.ctx.Err(); err != nil && p.all.deploying() == nil {
		return err
	}
	return p.keep(q, got)
}

// refresh judges again, by the app and the refs as they are now that the lane is ours.
func (p *push) refresh() error {
	app, _, err := p.door.options.Platform.OpenPush(p.client.ctx, p.client.actor, string(p.app.Name))
	if err != nil {
		return err
	}
	if app.ID != p.app.ID {
		return platform.Errorf(platform.Conflict, "the app %s was destroyed meanwhile", p.app.Name)
	}
	p.app = app
	refs, err := p.repo.refs()
	if err != nil {
		return err
	}
	p.judge(app.DeployBranch, refs)
	return nil
}

// inspect judges by what came. A pack that refers to what nobody has is refused as a whole.
func (p *push) inspect(store *pack.Store, got *pack.Received) error {
	if err := got.Missing(store.Has); err != nil {
		return p.explainMissing(err)
	}
	refs, err := p.repo.refs()
	if err != nil {
		return err
	}
	in := inspection{ctx: p.client.ctx, store: store, refs: refs}
	for _, v := range p.all.taken() {
		if err := in.inspect(v); err != nil {
			return err
		}
	}
	p.keepAtomic()
	return nil
}

func (p *push) explainMissing(err error) error {
	if p.req.shallow {
		return platform.Errorf(platform.Failed, "your repository is a shallow clone, so its history did not come whole").
			WithHint("complete it, then push again: git fetch --unshallow").Because(err)
	}
	return platform.Errorf(platform.Failed, "the push is not complete").WithHint("look for damage: git fsck").Because(err)
}

// deploy hands the commit to the platform and waits until it serves. Where the app's builds outlive their
// pushers it does so also when the client is gone: the refs then move without anybody to tell.
func (p *push) deploy(store *pack.Store, v *verdict) error {
	commit, err := store.Commit(v.New)
	if err != nil {
		return err
	}
	source := newTree(store, commit.Tree)
	if err := p.warn(source); err != nil {
		return err
	}
	// "quiet" keeps nothing from the pusher: git asks for it whenever its output is no terminal.
	app, branch := p.app, v.Name.Short()
	_, err = p.door.options.Platform.Push(p.client.ctx, platform.Push{
		Actor: p.client.actor, App: app, Branch: branch, Commit: v.New.String(), Source: source, Out: p.screen,
		Detached: p.entry.Within(p.door.ctx),
	})
	if err != nil || app.DeployBranch != "" {
		return err
	}
	// Only now is the branch the one that deploys: a first push that failed decides nothing. And the
	// release is live already, so a failure here must not refuse the push.
	if _, err := p.door.options.Platform.DeployBranch(context.WithoutCancel(p.client.ctx), app, branch); err != nil {
		p.door.options.Log.Error("set deploy branch", "app", app.Name, "branch", branch, "err", err)
	}
	return nil
}

// warn names what the pusher may miss in the app.
func (p *push) warn(source *tree) error {
	files, err := source.Files()
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Mode == platform.Submodule {
			p.say(" !     %q is a submodule; submodules are not fetched in this version, so it stays empty\n", f.Path)
		}
	}
	return nil
}

// keep moves the objects into the repository, then the refs. The pusher's end does not stop it any more.
func (p *push) keep(q *quarantine, got *pack.Received) error {
	taken := p.all.taken()
	if len(taken) == 0 {
		return nil
	}
	if err := p.repo.admit(q, got); err != nil {
		return err
	}
	var changes []change
	for _, v := range taken {
		if v.Old != v.New {
			changes = append(changes, change{name: v.Name, old: v.Old, new: v.New})
		}
	}
	if err := p.repo.move(changes); err != nil {
		return fmt.Errorf("move refs of %s: %w", p.app.Name, err)
	}
	p.door.tidy(p.app) // once the lane is free
	if v := p.all.deploying(); v != nil {
		return p.repo.setHead(v.Name.Short())
	}
	return nil
}

// failed refuses what is still taken and returns git's word on the unpacking.
func (p *push) failed(err error) string {
	p.came = err
	p.tell(err)
	var broken *pack.BrokenError
	var limit *pack.LimitError
	switch {
	case errors.As(err, &broken), errors.As(err, &limit):
		p.all.refuseRest("unpacker error")
		return oneLine(p.door.human(err).Message)
	}
	p.all.refuseRest(p.door.reason(err))
	return "ok"
}

// report is git's answer (gitprotocol-pack(5), "Report Status").
func (p *push) report(unpacked string) []byte {
	if !p.req.able.has(capability.ReportStatus) {
		return nil
	}
	r := packp.NewReportStatus()
	r.UnpackStatus = unpacked
	for _, v := range p.all {
		status := "ok"
		if !v.taken() {
			status = v.refused
		}
		r.CommandStatuses = append(r.CommandStatuses, &packp.CommandStatus{ReferenceName: v.Name, Status: status})
	}
	var b bytes.Buffer
	_ = r.Encode(&b) // a buffer does not fail
	return b.Bytes()
}

func (p *push) say(format string, args ...any) {
	_, _ = fmt.Fprintf(p.screen, format, args...) // a pusher that is gone ends ctx
}

// tellRefusals shows the sentences of refused commands, each once.
func (p *push) tellRefusals() {
	said := map[string]bool{}
	for _, v := range p.all {
		if v.told != nil && !said[v.told.Message] {
			said[v.told.Message] = true
			p.tell(v.told)
		}
	}
}

// tell shows a failure as the field has it: " !     " and a sentence, and what to do below it.
func (p *push) tell(err error) {
	if e := p.door.human(err); !e.Told {
		p.say("%s", plain(e, tableFor(p.client, e)))
	}
}

func plain(e *platform.Error, table []string) string {
	var b strings.Builder
	for _, line := range table {
		b.WriteString("       " + strings.TrimRight(line, "\n") + "\n")
	}
	for line := range strings.Lines(strings.TrimSpace(e.Message)) {
		b.WriteString(" !     " + strings.TrimRight(line, "\n") + "\n")
	}
	for line := range strings.Lines(strings.TrimSpace(e.Hint)) {
		b.WriteString("       " + strings.TrimRight(line, "\n") + "\n")
	}
	return b.String()
}
