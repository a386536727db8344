package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"paas/runtime/script"
)

// plan writes the scripts of one container and keeps the files that are sent along.
type plan struct {
	spec   *specs.Spec
	rootfs string // on the host
	groups groups
	stage  *os.File // our program for the inside
	shared bool     // there is no mount namespace: mounts are the host's
	files  []*os.File
}

func (p *plan) close() {
	closeFiles(p.files)
	p.files = nil
}

// detached are mounts of the host, cloned and changed before the container exists: what they are made of is
// looked up once, with the host's eyes, and goes in as a descriptor.
type detached struct {
	mountPlan
	file *os.File
	dir  bool
}

// cloneTree makes a detached copy of what is mounted at a path of the host.
func cloneTree(source string, recursive bool) (*os.File, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, source, flags)
	if err != nil {
		return nil, fmt.Errorf("clone mount %s: %w", source, err)
	}
	return os.NewFile(uintptr(fd), source), nil
}

// setAttr changes a detached mount, with AT_RECURSIVE all below it too.
func setAttr(f *os.File, a unix.MountAttr, flags int) error {
	if a == (unix.MountAttr{}) {
		return nil
	}
	if err := unix.MountSetattr(int(f.Fd()), "", unix.AT_EMPTY_PATH|uint(flags), &a); err != nil {
		return fmt.Errorf("change mount %s: %w", f.Name(), err)
	}
	return nil
}

// bind prepares a bind mount. Unless the options say otherwise, later mounts on either side stay there.
func (p *plan) bind(m mountPlan, bundle string) (detached, error) {
	source := m.Source
	if !filepath.IsAbs(source) {
		source = filepath.Join(bundle, source)
	}
	f, err := cloneTree(source, m.recursive)
	if err != nil {
		return detached{}, err
	}
	p.files = append(p.files, f)
	info, err := f.Stat()
	if err != nil {
		return detached{}, fmt.Errorf("bind %s: %w", source, err)
	}
	if err := p.mapIDs(f, m); err != nil {
		return detached{}, err
	}
	if m.spread == 0 {
		m.spread = unix.MS_PRIVATE | unix.MS_REC
	}
	return detached{m, f, info.IsDir()}, m.change(f)
}

func (m mountPlan) change(f *os.File) error {
	spread := unix.MountAttr{Propagation: uint64(m.spread &^ unix.MS_REC)}
	deep := 0
	if m.spread&unix.MS_REC != 0 {
		deep = unix.AT_RECURSIVE
	}
	return errors.Join(
		setAttr(f, spread, deep),
		setAttr(f, unix.MountAttr{Attr_set: m.below.set, Attr_clr: m.below.clear}, unix.AT_RECURSIVE),
		setAttr(f, unix.MountAttr{Attr_set: m.attrs.set, Attr_clr: m.attrs.clear}, 0))
}

// mapIDs shows the files of a bind mount with other owners (config.md, "POSIX-platform Mounts").
func (p *plan) mapIDs(f *os.File, m mountPlan) error {
	uids, gids := m.UIDMappings, m.GIDMappings
	if len(uids) == 0 && m.mapped {
		uids, gids = p.spec.Linux.UIDMappings, p.spec.Linux.GIDMappings
	}
	if len(uids) == 0 {
		return nil
	}
	ns, err := userNamespace(p.stage, uids, gids)
	if err != nil {
		return err
	}
	defer func() { _ = ns.Close() }()
	return setAttr(f, unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())}, unix.AT_RECURSIVE)
}

// root is the root file system, detached. It takes what is mounted below it along.
func (p *plan) root() (*os.File, error) {
	f, err := cloneTree(p.rootfs, true)
	if err != nil {
		return nil, err
	}
	p.files = append(p.files, f)
	kind := unix.MS_PRIVATE
	if flag, ok := propagationFlag(p.spec.Linux.RootfsPropagation); ok && flag&(unix.MS_SHARED|unix.MS_SLAVE) != 0 {
		kind = unix.MS_SLAVE // what comes from the host goes on, what is mounted inside stays inside
	}
	return f, setAttr(f, unix.MountAttr{Propagation: uint64(kind)}, unix.AT_RECURSIVE)
}

// steps cuts the mounts into runs that begin with what is prepared on the host: a clone is made when its turn
// comes, so that the kernel lists the mounts in the order of the configuration.
func (p *plan) steps() [][]mountPlan {
	steps := [][]mountPlan{nil}
	last := true // what comes first begins no step
	for _, m := range p.spec.Mounts {
		plan := planMount(m)
		prepared := p.isPrepared(plan)
		if prepared && !last {
			steps = append(steps, nil)
		}
		at := len(steps) - 1
		steps[at], last = append(steps[at], plan), prepared
	}
	return steps
}

// isPrepared tells whether a mount is made of something on the host's side.
func (p *plan) isPrepared(m mountPlan) bool {
	_, v2 := p.groups[""]
	return m.bind || m.Type == "tmpfs" && m.copyUp || m.Type == "cgroup" && !v2
}

// attach makes one mount; prepared is what prepare gave for it.
func (p *plan) attach(s *script.Script, root script.Arg, m mountPlan, prepared []detached, args []script.Arg) {
	switch {
	case m.Type == "cgroup" || m.Type == "cgroup2":
		p.mountCgroup(s, root, m, args)
	case len(prepared) == 0:
		p.mountNew(s, root, m)
	case prepared[0].dir:
		s.AttachDir(root, m.Destination, args[0])
	default:
		s.AttachFile(root, m.Destination, args[0])
	}
}

// lookup says how a mount's target is looked up: those of file systems that are trusted must be real
// directories, since what is behind a symlink of the image might be another one's /proc (CVE-2019-19921).
func lookup(m mountPlan) int {
	if m.Type == "proc" || m.Type == "sysfs" {
		return unix.RESOLVE_NO_SYMLINKS
	}
	return 0
}

func (p *plan) mountNew(s *script.Script, root script.Arg, m mountPlan) {
	options := m.data
	if m.Source != "" {
		options = append([]string{"source=" + m.Source}, options...)
	}
	all := m.attrs
	all.add(m.below)
	mount := s.NewMount(m.Type, int(all.set), options...)
	target := s.Dir(root, m.Destination, lookup(m))
	s.Attach(m.Destination, mount, target)
	if m.spread != 0 {
		s.SetAttr(m.Destination, mount, 0, 0, m.spread&^unix.MS_REC, 0)
	}
	s.Close(mount, target)
}

// mountCgroup shows the container its own groups: version 2 as a file system of its cgroup namespace,
// version 1 as a directory a controller.
func (p *plan) mountCgroup(s *script.Script, root script.Arg, m mountPlan, prepared []script.Arg) {
	if _, v2 := p.groups[""]; v2 {
		m.Type, m.Source, m.data = "cgroup2", "cgroup2", nil
		p.mountNew(s, root, m)
		return
	}
	ro := m.attrs.set & unix.MOUNT_ATTR_RDONLY
	outer := m
	outer.Type, outer.Source, outer.data, outer.attrs.set = "tmpfs", "tmpfs", []string{"mode=755", "size=65536"}, m.attrs.set&^ro
	p.mountNew(s, root, outer)
	for i, dir := range p.cgroupDirs() {
		s.AttachDir(root, filepath.Join(m.Destination, dir.name), prepared[i])
		p.cgroupLinks(s, root, m.Destination, dir)
	}
	if ro != 0 {
		top := s.Dir(root, m.Destination, 0)
		s.SetAttr(m.Destination, top, int(ro), 0, 0, 0)
		s.Close(top)
	}
}

// cgroupDir is one hierarchy of version 1 in which the container has a group.
type cgroupDir struct {
	name, path  string
	controllers []string
}

func (p *plan) cgroupDirs() []cgroupDir {
	by := make(map[string]*cgroupDir)
	for controller, path := range p.groups {
		if controller == "" || controller == "hybrid" {
			continue
		}
		if by[path] == nil {
			by[path] = &cgroupDir{path: path}
		}
		by[path].controllers = append(by[path].controllers, controller)
	}
	var dirs []cgroupDir
	for _, path := range p.groups.dirs() {
		if d := by[path]; d != nil {
			d.name = mountName(d)
			dirs = append(dirs, *d)
		}
	}
	return dirs
}

// mountName is the usual one: the controller's, or what hosts call those that are mounted together.
func mountName(d *cgroupDir) string {
	if len(d.controllers) == 1 {
		return d.controllers[0]
	}
	for _, usual := range []string{"cpu,cpuacct", "net_cls,net_prio"} {
		if strings.HasPrefix(usual, d.controllers[0]) || strings.HasSuffix(usual, d.controllers[0]) {
			return usual
		}
	}
	return strings.Join(d.controllers, ",")
}

func (p *plan) cgroupLinks(s *script.Script, root script.Arg, at string, d cgroupDir) {
	if len(d.controllers) < 2 {
		return
	}
	top := s.Dir(root, at, 0)
	for _, controller := range d.controllers {
		s.Try("link cgroup "+controller, unix.SYS_SYMLINKAT, s.String(d.name), top, s.String(controller))
	}
	s.Close(top)
}

// prepare clones what a mount takes from the host: one mount, or for cgroup one for each hierarchy.
func (p *plan) prepare(m mountPlan, bundle string) ([]detached, error) {
	switch {
	case !p.isPrepared(m):
		return nil, nil
	case m.bind:
		d, err := p.bind(m, bundle)
		return []detached{d}, err
	case m.Type == "tmpfs":
		d, err := p.copyUp(m)
		return []detached{d}, err
	}
	var list []detached
	for _, dir := range p.cgroupDirs() {
		m.Source, m.bind, m.data = dir.path, true, nil
		d, err := p.bind(m, bundle)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

// copyUp makes a tmpfs that holds what the image has at its place.
func (p *plan) copyUp(m mountPlan) (detached, error) {
	f, err := newTmpfs(m.data)
	if err != nil {
		return detached{}, err
	}
	p.files = append(p.files, f)
	root, err := os.OpenRoot(p.rootfs)
	if err != nil {
		return detached{}, err
	}
	defer func() { _ = root.Close() }()
	from, err := root.OpenRoot(strings.TrimPrefix(m.Destination, "/"))
	if err == nil {
		defer func() { _ = from.Close() }()
		err = copyTree(from, "/proc/self/fd/"+strconv.Itoa(int(f.Fd())))
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	m.spread = unix.MS_PRIVATE
	return detached{m, f, true}, errors.Join(err, m.change(f))
}

func newTmpfs(options []string) (*os.File, error) {
	fsfd, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open tmpfs: %w", err)
	}
	defer func() { _ = unix.Close(fsfd) }()
	for _, o := range options {
		key, value, has := strings.Cut(o, "=")
		if err = unix.FsconfigSetFlag(fsfd, key); has {
			err = unix.FsconfigSetString(fsfd, key, value)
		}
		if err != nil {
			return nil, fmt.Errorf("set %s of tmpfs: %w", o, err)
		}
	}
	if err := unix.FsconfigCreate(fsfd); err != nil {
		return nil, fmt.Errorf("create tmpfs: %w", err)
	}
	fd, err := unix.Fsmount(fsfd, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("mount tmpfs: %w", err)
	}
	return os.NewFile(uintptr(fd), "tmpfs"), nil
}

// copyTree copies directories, files and links with their owners and modes. from cannot be left by a link.
func copyTree(from *os.Root, to string) error {
	target, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer func() { _ = target.Close() }()
	return fs.WalkDir(from.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := from.Lstat(name)
		if err != nil {
			return err
		}
		return copyEntry(from, target, name, info)
	})
}

func copyEntry(from, to *os.Root, name string, info fs.FileInfo) error {
	var err error
	switch kind := info.Mode().Type(); {
	case kind.IsDir() && name != ".":
		err = to.Mkdir(name, 0o700)
	case kind.IsDir():
	case kind.IsRegular():
		err = copyFile(from, to, name)
	case kind == fs.ModeSymlink:
		var link string
		if link, err = from.Readlink(name); err == nil {
			err = to.Symlink(link, name)
		}
	default: // devices, pipes and sockets stay in the image
		return nil
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if err != nil || !ok {
		return err
	}
	if err := to.Lchown(name, int(st.Uid), int(st.Gid)); err != nil || info.Mode().Type() == fs.ModeSymlink {
		return err
	}
	return to.Chmod(name, info.Mode())
}

func copyFile(from, to *os.Root, name string) error {
	in, err := from.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := to.Create(name)
	if err != nil {
		return err
	}
	_, err = out.ReadFrom(in)
	return errors.Join(err, out.Close())
}
