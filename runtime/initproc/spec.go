package initproc

// Name is argv[0] of a program that shall be the init of a container.
const Name = "paas-init"

// The file descriptors init starts with. What else it gets is numbered from FirstFD on, in Spec.
const (
	ControlFD = 3 // stream socket to the daemon
	ExeFD     = 4 // its own program, closed at once
	FirstFD   = 5
)

// None is a file descriptor that is not there.
const None = -1

// Spec is what init needs to know to become the init of one container. All fds are inherited.
type Spec struct {
	Hostname string
	Rootfs   int // detached mount of the root file system
	Mounts   []Mount
	Masked   []string // paths that are hidden
	ReadOnly []string // paths that cannot be written

	Process    Process
	StopSignal int
	Terminal   *Terminal // nil: no PTY

	Stdin, Stdout, Stderr int    // the app's streams; None: empty input, output to the log
	Log                   [2]int // segment files of the log, or None
	LogLimit              int    // bytes of one segment
	Status                int    // file that takes the exit status
	Exec                  int    // listening socket for exec requests, or None

	Tethered     bool // the container ends when the daemon does
	ShowCgroup   bool // mount the container's own cgroup v2 group read-only
	OpenFiles    int  // soft limit of open files, clamped to the hard one
	OOMScore     int  // oom_score_adj of the app
	SharedMemory int  // bytes of /dev/shm
}

// Mount attaches an inherited detached mount.
type Mount struct {
	FD     int
	Target string // absolute path inside
	File   bool   // the source is a file, not a directory
}

// Process is a command with what it may do.
type Process struct {
	Argv   []string
	Env    []string
	Dir    string
	UID    int
	GID    int
	Caps   int    // bit mask of capabilities it keeps, and can ever have
	Filter []byte // seccomp program, struct sock_filter after struct sock_filter
}

// Terminal is the first size of a PTY.
type Terminal struct{ Cols, Rows int }

// Go tells init to start the app: its network is up and its cgroup is set.
type Go struct {
	Env      []string // in addition to Process.Env
	Hosts    []byte   // /etc/hosts
	Resolv   []byte   // /etc/resolv.conf
	Hostname []byte   // /etc/hostname
}

// Request asks a running init to run a command beside the app; its three streams come with the
// message as SCM_RIGHTS. The command dies when the connection closes.
type Request struct {
	Argv     []string
	Env      []string // in addition to the app's
	Terminal bool     // the first stream becomes the controlling terminal
}

// Reply is what init tells, on the control socket and to an exec request.
type Reply struct {
	Kind   int
	Text   string   // ReplyFailed: what went wrong
	Errno  int      // ReplyFailed: why, 0 if unknown
	Made   []string // ReplyStarted: mount points that had to be created in the root file system
	Code   int      // ReplyExited
	Signal int      // ReplyExited: 0 if it exited by itself
}

// The kinds of Reply. ReplyTerminal carries the PTY's master as SCM_RIGHTS.
const (
	ReplyStarted = iota + 1
	ReplyFailed
	ReplyTerminal
	ReplyExited
)

// Encode gives the message's bytes for Send.
func (s *Spec) Encode() []byte    { return encode(s) }
func (g *Go) Encode() []byte      { return encode(g) }
func (r *Request) Encode() []byte { return encode(r) }
func (r *Reply) Encode() []byte   { return encode(r) }

// Decode fills the message from bytes that Receive gave.
func (s *Spec) Decode(b []byte) error    { return decode(b, s) }
func (g *Go) Decode(b []byte) error      { return decode(b, g) }
func (r *Request) Decode(b []byte) error { return decode(b, r) }
func (r *Reply) Decode(b []byte) error   { return decode(b, r) }

func (s *Spec) fields(c *codec) {
	c.str(&s.Hostname)
	c.num(&s.Rootfs)
	list(c, &s.Mounts, func(m *Mount) { c.num(&m.FD); c.str(&m.Target); c.flag(&m.File) })
	c.strs(&s.Masked)
	c.strs(&s.ReadOnly)
	s.Process.fields(c)
	c.num(&s.StopSignal)
	optional(c, &s.Terminal, func(t *Terminal) { c.num(&t.Cols); c.num(&t.Rows) })
	for _, n := range []*int{&s.Stdin, &s.Stdout, &s.Stderr, &s.Log[0], &s.Log[1], &s.LogLimit, &s.Status, &s.Exec} {
		c.num(n)
	}
	c.flag(&s.Tethered)
	c.flag(&s.ShowCgroup)
	c.num(&s.OpenFiles)
	c.num(&s.OOMScore)
	c.num(&s.SharedMemory)
}

func (p *Process) fields(c *codec) {
	c.strs(&p.Argv)
	c.strs(&p.Env)
	c.str(&p.Dir)
	c.num(&p.UID)
	c.num(&p.GID)
	c.num(&p.Caps)
	c.bytes(&p.Filter)
}

func (g *Go) fields(c *codec) {
	c.strs(&g.Env)
	c.bytes(&g.Hosts)
	c.bytes(&g.Resolv)
	c.bytes(&g.Hostname)
}

func (r *Request) fields(c *codec) {
	c.strs(&r.Argv)
	c.strs(&r.Env)
	c.flag(&r.Terminal)
}

func (r *Reply) fields(c *codec) {
	c.num(&r.Kind)
	c.str(&r.Text)
	c.num(&r.Errno)
	c.strs(&r.Made)
	c.num(&r.Code)
	c.num(&r.Signal)
}
