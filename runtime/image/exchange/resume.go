package exchange

import (
	"context"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/platform"
)

// resuming reads a blob over a network that fails: a connection that breaks is taken up where it broke,
// as long as every few tries bring something.
type resuming struct {
	ctx     context.Context
	from    func(ctx context.Context, at int64) (io.ReadCloser, error)
	at      int64
	size    int64
	backoff time.Duration
	body    io.ReadCloser
	failed  int // tries since the last byte
}

// Read implements io.Reader. io.EOF comes after size bytes exactly.
func (r *resuming) Read(p []byte) (int, error) {
	for r.at < r.size {
		n, err := r.once(p[:min(int64(len(p)), r.size-r.at)])
		if n > 0 {
			r.at += int64(n)
			r.failed = 0
			return n, nil // an error comes again
		}
		if err == nil {
			continue
		}
		r.drop()
		if r.failed++; r.failed >= tries || !mendable(err) {
			return 0, err
		}
		if err := r.wait(); err != nil {
			return 0, err
		}
	}
	return 0, io.EOF
}

func (r *resuming) once(p []byte) (int, error) {
	if r.body == nil {
		body, err := r.from(r.ctx, r.at)
		if err != nil {
			return 0, err
		}
		r.body = body
	}
	n, err := r.body.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // Read asks for no more than there is
	}
	return n, err
}

func (r *resuming) wait() error {
	t := time.NewTimer(r.backoff << (r.failed - 1))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// mendable tells whether a second try may go better: what the registry has decided it will not undo.
func mendable(err error) bool {
	var answer *transport.Error
	var human *platform.Error
	if errors.As(err, &human) || errors.Is(err, context.Canceled) {
		return false
	}
	if errors.As(err, &answer) {
		return slices.Contains(temporary(), answer.StatusCode) || answer.StatusCode == http.StatusUnauthorized
	}
	return true
}

func (r *resuming) drop() {
	if r.body != nil {
		_ = r.body.Close()
		r.body = nil
	}
}

// Close implements io.Closer.
func (r *resuming) Close() error {
	r.drop()
	return nil
}

// remembered is a download that is also written down, so that a later pull goes on where this one ended:
// first it gives what an earlier one wrote, then the rest of the network's.
type remembered struct {
	rest    *resuming
	want    ocispec.Descriptor
	kept    *os.File // nil: not worth it, or another pull is at it
	replay  int64    // bytes of kept that are still to be given
	sum     hash.Hash
	checked bool
}

// worthKeeping is from how many bytes on a download is written down.
const worthKeeping = 4 << 20

func (x *Exchange) remember(want ocispec.Descriptor, rest *resuming) io.ReadCloser {
	r := &remembered{rest: rest, want: want, sum: want.Digest.Algorithm().Hash()}
	if want.Size < x.keep {
		return r
	}
	kept, size, err := x.Blobs.Partial(want.Digest)
	if err != nil {
		return r // it only saves time
	}
	if size > want.Size || size > 0 && rewind(kept) != nil {
		_ = errors.Join(os.Remove(kept.Name()), kept.Close())
		return r
	}
	r.kept, r.replay, rest.at = kept, size, size
	return r
}

func rewind(f io.Seeker) error {
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// Read implements io.Reader. At the end it answers io.EOF only if the digest is right; if it is not, what
// was written down is worthless and goes.
func (r *remembered) Read(p []byte) (int, error) {
	n, err := r.next(p)
	_, _ = r.sum.Write(p[:n]) // a hash never fails
	if !errors.Is(err, io.EOF) || r.checked {
		return n, err
	}
	r.checked = true
	r.forget()
	if string(r.sum.Sum(nil)) != string(decoded(r.want)) {
		return n, platform.Errorf(platform.Failed, "the blob is not what its digest %s says", r.want.Digest)
	}
	return n, err
}

func (r *remembered) next(p []byte) (int, error) {
	if r.replay > 0 {
		n, err := r.kept.Read(p[:min(int64(len(p)), r.replay)])
		r.replay -= int64(n)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return n, err
	}
	n, err := r.rest.Read(p)
	if r.kept != nil && n > 0 {
		if _, e := r.kept.Write(p[:n]); e != nil { // a full disk: a later pull begins again
			r.forget()
		}
	}
	return n, err
}

// forget removes what was written down.
func (r *remembered) forget() {
	if r.kept != nil {
		_ = errors.Join(os.Remove(r.kept.Name()), r.kept.Close())
		r.kept = nil
	}
}

// Close implements io.Closer. What was written down stays for the next pull.
func (r *remembered) Close() error {
	err := r.rest.Close()
	if r.kept != nil {
		err = errors.Join(err, r.kept.Close())
	}
	return err
}

// decoded are the bytes of a descriptor's digest; its form was checked before.
func decoded(d ocispec.Descriptor) []byte {
	b, _ := hex.DecodeString(d.Digest.Encoded())
	return b
}
