package gitreceive

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"

	"paas/gitreceive/pack"
	"paas/platform"
)

// fetch is one clone or fetch, as git's pack protocol (gitprotocol-pack(5), version 0) has it:
//
//	client                                  server
//	git-upload-pack 'hello'
//	                                        HEAD, refs, capabilities, flush
//	wants, shallows, deepen, flush
//	                                        shallow, unshallow, flush (if deepen was sent)
//	haves, flush                            ACK for each that is common, NAK
//	…
//	done                                    ACK or NAK, pack
type fetch struct {
	client *client
	store  *pack.Store
	refs   map[plumbing.ReferenceName]pack.ID
	lines  *pktline.Scanner
	out    *bufio.Writer
	able   capabilities
	wish   pack.Wish
	deepen bool
	common pack.ID // the last have that we have too
}

// uploadPack serves one clone or fetch and returns the exit status.
func (d *Server) uploadPack(c *client, name string) int {
	app, err := d.options.Platform.OpenFetch(c.ctx, c.actor, name)
	if err != nil {
		return d.turnAway(c, name, err)
	}
	f, head, err := d.openFetch(c, app)
	if err != nil {
		return d.turnAway(c, name, err)
	}
	defer func() { _ = f.store.Close() }()
	if err := f.advertise(head); err != nil {
		return 1
	}
	if err := f.serve(); err != nil {
		if c.ctx.Err() == nil {
			d.turnAwayLate(f, err)
		}
		return 1
	}
	return 0
}

func (d *Server) openFetch(c *client, app platform.App) (f *fetch, head plumbing.ReferenceName, err error) {
	repo, err := d.options.Repos.open(app)
	if err != nil {
		return nil, "", err
	}
	f = &fetch{client: c, lines: pktline.NewScanner(c.in), out: bufio.NewWriterSize(c.out, 64<<10)}
	if f.refs, err = repo.refs(); err != nil {
		return nil, "", err
	}
	if head, err = repo.head(); err != nil {
		return nil, "", err
	}
	// After the refs: the objects of every ref that was read are in the packs that are opened now.
	f.store, err = pack.OpenStore(d.options.Repos.incoming(), repo.objects())
	f.wish.Shallows = pack.Set{}
	return f, head, err
}

// turnAwayLate tells of a failure in the middle. Inside the pack git takes it for the end of the line.
func (d *Server) turnAwayLate(f *fetch, err error) {
	_ = (&pktline.ErrorLine{Text: oneLine(d.human(err).Message)}).Encode(f.out)
	_ = f.out.Flush()
}

func (f *fetch) advertise(head plumbing.ReferenceName) error {
	adv := packp.NewAdvRefs()
	for name, id := range f.refs {
		adv.References[string(name)] = id
		if peeled, err := f.store.Peel(id); err == nil && peeled != id {
			adv.Peeled[string(name)] = peeled
		}
	}
	if id, ok := f.refs[head]; ok {
		adv.Head = &id
		_ = adv.Capabilities.Set(capability.SymRef, "HEAD:"+string(head)) // fails only for a wrong number of values
	}
	for _, c := range []capability.Capability{
		capability.MultiACKDetailed, capability.Sideband, capability.Sideband64k, capability.OFSDelta,
		capability.Shallow, capability.NoProgress, capability.IncludeTag,
	} {
		_ = adv.Capabilities.Set(c)
	}
	_ = adv.Capabilities.Set(capability.ObjectFormat, "sha1")
	_ = adv.Capabilities.Set(capability.Agent, agent)
	if err := adv.Encode(f.out); err != nil {
		return err
	}
	return f.out.Flush()
}

func (f *fetch) serve() error {
	if err := f.readWish(); err != nil || len(f.wish.Wants) == 0 {
		return err
	}
	if f.deepen {
		if err := f.tellShallow(); err != nil {
			return err
		}
	}
	asked, err := f.negotiate()
	if err != nil || !asked {
		return err
	}
	sel, err := f.store.Select(f.client.ctx, f.wish)
	if err != nil {
		return err
	}
	if f.able.has(capability.IncludeTag) {
		f.addTags(sel.Objects)
	}
	return f.send(sel.Objects)
}

// readWish reads up to the first flush. A client that wants nothing sends only that, or nothing at all.
func (f *fetch) readWish() error {
	allowed := pack.Set{}
	for _, id := range f.refs {
		allowed[id] = struct{}{}
	}
	for f.lines.Scan() {
		line := bytes.TrimSuffix(f.lines.Bytes(), []byte("\n"))
		if len(line) == 0 {
			return nil
		}
		if err := f.addWish(string(line), allowed); err != nil {
			return err
		}
	}
	f.wish.Wants = nil
	return f.lines.Err()
}

func (f *fetch) addWish(line string, allowed pack.Set) error {
	word, rest, _ := cutWord(line)
	if word == "deepen" {
		depth, err := strconv.Atoi(rest)
		if err != nil || depth <= 0 {
			return notUnderstood(line)
		}
		f.deepen, f.wish.Depth = true, depth
		return nil
	}
	digits, able, _ := cutWord(rest)
	id, err := parseID(digits)
	if err != nil {
		return notUnderstood(line)
	}
	switch {
	case word == "want" && !allowed.Has(id):
		return platform.Errorf(platform.NotFound, "%s is not the tip of a branch or a tag", id)
	case word == "want":
		if len(f.wish.Wants) == 0 {
			f.able = parseCapabilities(able)
		}
		f.wish.Wants = append(f.wish.Wants, id)
	case word == "shallow":
		f.wish.Shallows[id] = struct{}{}
	default:
		return notUnderstood(line)
	}
	return nil
}

func cutWord(line string) (word, rest string, ok bool) {
	for i := range len(line) {
		if line[i] == ' ' {
			return line[:i], line[i+1:], true
		}
	}
	return line, "", false
}

func notUnderstood(line string) error {
	return platform.Errorf(platform.Usage, "this server does not understand %q", line)
}

// tellShallow answers a deepen: where the history that will be sent is cut.
func (f *fetch) tellShallow() error {
	sel, err := f.store.Select(f.client.ctx, f.wish)
	if err != nil {
		return err
	}
	update := packp.ShallowUpdate{Shallows: sel.Shallow, Unshallows: sel.Unshallow}
	if err := update.Encode(f.out); err != nil {
		return err
	}
	return f.out.Flush()
}

// negotiate gathers what the client has, up to its "done". A client that goes away before it has asked
// for nothing.
func (f *fetch) negotiate() (asked bool, err error) {
	for f.lines.Scan() {
		line := bytes.TrimSuffix(f.lines.Bytes(), []byte("\n"))
		switch word, rest, _ := cutWord(string(line)); word {
		case "":
			err = f.flushed()
		case "done":
			return true, f.finalAck()
		case "have":
			err = f.have(rest)
		default:
			err = notUnderstood(string(line))
		}
		if err != nil {
			return false, err
		}
	}
	return false, f.lines.Err()
}

func (f *fetch) multi() bool { return f.able.has(capability.MultiACKDetailed) }

// have acknowledges a commit that both sides have. Without multi_ack the first one is all the client is
// told.
func (f *fetch) have(digits string) error {
	id, err := parseID(digits)
	if err != nil {
		return notUnderstood("have " + digits)
	}
	kind, err := f.store.Kind(id)
	if err != nil || kind != plumbing.CommitObject {
		return nil // not ours
	}
	first := f.common.IsZero()
	f.common = id
	f.wish.Haves = append(f.wish.Haves, id)
	switch {
	case f.multi():
		return f.line("ACK %s common\n", id)
	case first:
		return f.line("ACK %s\n", id)
	}
	return nil
}

func (f *fetch) flushed() error {
	if f.multi() || f.common.IsZero() {
		if err := f.line("NAK\n"); err != nil {
			return err
		}
	}
	return f.out.Flush()
}

func (f *fetch) finalAck() error {
	if f.common.IsZero() {
		return f.line("NAK\n")
	}
	if f.multi() {
		return f.line("ACK %s\n", f.common)
	}
	return nil
}

func (f *fetch) line(format string, args ...any) error {
	return pktline.NewEncoder(f.out).Encodef(format, args...)
}

// addTags adds the tags that are put on what is sent, as include-tag asks for.
func (f *fetch) addTags(objects pack.Set) {
	for name, id := range f.refs {
		if !name.IsTag() || objects.Has(id) {
			continue
		}
		if target, err := f.store.Tagged(id); err == nil && objects.Has(target) {
			objects[id] = struct{}{}
		}
	}
}

// send streams the pack.
func (f *fetch) send(objects pack.Set) error {
	out, end := f.packWriter()
	if err := f.store.Write(f.client.ctx, out, objects, f.able.has(capability.OFSDelta)); err != nil {
		return fmt.Errorf("send pack: %w", err)
	}
	return end()
}

// packWriter is side-band 1 if the client can, else the bare connection.
func (f *fetch) packWriter() (out io.Writer, end func() error) {
	kind := sideband.Sideband64k
	if !f.able.has(capability.Sideband64k) {
		kind = sideband.Sideband
	}
	if !f.able.has(capability.Sideband64k) && !f.able.has(capability.Sideband) {
		return f.out, f.out.Flush
	}
	packets := bufio.NewWriterSize(sideband.NewMuxer(kind, f.out), 32<<10) // or each header is a packet
	return packets, func() error {
		if err := packets.Flush(); err != nil {
			return err
		}
		_ = pktline.NewEncoder(f.out).Flush() // an error sticks to the buffer
		return f.out.Flush()
	}
}
