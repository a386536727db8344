package image

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"paas/platform"
)

// source is what a layer is read from. It remembers how reading failed, so that a broken connection is not taken for
// a broken layer.
type source struct {
	io.Reader
	failed error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.failed = err
	}
	return n, err
}

// refusal makes a sentence for people of what is wrong with a layer: an entry that none may have, bytes that are no
// archive, another content than was promised. What is the source's trouble, or this host's, stays as it is.
func refusal(err error, from *source, diffID digest.Digest) error {
	if err == nil || from.failed != nil || platform.KindOf(err) != platform.Internal || hostTrouble(err) {
		return err
	}
	var entry *entryError
	if errors.As(err, &entry) {
		return platform.Errorf(platform.Failed, "the image's layer %s cannot be used: %v", diffID, entry).
			WithHint("make the image again without that entry").Because(err)
	}
	return platform.Errorf(platform.Failed, "the image's layer %s cannot be used: %v", diffID, err).
		WithHint("make the image again, or send it again: it is not what it says it is").Because(err)
}

// hostTrouble is about the disk or the caller, whatever the layer holds.
func hostTrouble(err error) bool {
	ours := []error{
		context.Canceled, context.DeadlineExceeded,
		unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EROFS, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EPERM, unix.EACCES,
	}
	return slices.ContainsFunc(ours, func(e error) bool { return errors.Is(err, e) })
}
