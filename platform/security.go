package platform

// Security is what an admin has opened or closed for an app. The zero value is the default: as closed as
// an app can be that is an ordinary program.
// Its fields' names in JSON differ from Go's by their case only: what runs was written down without names.
type Security struct {
	Capabilities []string          `json:"capabilities"` // in addition to the default ones, "NET_RAW"; also for users other than root
	Devices      []Device          `json:"devices"`      // of the host, shown at the same path
	Tmpfs        []Tmpfs           `json:"tmpfs"`        // in memory, counted against the memory limit
	ReadOnly     bool              `json:"readonly"`     // the root file system cannot be written; /tmp and /run are tmpfs
	Sysctls      map[string]string `json:"sysctls"`      // of its own namespaces, "net.core.somaxconn"
	Syscalls     []string          `json:"syscalls"`     // that the filter allows in addition
	Privileges   bool              `json:"privileges"`   // no_new_privs is off: set-user-ID programs work
	SharedMemory int64             `json:"sharedmemory"` // bytes of /dev/shm; 0: 64 MiB
	Temporary    int64             `json:"temporary"`    // bytes of /tmp, which then is a tmpfs; 0: part of the writable layer
	Rlimits      map[string]Rlimit `json:"rlimits"`      // by name, "nofile"
}

// Device is a device node of the host.
type Device struct {
	Path   string `json:"path"`  // absolute, the same inside
	Block  bool   `json:"block"` // else a character device
	Major  uint32 `json:"major"`
	Minor  uint32 `json:"minor"`
	Access string `json:"access"` // "r", "w", "rw"
}

// Tmpfs is a file system in memory.
type Tmpfs struct {
	Path string `json:"path"` // absolute, inside
	Size int64  `json:"size"` // bytes
}

// Rlimit is a resource limit of a process (setrlimit(2)).
type Rlimit struct {
	Soft uint64 `json:"soft"`
	Hard uint64 `json:"hard"`
}

// NoLimit is an Rlimit's unlimited.
const NoLimit = ^uint64(0)
