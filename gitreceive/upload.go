package gitreceive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gliderlabs/ssh"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/revlist"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"paas/platform"
)

// A fetch (gitprotocol-pack(5), without multi_ack):
//
//	server  refs and capabilities
//	client  want …, flush; have …, flush; …; done
//	server  ACK of the first common object, NAK at a flush before that; ACK or NAK after done; the pack

var uploadCapabilities = []capability.Capability{capability.OFSDelta, capability.Sideband64k}

func (s *Server) uploadPack(ctx context.Context, session ssh.Session, actor platform.Actor, name string) error {
	app, err := s.Platform.OpenFetch(ctx, actor, name)
	if err != nil {
		return err
	}
	repo, err := s.Repos.open(app)
	if err != nil {
		return err
	}
	if err := advertise(session, repo, uploadCapabilities, true); err != nil {
		return fmt.Errorf("advertise refs: %w", err)
	}
	f := &fetch{repo: repo, session: session, in: pktline.NewScanner(session), out: pktline.NewEncoder(session)}
	if err := f.readWants(); err != nil || len(f.wants) == 0 {
		return err
	}
	if err := f.negotiate(); err != nil {
		return err
	}
	return f.send(ctx)
}

// advertise lists refs. With head, HEAD and its target come too.
func advertise(w io.Writer, repo *filesystem.Storage, capabilities []capability.Capability, head bool) error {
	ar := packp.NewAdvRefs()
	for _, c := range capabilities {
		if err := ar.Capabilities.Set(c); err != nil {
			return err
		}
	}
	if err := ar.Capabilities.Set(capability.Agent, "paas"); err != nil {
		return err
	}
	refs, err := repo.IterReferences()
	if err != nil {
		return err
	}
	err = refs.ForEach(func(ref *plumbing.Reference) error {
		if ref.Type() == plumbing.HashReference {
			ar.References[ref.Name().String()] = ref.Hash()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if head {
		if err := addHead(ar, repo); err != nil {
			return err
		}
	}
	return ar.Encode(w)
}

func addHead(ar *packp.AdvRefs, repo *filesystem.Storage) error {
	ref, err := storer.ResolveReference(repo, plumbing.HEAD)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	hash := ref.Hash()
	ar.Head = &hash
	return ar.Capabilities.Add(capability.SymRef, "HEAD:"+ref.Name().String())
}

// fetch is one fetch on its way out.
type fetch struct {
	repo    *filesystem.Storage
	session ssh.Session
	in      *pktline.Scanner
	out     *pktline.Encoder
	wants   []plumbing.Hash
	haves   []plumbing.Hash // common ones
	banded  bool
}

func (f *fetch) readWants() error {
	offered, err := f.offered()
	if err != nil {
		return err
	}
	for f.in.Scan() {
		line := strings.TrimSuffix(string(f.in.Bytes()), "\n")
		if line == "" {
			return nil
		}
		word, rest, _ := strings.Cut(line, " ")
		if word != "want" || len(rest) < 40 {
			return platform.Errorf(platform.Usage, "shallow and filtered clones are not served: clone without --depth and --filter")
		}
		h := plumbing.NewHash(rest[:40])
		if !offered[h] {
			return platform.Errorf(platform.Usage, "not our ref %s", h)
		}
		f.banded = f.banded || strings.Contains(rest[40:], string(capability.Sideband64k))
		f.wants = append(f.wants, h)
	}
	return f.in.Err()
}

// offered are the objects that a client may ask for: those that refs name.
func (f *fetch) offered() (map[plumbing.Hash]bool, error) {
	refs, err := f.repo.IterReferences()
	if err != nil {
		return nil, err
	}
	offered := map[plumbing.Hash]bool{}
	return offered, refs.ForEach(func(ref *plumbing.Reference) error {
		offered[ref.Hash()] = true
		return nil
	})
}

func (f *fetch) negotiate() error {
	for f.in.Scan() {
		line := strings.TrimSuffix(string(f.in.Bytes()), "\n")
		switch {
		case line == "done":
			return f.acknowledge(true)
		case line == "":
			if len(f.haves) == 0 {
				if err := f.acknowledge(false); err != nil {
					return err
				}
			}
		case strings.HasPrefix(line, "have ") && len(line) >= 45:
			h := plumbing.NewHash(line[5:45])
			if f.repo.HasEncodedObject(h) != nil {
				continue
			}
			f.haves = append(f.haves, h)
			if len(f.haves) == 1 {
				if err := f.acknowledge(true); err != nil {
					return err
				}
			}
		}
	}
	if err := f.in.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

func (f *fetch) acknowledge(common bool) error {
	if !common || len(f.haves) == 0 {
		return f.out.EncodeString("NAK\n")
	}
	return f.out.Encodef("ACK %s\n", f.haves[len(f.haves)-1])
}

// send streams the pack. Objects are encoded one by one as they are read, without looking for deltas.
func (f *fetch) send(ctx context.Context) error {
	known, err := revlist.Objects(f.repo, f.haves, nil)
	if err != nil {
		return fmt.Errorf("list known objects: %w", err)
	}
	objects, err := revlist.Objects(f.repo, f.wants, known)
	if err != nil {
		return fmt.Errorf("list objects: %w", err)
	}
	var out io.Writer = f.session
	if f.banded {
		out = sideband.NewMuxer(sideband.Sideband64k, f.session)
	}
	if _, err := packfile.NewEncoder(untilDone{ctx, out}, f.repo, false).Encode(objects, 0); err != nil {
		return fmt.Errorf("send pack: %w", err)
	}
	if f.banded {
		return f.out.Flush()
	}
	return nil
}

// untilDone stops writing when its context ends.
type untilDone struct {
	ctx context.Context
	w   io.Writer
}

func (u untilDone) Write(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.w.Write(p)
}
