package script

import "golang.org/x/sys/unix"

// Open opens a path as if root were the root: no symlink, no "..", and no magic link of /proc leads
// out of it. flags are open(2)'s, resolve openat2(2)'s in addition to these. It fails like openat2.
func (s *Script) Open(root Arg, path string, flags, resolve int) Arg {
	return s.add("open "+path, builtinOpen, 0, []Arg{root, s.String(path), N(flags), N(resolve)})
}

// TryOpen is Open whose failure is no end.
func (s *Script) TryOpen(root Arg, path string, flags, resolve int) Arg {
	return s.add("open "+path, builtinOpen, mayFail, []Arg{root, s.String(path), N(flags), N(resolve)})
}

// Dir opens a directory (O_PATH) like Open and makes what is missing of it, with mode 0755.
func (s *Script) Dir(root Arg, path string, resolve int) Arg {
	return s.add("open directory "+path, builtinOpenDir, 0, []Arg{root, s.String(path), N(resolve)})
}

// File opens a file (O_PATH) as a mount point like Open and makes it if it is missing. A symlink
// that leads nowhere is replaced.
func (s *Script) File(root Arg, path string) Arg {
	return s.add("open file "+path, builtinOpenFile, 0, []Arg{root, s.String(path)})
}

// CheckDevice ends the script unless fd is that character device.
func (s *Script) CheckDevice(path string, fd Arg, major, minor uint32) {
	s.add("check "+path, builtinCheckDevice, 0, []Arg{fd, N(unix.Mkdev(major, minor))})
}

// IsDir is 1 for a directory and 0 for anything else.
func (s *Script) IsDir(path string, fd Arg) Arg {
	return s.add("stat "+path, builtinIsDir, 0, []Arg{fd})
}

// IsFile is 0 for a directory and 1 for anything else.
func (s *Script) IsFile(path string, fd Arg) Arg {
	return s.add("stat "+path, builtinIsFile, 0, []Arg{fd})
}

// Send gives a descriptor to whoever sent the script.
func (s *Script) Send(what string, fd Arg) {
	s.add("send "+what, builtinSend, 0, []Arg{fd})
}

// Clone goes on in a child with new namespaces (CLONE_NEW… flags), which is a child of the daemon; the
// stage ends. The calls after it are the child's, which waits for the next script then.
func (s *Script) Clone(flags uint64) {
	s.add("make namespaces", builtinClone, 0, []Arg{N(flags)})
}

// Spawn makes the calls that body adds in a child process, which must end with Exec, and returns the
// child's pid when Exec succeeded.
func (s *Script) Spawn(body func()) Arg {
	pid := s.add("fork", builtinSpawn, 0, []Arg{{}})
	at := len(s.ops)
	body()
	s.ops[at-1].args[0] = N(len(s.ops) - at)
	return pid
}

// CheckInside ends the script unless the working directory is below the root and outside of /proc.
func (s *Script) CheckInside() { s.add("check the working directory", builtinInside, 0, nil) }

// AsRights remembers the calls that body adds: Rights makes them again for a command beside the app.
func (s *Script) AsRights(body func()) {
	at := len(s.ops)
	body()
	s.rights = [2]int{at, len(s.ops) - at}
}

// Rights makes the calls that gave the container's app its rights.
func (s *Script) Rights() { s.add("take the app's rights", builtinRights, 0, nil) }

// Exec executes argv, looked for in the PATH of env like execvp(3). Signals are neither blocked nor
// ignored then. env is kept for commands beside the app.
func (s *Script) Exec(argv, env []string) {
	e := s.Strings(env)
	s.env = e.value
	s.add("execute "+argv[0], builtinExec, 0, []Arg{s.Strings(argv), e, {}, {}})
}

// ExecBeside executes argv with the environment of the app, some of it replaced.
func (s *Script) ExecBeside(argv, extra []string) {
	s.add("execute "+argv[0], builtinExec, 0, []Arg{s.Strings(argv), {}, s.Strings(extra), {}})
}

// TellStarted tells the daemon that all calls before it were made, with the mount points that these made.
func (s *Script) TellStarted(pid Arg) {
	s.add("tell that it started", builtinTellStarted, 0, []Arg{pid})
}

// Supervision is what process 1 does as long as the app lives.
type Supervision struct {
	StopSignal unix.Signal // what SIGTERM to process 1 becomes
	Tethered   bool        // end with the daemon
	Status     Arg         // file that takes the app's end
	Listener   Arg         // socket that takes commands beside the app; N(-1): none
	Log        *Log        // nil: the output is not kept
}

// Log is where the lines of the two pipes go: the segments of a ring (package ring).
type Log struct {
	Stdout, Stderr Arg    // reading ends, inherited
	Segments       [2]Arg // inherited
	Limit          int64  // bytes of a segment
}

// Supervise makes process 1 the app's reaper and keeper until the app ends. It is a script's last call.
func (s *Script) Supervise(app Arg, v Supervision) {
	tethered, log := 0, Arg{}
	if v.Tethered {
		tethered = 1
	}
	if l := v.Log; l != nil {
		log = s.Words(l.Stdout.value|l.Stderr.value<<32, l.Segments[0].value|l.Segments[1].value<<32, uint64(l.Limit))
	}
	s.add("supervise", builtinSupervise, 0, []Arg{app, N(int(v.StopSignal)), N(tethered), v.Status, v.Listener, log})
}

// KeepOnlyStdio makes sure that no descriptor from 3 on survives an exec, whoever opened it.
func (s *Script) KeepOnlyStdio() {
	s.Do("close descriptors", unix.SYS_CLOSE_RANGE, N(3), N(^uint32(0)), N(unix.CLOSE_RANGE_CLOEXEC))
}
