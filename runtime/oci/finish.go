package oci

import (
	"encoding/binary"
	"math/bits"
	"os"
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"paas/runtime/script"
	"paas/runtime/seccomp"
)

// The descriptors that the second script of a container inherits, in this order.
const (
	inheritedStart = iota // listening socket for start
	inheritedStdin
	inheritedStdout
	inheritedStderr
	inheritedMore // what --preserve-fds names
)

// finishScript leaves the host's file system for ever, waits for start and becomes the process. It answers
// before it waits.
func (p *plan) finishScript(preserve int) (*script.Script, error) {
	s := script.New()
	var in []script.Arg
	for range inheritedMore + preserve {
		in = append(in, s.Inherit())
	}
	root := script.N(rootFD)
	null := s.Do("open /dev/null", unix.SYS_OPENAT, script.N(unix.AT_FDCWD), s.String("/dev/null"), script.N(unix.O_PATH|unix.O_CLOEXEC), script.N(0))
	s.CheckDevice("/dev/null", null, 1, 3)
	p.mask(s, root, null)
	s.Close(null)
	p.protect(s, root)
	process := p.spec.Process
	if process != nil && process.Terminal {
		openTerminal(s, root, process, true)
	}
	p.lockIn(s, root)
	if p.spec.Root.Readonly {
		s.SetAttr("/", root, unix.MOUNT_ATTR_RDONLY, 0, 0, 0)
	}
	s.Close(root)
	if process != nil {
		findProgram(s, process)
	}
	s.TellStarted(script.N(0))
	waitForStart(s, in[inheritedStart])
	if process == nil {
		return s, nil
	}
	if !process.Terminal {
		s.Stdio([3]script.Arg(in[inheritedStdin:inheritedMore]))
	}
	return s, become(s, p.spec, process, in[inheritedMore:])
}

// findProgram makes create fail when start would, for want of a program: engines tell people so then.
func findProgram(s *script.Script, p *specs.Process) {
	name := p.Args[0]
	if strings.Contains(name, "/") {
		if !path.IsAbs(name) {
			name = path.Join(p.Cwd, name)
		}
		findIn(s, p.Args[0], []string{name})
		return
	}
	var candidates []string
	for dir := range strings.SplitSeq(searchPath(p.Env), ":") {
		candidates = append(candidates, path.Join("/", dir, name))
	}
	findIn(s, name, candidates)
}

// findIn fails like the last candidate if there is none that can be executed.
func findIn(s *script.Script, name string, candidates []string) {
	args := []script.Arg{script.N(unix.AT_FDCWD), s.String(candidates[0]), script.N(unix.X_OK)}
	if len(candidates) == 1 {
		s.Do("execute "+name, unix.SYS_FACCESSAT, args...)
		return
	}
	s.IfNegative(s.Try("execute "+name, unix.SYS_FACCESSAT, args...), func() { findIn(s, name, candidates[1:]) })
}

func searchPath(env []string) string {
	for _, v := range env {
		if list, ok := strings.CutPrefix(v, "PATH="); ok {
			return list
		}
	}
	return ""
}

// mask hides paths, files behind the host's /dev/null and directories behind an empty one. A link of the image
// is followed inside of the image: what it leads to is hidden. What is not there is passed over.
func (p *plan) mask(s *script.Script, root, null script.Arg) {
	for _, path := range p.spec.Linux.MaskedPaths {
		target := s.TryOpen(root, path, unix.O_PATH, 0)
		s.UnlessNegative(target, func() {
			s.UnlessZero(s.IsDir(path, target), func() {
				cover(s, path, target, s.NewMount("tmpfs", script.Inert|unix.MOUNT_ATTR_RDONLY, "size=4k", "mode=555"))
			})
			s.UnlessZero(s.IsFile(path, target), func() {
				cover(s, path, target, s.CloneMount(null, "", unix.AT_EMPTY_PATH))
			})
			s.Close(target)
		})
	}
}

func cover(s *script.Script, path string, target, mount script.Arg) {
	s.Attach(path, mount, target)
	s.Close(mount)
}

// protect puts a read-only copy of each path over it.
func (p *plan) protect(s *script.Script, root script.Arg) {
	for _, path := range p.spec.Linux.ReadonlyPaths {
		target := s.TryOpen(root, path, unix.O_PATH, 0)
		s.UnlessNegative(target, func() {
			clone := s.CloneMount(target, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
			s.SetAttr(path, clone, unix.MOUNT_ATTR_RDONLY, 0, 0, unix.AT_RECURSIVE)
			s.Attach(path, clone, target)
			s.Close(clone, target)
		})
	}
}

// lockIn leaves the host's file system for ever, in a mount namespace of its own.
func (p *plan) lockIn(s *script.Script, root script.Arg) {
	if !p.shared {
		s.Pivot(root)
		p.propagate(s)
		return
	}
	s.Do("enter the root file system", unix.SYS_FCHDIR, root)
	s.Do("chroot", unix.SYS_CHROOT, s.String("."))
}

// propagate sets how mounts made in the container spread from its root.
func (p *plan) propagate(s *script.Script) {
	flag, ok := propagationFlag(p.spec.Linux.RootfsPropagation)
	if !ok {
		return
	}
	s.Do("set the propagation of the root", unix.SYS_MOUNT, script.N(0), s.String("/"), script.N(0), script.N(flag), script.N(0))
}

// waitForStart blocks until start connects. From then on failures are told to start.
func waitForStart(s *script.Script, listener script.Arg) {
	conn := s.Do("wait for start", unix.SYS_ACCEPT4, listener, script.N(0), script.N(0), script.N(unix.SOCK_CLOEXEC))
	s.Do("hear from start", unix.SYS_DUP3, conn, script.N(controlFD), script.N(unix.O_CLOEXEC))
	s.Close(conn, listener)
}

// controlFD is where the program has the socket that it answers on (CONTROL of init.c).
const controlFD = 3

// become gives up the rights and executes the process.
func become(s *script.Script, spec *specs.Spec, p *specs.Process, preserve []script.Arg) error {
	s.NewSession()
	s.Try("lead a session", unix.SYS_SETSID)
	if p.Terminal {
		s.Do("take the terminal", unix.SYS_IOCTL, script.N(0), script.N(unix.TIOCSCTTY), script.N(0))
	}
	s.Do("enter "+p.Cwd, unix.SYS_CHDIR, s.String(p.Cwd))
	s.CheckInside()
	umask := uint32(0o022)
	if p.User.Umask != nil {
		umask = *p.User.Umask
	}
	s.Do("set the umask", unix.SYS_UMASK, script.N(umask))
	schedule(s, p)
	if spec.Linux.Personality != nil && spec.Linux.Personality.Domain == specs.PerLinux32 {
		s.Do("set the personality", unix.SYS_PERSONALITY, script.N(perLinux32))
	}
	confineByAppArmor(s, p)
	s.Do("close descriptors", unix.SYS_CLOSE_RANGE, script.N(3), script.N(^uint32(0)), script.N(unix.CLOSE_RANGE_CLOEXEC))
	for i, fd := range preserve { // ours are numbered above all of these
		s.Do("hand on a descriptor", unix.SYS_DUP3, fd, script.N(3+i), script.N(0))
	}
	if err := takeRights(s, spec, p); err != nil {
		return err
	}
	s.Exec(p.Args, p.Env)
	return nil
}

const perLinux32 = 0x0008 // linux/personality.h

// takeRights gives up all rights but the process's. The order matters: the bounding set needs CAP_SETPCAP,
// the ids need CAP_SETUID, and the filter might forbid any of it. Without no_new_privs the filter needs
// CAP_SYS_ADMIN, so it comes before the capabilities go; it must then allow what follows.
func takeRights(s *script.Script, spec *specs.Spec, p *specs.Process) error {
	filter, err := filterOf(spec.Linux.Seccomp)
	if err != nil {
		return err
	}
	if !p.NoNewPrivileges {
		load(s, spec.Linux.Seccomp, filter)
	}
	caps := capabilitiesOf(spec, p)
	for c := range bits.Len64(allCapabilities()) {
		if caps.bounding&(1<<c) == 0 {
			s.Do("drop capability", unix.SYS_PRCTL, script.N(unix.PR_CAPBSET_DROP), script.N(c), script.N(0), script.N(0), script.N(0))
		}
	}
	s.Do("keep capabilities", unix.SYS_PRCTL, script.N(unix.PR_SET_KEEPCAPS), script.N(1), script.N(0), script.N(0), script.N(0))
	s.SetIDs(p.User.UID, p.User.GID, p.User.AdditionalGids)
	caps.set(s)
	if p.NoNewPrivileges {
		s.Do("set no_new_privs", unix.SYS_PRCTL, script.N(unix.PR_SET_NO_NEW_PRIVS), script.N(1), script.N(0), script.N(0), script.N(0))
		load(s, spec.Linux.Seccomp, filter)
	}
	return nil
}

func filterOf(rules *specs.LinuxSeccomp) ([]byte, error) {
	if rules == nil {
		return nil, nil
	}
	return seccomp.CompileSpec(rules)
}

// load loads the filter with the flags of the configuration (seccomp(2)).
func load(s *script.Script, rules *specs.LinuxSeccomp, filter []byte) {
	if filter == nil {
		return
	}
	flags := 0
	for _, f := range rules.Flags {
		flags |= seccompFlags()[f]
	}
	program := s.Bytes(filter)
	fprog := s.Words(uint64(len(filter)/unix.SizeofSockFilter), program.Address()) // struct sock_fprog
	s.Do("load the seccomp filter", unix.SYS_SECCOMP, script.N(unix.SECCOMP_SET_MODE_FILTER), script.N(flags), fprog)
}

func seccompFlags() map[specs.LinuxSeccompFlag]int {
	return map[specs.LinuxSeccompFlag]int{
		specs.LinuxSeccompFlagLog:       unix.SECCOMP_FILTER_FLAG_LOG,
		specs.LinuxSeccompFlagSpecAllow: unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		"SECCOMP_FILTER_FLAG_TSYNC":     0, // there is one thread
	}
}

// capabilitySets are a process's, as bit masks.
type capabilitySets struct{ bounding, effective, permitted, inheritable, ambient uint64 }

// capabilitiesOf leaves out what this runtime does not have itself, as config.md has it: "the runtime
// SHOULD ignore".
func capabilitiesOf(spec *specs.Spec, p *specs.Process) capabilitySets {
	c := p.Capabilities
	if c == nil {
		return capabilitySets{}
	}
	has := ownCapabilities(spec)
	return capabilitySets{
		capabilityMask(c.Bounding) & has, capabilityMask(c.Effective) & has, capabilityMask(c.Permitted) & has,
		capabilityMask(c.Inheritable) & has, capabilityMask(c.Ambient) & has,
	}
}

// set replaces the sets of the thread.
func (c capabilitySets) set(s *script.Script) {
	header := binary.LittleEndian.AppendUint64(nil, unix.LINUX_CAPABILITY_VERSION_3)
	var data []byte
	for word := range 2 {
		for _, set := range []uint64{c.effective, c.permitted, c.inheritable} {
			data = binary.LittleEndian.AppendUint32(data, uint32(set>>(32*word)))
		}
	}
	s.Do("set capabilities", unix.SYS_CAPSET, s.Bytes(header), s.Bytes(data))
	s.Do("clear ambient capabilities", unix.SYS_PRCTL, script.N(unix.PR_CAP_AMBIENT), script.N(unix.PR_CAP_AMBIENT_CLEAR_ALL), script.N(0), script.N(0), script.N(0))
	for b := range bits.Len64(c.ambient) {
		if c.ambient&(1<<b) != 0 {
			s.Do("raise an ambient capability", unix.SYS_PRCTL, script.N(unix.PR_CAP_AMBIENT), script.N(unix.PR_CAP_AMBIENT_RAISE), script.N(b), script.N(0), script.N(0))
		}
	}
}

// ownCapabilities are all in a new user namespace, and else ours.
func ownCapabilities(spec *specs.Spec) uint64 {
	all := allCapabilities()
	if has(spec, specs.UserNamespace) != absent {
		return all
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return all
	}
	return all & (uint64(data[0].Permitted) | uint64(data[1].Permitted)<<32)
}

// allCapabilities are those that this kernel knows.
func allCapabilities() uint64 {
	last := 0
	for ; last < 64; last++ {
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(last), 0, 0, 0); err != nil {
			break
		}
	}
	return 1<<last - 1
}

// confineByAppArmor has the profile take effect at the exec.
func confineByAppArmor(s *script.Script, p *specs.Process) {
	if p.ApparmorProfile == "" {
		return
	}
	proc := s.NewMount("proc", script.Inert)
	file := s.Open(proc, "thread-self/attr/exec", unix.O_WRONLY, 0)
	text := "exec " + p.ApparmorProfile
	s.Do("confine by AppArmor profile "+p.ApparmorProfile, unix.SYS_WRITE, file, s.String(text), script.N(len(text)))
	s.Close(file, proc)
}

// openTerminal makes a terminal of the container's own, sends its master and takes its slave, through the
// master and not by a path of the image, as streams. It becomes /dev/console if that is wanted.
func openTerminal(s *script.Script, root script.Arg, p *specs.Process, console bool) {
	master := s.Open(root, "/dev/pts/ptmx", unix.O_RDWR|unix.O_NOCTTY, unix.RESOLVE_NO_SYMLINKS)
	s.Do("unlock the terminal", unix.SYS_IOCTL, master, script.N(unix.TIOCSPTLCK), s.Words(0))
	slave := s.Do("open the terminal", unix.SYS_IOCTL, master, script.N(unix.TIOCGPTPEER), script.N(unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC))
	s.Do("own the terminal", unix.SYS_FCHOWN, slave, script.N(p.User.UID), script.N(^uint32(0)))
	if size := p.ConsoleSize; size != nil {
		b := binary.LittleEndian.AppendUint16(nil, uint16(size.Height)) // struct winsize
		b = binary.LittleEndian.AppendUint16(b, uint16(size.Width))
		s.Do("size the terminal", unix.SYS_IOCTL, master, script.N(unix.TIOCSWINSZ), s.Bytes(append(b, 0, 0, 0, 0)))
	}
	if console {
		clone := s.CloneMount(slave, "", unix.AT_EMPTY_PATH)
		s.AttachFile(root, "/dev/console", clone)
	}
	s.Send("the terminal", master)
	s.Stdio([3]script.Arg{slave, slave, slave})
	s.Close(master, slave)
}

// streams are what the process reads and writes without a terminal. Pipes become its user's, who may then
// open /dev/stdout again.
func streams(files [3]*os.File, p *specs.Process, uids []specs.LinuxIDMapping) {
	for _, f := range files {
		info, err := f.Stat()
		if err == nil && info.Mode()&os.ModeNamedPipe != 0 {
			_ = f.Chown(int(hostID(p.User.UID, uids)), -1)
		}
	}
}

func hostID(id uint32, maps []specs.LinuxIDMapping) uint32 {
	for _, m := range maps {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return m.HostID + (id - m.ContainerID)
		}
	}
	return id
}
