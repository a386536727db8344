// Package blobs keeps what registries speak of: blobs and manifests under their digests, and the
// repositories that lead to them.
//
//	DIR/blobs/sha256/HEX                content: compressed layers, configurations, manifests
//	DIR/repositories/NAME/blobs/D       the repository has the blob D; empty
//	DIR/repositories/NAME/manifests/D   the repository has the manifest D; what it is and needs, as JSON
//	DIR/repositories/NAME/tags/TAG      a manifest's digest
//	DIR/uploads/ID, ID.repo             what has arrived of a blob, and for which repository
//	DIR/lock                            held shared to link content, alone to collect garbage
//
// NAME is the repository's name with + for /, D a digest with - for its colon. Content is written
// beside its place, synced and renamed, so that what has a digest for its name has that digest.
package blobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"paas/platform"
)

// Grace is how long content that no repository names, and a blob that no manifest needs, is kept: a
// push sends blobs first and their manifest last.
const Grace = 24 * time.Hour

// Reserve is how much of the file system uploads leave free, in bytes, unless KeepRoom says something else:
// databases and logs live there.
const Reserve = 512 << 20

// Area is a directory of blobs and repositories. Safe for concurrent use; two processes may have it open
// at once (a daemon and its successor).
type Area struct {
	dir string
	now func() time.Time
	ask func() error // nil: Reserve is kept
}

// KeepRoom lets ask say whether there is room, in place of Reserve: the content store knows the disk's own
// reserve. Call it before anything is written.
func (a *Area) KeepRoom(ask func() error) { a.ask = ask }

// Open opens the area in dir, making it if there is none.
func Open(dir string) (*Area, error) {
	for _, sub := range []string{"blobs/sha256", "blobs/sha512", "repositories", "uploads"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("open blobs: %w", err)
		}
	}
	return &Area{dir: dir, now: time.Now}, nil
}

// ParseDigest accepts sha256 and sha512 digests, which clients are told to use (OCI image-spec,
// descriptor.md, "Digests").
func ParseDigest(s string) (digest.Digest, error) {
	d, err := digest.Parse(s)
	if err != nil || d.Algorithm() != digest.SHA256 && d.Algorithm() != digest.SHA512 {
		return "", platform.Errorf(platform.Usage, "%q is not a sha256 or sha512 digest", s)
	}
	return d, nil
}

func (a *Area) content(d digest.Digest) string {
	return filepath.Join(a.dir, "blobs", d.Algorithm().String(), d.Encoded())
}

// fileName is a digest as a file name.
func fileName(d digest.Digest) string { return d.Algorithm().String() + "-" + d.Encoded() }

func fromFileName(name string) (digest.Digest, error) {
	return ParseDigest(strings.Replace(name, "-", ":", 1))
}

// Content opens what a digest names, whoever has it; nobody's access is checked. Its use is noted, so
// that Collect keeps it for Grace. The caller closes the file.
func (a *Area) Content(d digest.Digest) (*os.File, int64, error) {
	f, err := os.Open(a.content(d))
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil {
		err = a.touch(f.Name())
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// Has tells whether the content is there, and notes its use.
func (a *Area) Has(d digest.Digest) bool { return a.touch(a.content(d)) == nil }

// touch notes that a file is in use. Its disappearance in the meantime is an error as any.
func (a *Area) touch(path string) error {
	now := a.now()
	return os.Chtimes(path, now, now)
}

// Write stores what fill writes and returns its digest and size. Nothing is left of it after an error.
// It blocks until the content is on the disk.
func (a *Area) Write(ctx context.Context, fill func(io.Writer) error) (d digest.Digest, size int64, err error) {
	f, err := os.CreateTemp(filepath.Join(a.dir, "uploads"), "write-")
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, forget(f)) }()
	sum := digest.SHA256.Digester()
	if err := fill(io.MultiWriter(&roomy{ctx: ctx, dst: f, area: a}, sum.Hash())); err != nil {
		return "", 0, err
	}
	if size, err = f.Seek(0, io.SeekCurrent); err != nil {
		return "", 0, err
	}
	return sum.Digest(), size, a.place(f, sum.Digest())
}

// place gives a complete file the name of its content.
func (a *Area) place(f *os.File, d digest.Digest) error {
	if err := f.Sync(); err != nil {
		return err
	}
	path := a.content(d)
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return errors.Join(a.touch(path), syncDir(filepath.Dir(path)))
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// forget closes a temporary file and removes it if it was not renamed.
func forget(f *os.File) error {
	return errors.Join(ignoreMissing(os.Remove(f.Name())), f.Close())
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// lock takes the area's lock, how being unix.LOCK_SH or unix.LOCK_EX.
func (a *Area) lock(how int) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(a.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), how)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return func() { _ = f.Close() }, nil
	}
}

// roomCheck is after how many bytes a writer looks again whether there is room.
const roomCheck = 64 << 20

// roomy is a writer that stops at the file system's reserve and when its context ends.
type roomy struct {
	ctx  context.Context
	dst  io.Writer
	area *Area
	left int64
}

func (r *roomy) Write(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if r.left <= 0 {
		if err := r.area.Room(); err != nil {
			return 0, err
		}
		r.left = roomCheck
	}
	r.left -= int64(len(p))
	return r.dst.Write(p)
}

// Room is an error of kind Failed when the file system has no more than the reserve left.
func (a *Area) Room() error {
	if a.ask != nil {
		return a.ask()
	}
	var st unix.Statfs_t
	if err := unix.Statfs(a.dir, &st); err != nil {
		return fmt.Errorf("measure free space: %w", err)
	}
	if int64(st.Bavail)*st.Bsize < Reserve {
		return platform.Errorf(platform.Failed, "the disk of the registry is full").WithHint("free some space on the server first")
	}
	return nil
}
