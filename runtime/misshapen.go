package runtime

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/script"
)

// misshapen tells of an image that has something else where a container needs a directory or file of its own, such as
// a symlink at /proc: its maker can mend that. It is nil for every other trouble.
func misshapen(what string, failed *script.Error) error {
	kind, path, found := strings.Cut(strings.TrimPrefix(failed.Doing, "open "), " ")
	errnos := []unix.Errno{unix.ELOOP, unix.ENOTDIR, unix.EISDIR, unix.EEXIST}
	if !found || kind != "directory" && kind != "file" || !slices.ContainsFunc(errnos, func(e unix.Errno) bool { return errors.Is(failed.Errno, e) }) {
		return nil
	}
	return platform.Errorf(platform.Failed, "%s cannot start: its image has something at %s that is no plain %s", what, path, kind).
		WithHint("make the image again without it; what a container needs there is made for it").Because(failed)
}
