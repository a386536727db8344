package platform

// Security is what an admin has opened or closed for an app. The zero value is the default: as closed as
// an app can be that is an ordinary program.
type Security struct {
	Capabilities []string          // in addition to the default ones, "NET_RAW"; also for users other than root
	Devices      []Device          // of the host, shown at the same path
	Tmpfs        []Tmpfs           // in memory, counted against the memory limit
	ReadOnly     bool              // the root file system cannot be written; /tmp and /run are tmpfs
	Sysctls      map[string]string // of its own namespaces, "net.core.somaxconn"
	Syscalls     []string          // that the filter allows in addition
	Privileges   bool              // no_new_privs is off: set-user-ID programs work
	SharedMemory int64             // bytes of /dev/shm; 0: 64 MiB
	Temporary    int64             // bytes of /tmp, which then is a tmpfs; 0: part of the writable layer
	Rlimits      map[string]Rlimit // by name, "nofile"
}

// Device is a device node of the host.
type Device struct {
	Path   string // absolute, the same inside
	Block  bool   // else a character device
	Major  uint32
	Minor  uint32
	Access string // "r", "w", "rw"
}

// Tmpfs is a file system in memory.
type Tmpfs struct {
	Path string // absolute, inside
	Size int64  // bytes
}

// Rlimit is a resource limit of a process (setrlimit(2)).
type Rlimit struct{ Soft, Hard uint64 }

// NoLimit is an Rlimit's unlimited.
const NoLimit = ^uint64(0)
