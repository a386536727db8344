package oci

import (
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"paas/runtime/script"
)

// step is one of the scripts that turn fresh namespaces into the container, still beside the host's file
// system: everything up to the point where hooks look at it. Each answers when it is done. The descriptors
// that go along are in files until close.
type step func(s *script.Script) error

// setup is the steps in their order. Each prepares its part of the host's side when it is called.
func (p *plan) setup(bundle string) []step {
	steps := []step{p.begin}
	for _, mounts := range p.steps() {
		steps = append(steps, func(s *script.Script) error { return p.mount(s, mounts, bundle) })
	}
	return append(steps, p.fill)
}

// begin enters the namespaces and attaches the root.
func (p *plan) begin(s *script.Script) error {
	root, err := p.root()
	if err != nil {
		return err
	}
	p.files = []*os.File{root}
	arg := s.Inherit()
	p.enter(s, arg)
	s.Do("keep the root", unix.SYS_DUP3, arg, script.N(rootFD), script.N(unix.O_CLOEXEC))
	s.Close(arg)
	return nil
}

// mount makes one run of mounts.
func (p *plan) mount(s *script.Script, mounts []mountPlan, bundle string) error {
	prepared := make([][]detached, len(mounts))
	args := make([][]script.Arg, len(mounts))
	for i, m := range mounts {
		list, err := p.prepare(m, bundle)
		if err != nil {
			return fmt.Errorf("mount %s: %w", m.Destination, err)
		}
		for range list {
			args[i] = append(args[i], s.Inherit())
		}
		prepared[i] = list
	}
	for i, m := range mounts {
		p.attach(s, script.N(rootFD), m, prepared[i], args[i])
	}
	return nil
}

// fill makes what is in the mounts.
func (p *plan) fill(s *script.Script) error {
	if err := p.hostNodes(); err != nil {
		return err
	}
	var nodes []script.Arg
	for range p.files {
		nodes = append(nodes, s.Inherit())
	}
	root := script.N(rootFD)
	p.makeDevices(s, root, nodes)
	p.setSysctls(s)
	p.workDir(s, root)
	return nil
}

// rootFD is the number of the root file system's descriptor from script to script.
const rootFD = 200

// enter separates the namespace's mounts from the host's and attaches the root where the host has it, so that
// hooks find it there; if only others than its ids may go there, over /sys, where nothing looks again. Then it
// takes on the ids.
func (p *plan) enter(s *script.Script, root script.Arg) {
	if !p.shared {
		s.Do("make mounts private", unix.SYS_MOUNT, script.N(0), s.String("/"), script.N(0), script.N(unix.MS_REC|unix.MS_PRIVATE), script.N(0))
	}
	at := func(place string) []script.Arg {
		return []script.Arg{root, s.String(""), script.N(unix.AT_FDCWD), s.String(place), script.N(unix.MOVE_MOUNT_F_EMPTY_PATH)}
	}
	attached := s.Try("attach the root file system", unix.SYS_MOVE_MOUNT, at(p.rootfs)...)
	s.IfNegative(attached, func() { s.Do("attach the root file system", unix.SYS_MOVE_MOUNT, at("/sys")...) })
	if has(p.spec, specs.UserNamespace) != absent {
		s.SetIDs(0, 0, nil)
	}
	p.names(s)
}

func (p *plan) names(s *script.Script) {
	if name := p.spec.Hostname; name != "" {
		s.Do("set the host name", unix.SYS_SETHOSTNAME, s.String(name), script.N(len(name)))
	}
	if name := p.spec.Domainname; name != "" {
		s.Do("set the domain name", unix.SYS_SETDOMAINNAME, s.String(name), script.N(len(name)))
	}
}

// ownDev tells whether /dev is the container's own, to be filled. One that comes from the host is as it is.
func (p *plan) ownDev() bool {
	for _, m := range p.spec.Mounts {
		if plan := planMount(m); plan.Destination == "/dev" {
			return !plan.bind
		}
	}
	return false
}

// nodes are the devices to make: the default ones unless they are listed, then the listed ones.
func (p *plan) nodes() []specs.LinuxDevice {
	listed := make(map[string]bool)
	for _, d := range p.spec.Linux.Devices {
		listed[path.Clean(d.Path)] = true
	}
	var list []specs.LinuxDevice
	if p.ownDev() {
		for _, d := range defaultDevices() {
			if !listed[d.Path] {
				list = append(list, d)
			}
		}
	}
	return append(list, p.spec.Linux.Devices...)
}

// hostNodes clones the host's nodes for a container that may not make any: in a user namespace mknod(2) is
// forbidden. What is at the path must be that device.
func (p *plan) hostNodes() error {
	if has(p.spec, specs.UserNamespace) == absent {
		return nil
	}
	for _, d := range p.nodes() {
		f, err := cloneTree(d.Path, false)
		if err != nil {
			return err
		}
		p.files = append(p.files, f)
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			return fmt.Errorf("stat %s: %w", d.Path, err)
		}
		if st.Mode&unix.S_IFMT != deviceType(d) || deviceType(d) != unix.S_IFIFO && st.Rdev != unix.Mkdev(uint32(d.Major), uint32(d.Minor)) {
			return fmt.Errorf("%s of the host is not the device %s %d:%d", d.Path, d.Type, d.Major, d.Minor)
		}
	}
	return nil
}

func deviceType(d specs.LinuxDevice) uint32 {
	switch d.Type {
	case "b":
		return unix.S_IFBLK
	case "p":
		return unix.S_IFIFO
	}
	return unix.S_IFCHR
}

func (p *plan) makeDevices(s *script.Script, root script.Arg, nodes []script.Arg) {
	for i, d := range p.nodes() {
		if nodes != nil {
			s.AttachFile(root, path.Clean(d.Path), nodes[i])
			continue
		}
		makeNode(s, root, d)
	}
	if p.ownDev() {
		linkDev(s, root)
	}
}

func makeNode(s *script.Script, root script.Arg, d specs.LinuxDevice) {
	dir, name := path.Split(path.Clean(d.Path))
	mode := uint32(0o666)
	if d.FileMode != nil {
		mode = uint32(d.FileMode.Perm())
	}
	id := func(n *uint32) uint32 {
		if n == nil {
			return 0
		}
		return *n
	}
	parent := s.Dir(root, path.Clean(dir), 0)
	at := s.String(name)
	s.Try("replace "+d.Path, unix.SYS_UNLINKAT, parent, at, script.N(0))
	s.Do("make "+d.Path, unix.SYS_MKNODAT, parent, at, script.N(deviceType(d)|mode), script.N(unix.Mkdev(uint32(d.Major), uint32(d.Minor))))
	s.Do("own "+d.Path, unix.SYS_FCHOWNAT, parent, at, script.N(id(d.UID)), script.N(id(d.GID)), script.N(unix.AT_SYMLINK_NOFOLLOW))
	s.Do("set the mode of "+d.Path, unix.SYS_FCHMODAT, parent, at, script.N(mode)) // the umask took some of it
	s.Close(parent)
}

// linkDev makes the symbolic links of /dev (config-linux.md, "Dev symbolic links"). What is there wins,
// but for ptmx, which must be that of the container's own terminals.
func linkDev(s *script.Script, root script.Arg) {
	dev := s.System(root, "/dev")
	s.Try("replace /dev/ptmx", unix.SYS_UNLINKAT, dev, s.String("ptmx"), script.N(0))
	for _, link := range [][2]string{
		{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
		{"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"},
	} {
		s.Try("link /dev/"+link[1], unix.SYS_SYMLINKAT, s.String(link[0]), dev, s.String(link[1]))
	}
	s.Close(dev)
}

// setSysctls writes into a /proc that is mounted nowhere, so that nothing in the image can be written to in
// its place (CVE-2025-52881).
func (p *plan) setSysctls(s *script.Script) {
	if len(p.spec.Linux.Sysctl) == 0 {
		return
	}
	proc := s.NewMount("proc", script.Inert)
	for key, value := range p.spec.Linux.Sysctl {
		file := s.Open(proc, "sys/"+sysctlPath(key), unix.O_WRONLY, unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_XDEV)
		s.Do("set "+key+" to "+value, unix.SYS_WRITE, file, s.String(value), script.N(len(value)))
		s.Close(file)
	}
	s.Close(proc)
}

// sysctlPath takes both forms of a name: "net.ipv4.ip_forward" and "net/ipv4/conf/eth0.1/forwarding".
func sysctlPath(key string) string {
	if strings.Contains(key, "/") {
		return key
	}
	return strings.ReplaceAll(key, ".", "/")
}

// workDir makes the process's directory if it is missing, while the root can be written.
func (p *plan) workDir(s *script.Script, root script.Arg) {
	if p.spec.Process != nil && path.Clean(p.spec.Process.Cwd) != "/" {
		s.Close(s.Dir(root, path.Clean(p.spec.Process.Cwd), 0))
	}
}
