package initproc

import (
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// launch is one process to execute with fewer rights than init has.
type launch struct {
	process  Process
	stdio    [3]int
	terminal bool // stdio[0] becomes the controlling terminal
}

// start gives up the rights on a thread of its own and forks from there: credentials, no_new_privs and
// seccomp belong to threads. The thread ends with its goroutine, since it is never unlocked.
func (l launch) start() (pid int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = l.process.confine(); err == nil {
			pid, err = l.exec()
		}
	}()
	<-done
	return pid, err
}

// confine takes everything from the calling thread that the process must not have. The order matters:
// the bounding set needs CAP_SETPCAP, the ids need CAP_SETUID, and the filter might forbid any of it.
func (p *Process) confine() error {
	_ = unix.Unshare(unix.CLONE_NEWCGROUP)   // its own group is the root it sees; not on kernels without
	_, _ = unix.KeyctlJoinSessionKeyring("") // keys of the host's session stay there; not without CONFIG_KEYS
	steps := []struct {
		doing string
		do    func() error
	}{
		{"drop capabilities", p.dropBounding},
		{"set no_new_privs", func() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }},
		{"become the app's user", p.setIDs},
		{"set capabilities", p.setCaps},
		{"load the seccomp filter", p.loadFilter},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fail(s.doing, err)
		}
	}
	return nil
}

func (p *Process) dropBounding() error {
	for c := 0; c <= unix.CAP_LAST_CAP; c++ {
		if p.Caps&(1<<c) != 0 {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0)
		if err != nil && err != unix.EINVAL { // EINVAL: an older kernel does not know it
			return err
		}
	}
	return nil
}

// setIDs uses the raw system calls: the library's ones change every thread, init's too.
func (p *Process) setIDs() error {
	gid := uint32(p.GID)
	calls := [][4]uintptr{
		{unix.SYS_SETGROUPS, 1, uintptr(unsafe.Pointer(&gid)), 0},
		{unix.SYS_SETRESGID, uintptr(p.GID), uintptr(p.GID), uintptr(p.GID)},
		{unix.SYS_SETRESUID, uintptr(p.UID), uintptr(p.UID), uintptr(p.UID)},
	}
	for _, c := range calls {
		if _, _, errno := unix.RawSyscall(c[0], c[1], c[2], c[3]); errno != 0 {
			return errno
		}
	}
	runtime.KeepAlive(&gid)
	return nil
}

// setCaps empties the inheritable and ambient sets: an image's file capabilities must not add to them
// (CVE-2022-24769).
func (p *Process) setCaps() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	for i := range data {
		word := uint32(p.Caps >> (32 * i))
		data[i] = unix.CapUserData{Effective: word, Permitted: word}
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
}

func (p *Process) loadFilter() error {
	program := make([]unix.SockFilter, len(p.Filter)/unix.SizeofSockFilter)
	if len(program) == 0 {
		return unix.EINVAL
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&program[0])), len(p.Filter)), p.Filter)
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(program)
	if errno != 0 {
		return errno
	}
	return nil
}

// exec forks and executes in a session of its own, so that its process group is its pid.
func (l launch) exec() (int, error) {
	path, err := lookUp(l.process.Argv, l.process.Env)
	if err != nil {
		return 0, err
	}
	attr := &syscall.ProcAttr{
		Env:   l.process.Env,
		Files: []uintptr{uintptr(l.stdio[0]), uintptr(l.stdio[1]), uintptr(l.stdio[2])},
		Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: l.terminal},
	}
	pid, err := syscall.ForkExec(path, l.process.Argv, attr)
	if err != nil {
		return 0, fail("execute "+l.process.Argv[0], err)
	}
	return pid, nil
}

// lookUp finds a program like execvp(3), with the eyes of the app's user.
func lookUp(argv, env []string) (string, error) {
	if len(argv) == 0 || argv[0] == "" {
		return "", fail("execute an empty command", unix.ENOENT)
	}
	if strings.Contains(argv[0], "/") {
		return argv[0], nil
	}
	for dir := range strings.SplitSeq(valueOf(env, "PATH"), ":") {
		path := dir + "/" + argv[0]
		var st unix.Stat_t
		if unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&0o111 != 0 {
			return path, nil
		}
	}
	return "", fail("execute "+argv[0], unix.ENOENT)
}

// valueOf is the last value of a variable: later ones override.
func valueOf(env []string, name string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(env[i], name+"="); ok {
			return v
		}
	}
	return ""
}
