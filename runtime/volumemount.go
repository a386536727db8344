package runtime

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/image"
)

// stepMount is a volume's mount as the container's other ones are described.
func stepMount(m platform.VolumeMount) platform.StepMount {
	if m.Sub != "" {
		return platform.StepMount{Target: m.Target, ReadOnly: m.ReadOnly, Upper: m.Dir, Sub: m.Sub}
	}
	return platform.StepMount{Target: m.Target, ReadOnly: m.ReadOnly, Volume: m.Dir}
}

// openVolume makes the detached mount of a volume. Where mounts cannot map ids, what is in it has the ids of its app
// from the start: walking through it to change owners, as for a build's directories, would follow what other
// instances move about in it meanwhile.
func (c *container) openVolume(o *order, m platform.StepMount) (*os.File, error) {
	images := c.runtime.options.Images
	ids, err := c.runtime.idMap(o.appID)
	if err != nil {
		return nil, err
	}
	reduced, err := images.Reduced()
	if err != nil {
		return nil, err
	}
	uid, gid := int(o.uid), int(o.gid)
	if reduced != "" {
		uid, gid, ids.UserNS = uid+int(ids.Base), gid+int(ids.Base), nil
	}
	if err := giveFresh(m.Volume, uid, gid); err != nil {
		return nil, err
	}
	return image.Bind(m.Volume, m.ReadOnly, ids.UserNS)
}

// giveFresh gives a directory in which nothing was ever made to the user who will write to it.
func giveFresh(dir string, uid, gid int) error {
	d, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	var st unix.Stat_t
	if err := unix.Fstat(int(d.Fd()), &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Uid != 0 || st.Gid != 0 {
		return nil
	}
	if _, err := d.Readdirnames(1); !errors.Is(err, io.EOF) {
		return err
	}
	return d.Chown(uid, gid)
}
