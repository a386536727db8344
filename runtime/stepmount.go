package runtime

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/image"
	"paas/runtime/script"
)

// shown is one of a step's mounts on its way into the container.
type shown struct {
	arg  script.Arg
	file bool // it is no directory
}

// checkMounts refuses targets that a container cannot do without.
func (o *order) checkMounts() error {
	for _, m := range o.mounts {
		at := path.Clean(m.Target)
		for _, taken := range []string{"/proc", "/sys", "/dev"} {
			if at == taken || strings.HasPrefix(at, taken+"/") && taken != "/dev" {
				return platform.Errorf(platform.Failed, "nothing can be mounted at %s", m.Target)
			}
		}
		if at == "/" || !path.IsAbs(at) {
			return platform.Errorf(platform.Failed, "nothing can be mounted at %s", m.Target)
		}
	}
	return nil
}

// handOverMounts opens what of the host a step's mounts show.
func (c *container) handOverMounts(o *order, h *handover, b *box) {
	for _, m := range o.mounts {
		if m.Memory > 0 || m.File != nil {
			b.shown = append(b.shown, shown{})
			continue
		}
		f, err := c.openMount(o, m)
		s := shown{arg: h.add(f, err)}
		if err == nil {
			s.file, err = isNoDir(f)
			h.errs = append(h.errs, err)
		}
		b.shown = append(b.shown, s)
	}
}

func isNoDir(f *os.File) (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return false, os.NewSyscallError("fstat", err)
	}
	return st.Mode&unix.S_IFMT != unix.S_IFDIR, nil
}

// openMount makes the detached mount.
func (c *container) openMount(o *order, m platform.StepMount) (*os.File, error) {
	images := c.runtime.options.Images
	ids, err := c.runtime.idMap(o.appID)
	if err != nil {
		return nil, err
	}
	switch {
	case m.Socket != "":
		return images.Bind(m.Socket, false, ids)
	case m.Volume != "":
		return c.openVolume(o, m)
	case len(m.Layers) == 0 && m.Upper == "":
		return nil, fmt.Errorf("mount %s shows nothing", m.Target)
	case len(m.Layers) == 0:
		return c.openDir(m, ids)
	}
	whole, err := c.openLayers(m, ids)
	if err != nil || m.Sub == "" {
		return whole, err
	}
	defer func() { _ = whole.Close() }()
	return image.Below(whole, m.Sub)
}

func (c *container) openDir(m platform.StepMount, ids image.IDRange) (*os.File, error) {
	if m.Sub == "" {
		return c.runtime.options.Images.Bind(m.Upper, m.ReadOnly, ids)
	}
	return image.BindBelow(m.Upper, m.Sub, m.ReadOnly, ids.UserNS)
}

func (c *container) openLayers(m platform.StepMount, ids image.IDRange) (*os.File, error) {
	root := image.Root{Layers: m.Layers, IDs: ids}
	if m.Upper == "" {
		return c.runtime.options.Images.Mount(c.runtime.life, root)
	}
	if m.ReadOnly { // others may read the same one at the same time
		return c.openReadOnly(m, ids)
	}
	root.Upper, root.Work = m.Upper, filepath.Join(filepath.Dir(m.Upper), "work")
	return c.runtime.options.Images.Mount(c.runtime.life, root)
}

func (c *container) openReadOnly(m platform.StepMount, ids image.IDRange) (*os.File, error) {
	var lowers []string
	for _, layer := range m.Layers {
		lowers = append(lowers, c.runtime.options.Images.Dir(layer))
	}
	return image.Overlay(image.MountSpec{Lowers: append(lowers, m.Upper), UserNS: ids.UserNS})
}

// attachMounts attaches them in order. Symlinks of the image lead where they lead inside.
func attachMounts(s *script.Script, o *order, b box) {
	for i, m := range o.mounts {
		at := filepath.Clean(m.Target)
		switch {
		case m.Memory > 0:
			fs := s.NewMount("tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV, "mode=1777", "size="+strconv.FormatInt(m.Memory, 10))
			s.AttachDir(b.root, at, fs)
		case m.File != nil:
			attachContent(s, b.root, m)
		case b.shown[i].file:
			s.AttachFile(b.root, at, b.shown[i].arg)
		default:
			if m.ReadOnly {
				s.SetAttr(at, b.shown[i].arg, unix.MOUNT_ATTR_RDONLY, 0, 0, 0)
			}
			s.AttachDir(b.root, at, b.shown[i].arg)
		}
	}
}

// attachContent shows a file that lies, nameless, in the container's own /dev, which is in memory.
func attachContent(s *script.Script, root script.Arg, m platform.StepMount) {
	dev := s.System(root, "/dev")
	name := s.String(".file")
	what := "mount " + m.Target
	fd := s.Do(what, unix.SYS_OPENAT, dev, name, script.N(unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC), script.N(0o600))
	s.Do(what, unix.SYS_WRITE, fd, s.Bytes(m.File), script.N(len(m.File)))
	s.Do(what, unix.SYS_FCHOWN, fd, script.N(m.UID), script.N(m.GID))
	s.Do(what, unix.SYS_FCHMOD, fd, script.N(uint32(m.Mode.Perm())))
	clone := s.CloneMount(fd, "", unix.AT_EMPTY_PATH)
	s.SetAttr(m.Target, clone, unix.MOUNT_ATTR_RDONLY, 0, 0, 0)
	s.AttachFile(root, filepath.Clean(m.Target), clone)
	s.Do(what, unix.SYS_UNLINKAT, dev, name, script.N(0))
	s.Close(fd, dev)
}
