package blobs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"paas/platform"
)

// MaxBlob is how many bytes one blob may have.
const MaxBlob = 64 << 30

// An upload is two files: ID.repo names its repository, ID is what has arrived. Appending needs the
// second one's lock, so that a client that comes back while its lost connection still drains waits for
// nobody and is told to.

var uploadID = regexp.MustCompile(`^[A-Z2-7]{26}$`) // crypto/rand.Text

func (a *Area) upload(id string) string { return filepath.Join(a.dir, "uploads", id) }

// StartUpload begins a blob.
func (a *Area) StartUpload(_ context.Context, repo platform.Repository) (id string, err error) {
	if err := a.Room(); err != nil {
		return "", err
	}
	id = rand.Text()
	if err := os.WriteFile(a.upload(id)+".repo", []byte(repo), 0o600); err != nil {
		return "", err
	}
	return id, os.WriteFile(a.upload(id), nil, 0o600)
}

// openUpload opens and locks an upload of the repository. Missing is of kind NotFound, in use of kind
// Conflict.
func (a *Area) openUpload(repo platform.Repository, id string) (*os.File, error) {
	missing := platform.Errorf(platform.NotFound, "there is no upload %q to %s; begin again", id, repo)
	if !uploadID.MatchString(id) {
		return nil, missing
	}
	if owner, err := os.ReadFile(a.upload(id) + ".repo"); err != nil || string(owner) != string(repo) {
		return nil, missing
	}
	f, err := os.OpenFile(a.upload(id), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing
	}
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(platform.Errorf(platform.Conflict, "the upload %s is in use by another request", id), f.Close())
	}
	return f, nil
}

// Uploaded is how many bytes of an upload have arrived.
func (a *Area) Uploaded(_ context.Context, repo platform.Repository, id string) (int64, error) {
	f, err := a.openUpload(repo, id)
	if err != nil {
		return 0, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	return size, errors.Join(err, f.Close())
}

// Append adds what content gives and returns how much there is now. at is where the client believes the
// upload ends, -1 if it does not say; when it is wrong nothing is added and the error is of kind
// Conflict. After any other error what arrived is kept, so that the client can go on from there.
func (a *Area) Append(ctx context.Context, repo platform.Repository, id string, at int64, content io.Reader) (size int64, err error) {
	f, err := a.openUpload(repo, id)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if size, err = f.Seek(0, io.SeekEnd); err != nil {
		return size, err
	}
	if at >= 0 && at != size {
		return size, platform.Errorf(platform.Conflict, "the upload has %d bytes, so it cannot go on at %d", size, at)
	}
	n, err := io.Copy(&roomy{ctx: ctx, dst: f, area: a}, io.LimitReader(content, MaxBlob-size+1))
	size += n
	if size > MaxBlob {
		return size, platform.Errorf(platform.Failed, "a blob has at most %d GiB", MaxBlob>>30)
	}
	return size, err
}

// FinishUpload checks that what has arrived has the digest, and gives it to the repository. Another
// digest is of kind Usage, and ends the upload.
func (a *Area) FinishUpload(_ context.Context, repo platform.Repository, id string, d digest.Digest) (err error) {
	f, err := a.openUpload(repo, id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.end(f)) }()
	if err := check(f, d); err != nil {
		return err
	}
	unlock, err := a.lock(unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer unlock()
	if err := a.place(f, d); err != nil {
		return fmt.Errorf("store blob %s: %w", d, err)
	}
	return a.link(repo, d)
}

// check reads what is on the disk, not what the client meant to send.
func check(f *os.File, d digest.Digest) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	verifier := d.Verifier()
	if _, err := io.Copy(verifier, f); err != nil {
		return err
	}
	if !verifier.Verified() {
		return platform.Errorf(platform.Usage, "what was sent is not what the digest %s says", d)
	}
	return nil
}

// end removes what is left of an upload.
func (a *Area) end(f *os.File) error {
	return errors.Join(ignoreMissing(os.Remove(f.Name())), ignoreMissing(os.Remove(f.Name()+".repo")), f.Close())
}

// CancelUpload forgets an upload.
func (a *Area) CancelUpload(_ context.Context, repo platform.Repository, id string) error {
	f, err := a.openUpload(repo, id)
	if err != nil {
		return err
	}
	return a.end(f)
}
