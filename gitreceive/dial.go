package gitreceive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"paas/gitreceive/pack"
	"paas/platform"
)

const (
	dialTimeout = 15 * time.Second
	maxAdvert   = 64 << 20 // bytes of the list of refs
)

// dial opens a git server's repository: by smart HTTP (gitprotocol-http(5)), or by the pack protocol over SSH or
// plain TCP (gitprotocol-pack(5)), or a directory of this machine.
func (r *Repos) dial(ctx context.Context, o platform.Origin) (remote, error) {
	u, err := parseAddress(o.URL)
	if err != nil {
		return nil, err
	}
	d := &net.Dialer{Timeout: dialTimeout}
	if !o.Private {
		d.Control = publicOnly
	}
	switch u.Scheme {
	case "http", "https":
		return newWeb(u, o.Host, d), nil
	case "ssh":
		return r.dialSSH(ctx, u, o.Host, d)
	case "git":
		conn, err := d.DialContext(ctx, "tcp", withPort(u.Host, "9418"))
		if err != nil {
			return nil, err
		}
		line := fmt.Sprintf("git-upload-pack %s\x00host=%s\x00", u.Path, u.Host)
		return newWire(conn, conn, conn), pktline.NewEncoder(conn).EncodeString(line)
	case "file":
		return newFolder(u.Path)
	}
	return nil, platform.Errorf(platform.Usage, "%s is no way to fetch", u.Scheme)
}

// parseAddress reads an address, git's short form for SSH too: user@host:path.
func parseAddress(address string) (*url.URL, error) {
	if !strings.Contains(address, "://") {
		host, path, _ := strings.Cut(address, ":")
		if !strings.HasPrefix(path, "/") {
			path = "/~/" + path // relative to the home directory
		}
		address = "ssh://" + host + path
	}
	u, err := url.Parse(address)
	if err != nil || strings.ContainsAny(u.Path, "\x00\n\r") {
		return nil, platform.Errorf(platform.Usage, "that is not a git address").Because(err)
	}
	return u, nil
}

func publicAddress(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return address
	}
	u.User = nil
	return u.String()
}

func withPort(host, port string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// carrierGrade is shared between providers and their customers (RFC 6598).
func carrierGrade() netip.Prefix { return netip.MustParsePrefix("100.64.0.0/10") }

// publicOnly refuses what is not of the public internet. It sees the address that is really connected to, after
// every redirect and whatever a name resolves to.
func publicOnly(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := at.Addr().Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || carrierGrade().Contains(ip) {
		return platform.Errorf(platform.Denied, "git servers at private addresses like %s are for admins", ip)
	}
	return nil
}

// wire is a server that speaks over a stream.
type wire struct {
	in   io.Writer
	out  io.Reader
	end  io.Closer
	able *capability.List
}

func newWire(in io.Writer, out io.Reader, end io.Closer) *wire {
	return &wire{in: in, out: out, end: end}
}

// Close implements remote.
func (w *wire) Close() error { return w.end.Close() }

func (w *wire) refs(ctx context.Context) (map[plumbing.ReferenceName]pack.ID, plumbing.ReferenceName, error) {
	defer context.AfterFunc(ctx, func() { _ = w.end.Close() })()
	found, head, able, err := readAdvert(w.out)
	w.able = able
	return found, head, err
}

func (w *wire) fetch(ctx context.Context, wants, have []pack.ID) (io.ReadCloser, error) {
	stop := context.AfterFunc(ctx, func() { _ = w.end.Close() })
	if _, err := w.in.Write(wish(wants, have, w.able)); err != nil {
		stop()
		return nil, err
	}
	if err := readAnswer(w.out); err != nil {
		stop()
		return nil, err
	}
	return body{w.out, func() error { stop(); return nil }}, nil
}

// body is a pack that comes.
type body struct {
	io.Reader
	end func() error
}

// Close implements io.Closer.
func (b body) Close() error { return b.end() }

// readAdvert reads the list of refs that a server begins with. What is no branch, tag or HEAD is left out.
func readAdvert(in io.Reader) (map[plumbing.ReferenceName]pack.ID, plumbing.ReferenceName, *capability.List, error) {
	adv := packp.NewAdvRefs()
	if err := adv.Decode(io.LimitReader(in, maxAdvert)); err != nil && !errors.Is(err, packp.ErrEmptyAdvRefs) {
		var told *pktline.ErrorLine
		if errors.As(err, &told) {
			return nil, "", nil, platform.Errorf(platform.Failed, "the server there says: %s", oneLine(told.Text))
		}
		return nil, "", nil, fmt.Errorf("it does not answer as a git server: %w", err)
	}
	found := map[plumbing.ReferenceName]pack.ID{}
	for name, id := range adv.References {
		if ref := plumbing.ReferenceName(name); ref.IsBranch() || ref.IsTag() {
			found[ref] = id
		}
	}
	if adv.Head != nil {
		found[plumbing.HEAD] = *adv.Head
	}
	return found, headOf(adv), adv.Capabilities, nil
}

// headOf is the branch that HEAD is on there.
func headOf(adv *packp.AdvRefs) plumbing.ReferenceName {
	for _, link := range adv.Capabilities.Get(capability.SymRef) {
		if name, target, ok := strings.Cut(link, ":"); ok && name == "HEAD" {
			return plumbing.ReferenceName(target)
		}
	}
	for _, name := range []string{"refs/heads/main", "refs/heads/master"} { // a server older than symref
		if id, ok := adv.References[name]; ok && adv.Head != nil && id == *adv.Head {
			return plumbing.ReferenceName(name)
		}
	}
	return ""
}

// wish is the request for a pack: wants, flush, haves, done. Nothing is asked for that would make the answer more
// than one line and the pack itself.
func wish(wants, have []pack.ID, able *capability.List) []byte {
	var b bytes.Buffer
	e := pktline.NewEncoder(&b)
	for i, id := range wants {
		line := "want " + id.String()
		if i == 0 {
			if able != nil && able.Supports(capability.OFSDelta) {
				line += " ofs-delta"
			}
			line += " agent=" + agent
		}
		_ = e.EncodeString(line + "\n") // into memory
	}
	_ = e.Flush()
	for _, id := range have {
		_ = e.EncodeString("have " + id.String() + "\n")
	}
	_ = e.EncodeString("done\n")
	return b.Bytes()
}

// readAnswer reads the line before the pack: an ACK of what both have, or NAK.
func readAnswer(in io.Reader) error {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return fmt.Errorf("read its answer: %w", err)
	}
	var n int
	if _, err := fmt.Sscanf(string(head[:]), "%04x", &n); err != nil || n < 5 || n > 1000 {
		return errors.New("its answer is no line of git's")
	}
	line := make([]byte, n-4)
	if _, err := io.ReadFull(in, line); err != nil {
		return fmt.Errorf("read its answer: %w", err)
	}
	if text, bad := bytes.CutPrefix(line, []byte("ERR ")); bad {
		return platform.Errorf(platform.Failed, "the server there says: %s", oneLine(strings.TrimSpace(string(text))))
	}
	if !bytes.HasPrefix(line, []byte("NAK")) && !bytes.HasPrefix(line, []byte("ACK ")) {
		return errors.New("its answer is neither ACK nor NAK")
	}
	return nil
}
