package platform

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// lever is a key that security:set takes. A reckless value needs --i-know.
type lever struct {
	key, like, help string
	set             func(s *Security, value string) (reckless string, err error)
}

func levers() []lever {
	list := []lever{
		{"cap-add", "NET_RAW", "capabilities within the app's own namespaces", setCapabilities},
		{"device", "/dev/dri/renderD128", "a device of the host, with :r, :w or :rw", setDevices},
		{"tmpfs", "/cache:64m", "a file system in memory, counted as its memory", setTmpfs},
		{"read-only", "true", "a root file system that cannot be written, but /tmp and /run", func(s *Security, v string) (string, error) {
			return "", setBool(&s.ReadOnly, v)
		}},
		{"sysctl", "net.core.somaxconn=1024", "a setting of its own namespaces", setSysctl},
		{"seccomp", "relaxed", "default, relaxed, or the names of system calls", setSeccomp},
		{"no-new-privileges", "false", "false lets set-user-ID programs like sudo work", func(s *Security, v string) (string, error) {
			kept := true
			err := setBool(&kept, v)
			s.Privileges = !kept
			return "", err
		}},
		{"shm-size", "256m", "size of /dev/shm", func(s *Security, v string) (string, error) { return "", setBytes(&s.SharedMemory, v, 4096) }},
		{"tmp-size", "128m", "makes /tmp a file system in memory of that size", func(s *Security, v string) (string, error) {
			return "", setBytes(&s.Temporary, v, 4096)
		}},
	}
	for _, name := range rlimitNames() {
		list = append(list, lever{name, "1024:4096", "resource limit, soft:hard", func(s *Security, v string) (string, error) {
			return "", setRlimit(s, name, v)
		}})
	}
	return list
}

// rlimitNames are those of limits.conf(5) that make sense for one container.
func rlimitNames() []string {
	return []string{"as", "core", "cpu", "data", "fsize", "memlock", "msgqueue", "nofile", "nproc", "sigpending", "stack"}
}

func findLever(key string) (lever, error) {
	var names []string
	for _, l := range levers() {
		if l.key == key {
			return l, nil
		}
		names = append(names, l.key)
	}
	e := Errorf(Usage, "%q cannot be set here", key)
	for _, name := range names {
		if Near(key, name) {
			return lever{}, e.WithHint("did you mean %s?", name)
		}
	}
	return lever{}, e.WithHint("known are %s", strings.Join(names, ", "))
}

// securityOf is what the settings open and close. Devices have no numbers yet.
func securityOf(list []Setting) (s Security, err error) {
	values := resolve(list, SecurityTopic, "")
	for _, key := range slices.Sorted(maps.Keys(values)) {
		l, err := findLever(key)
		if err == nil {
			_, err = l.set(&s, values[key])
		}
		if err != nil {
			return s, fmt.Errorf("read security setting %s: %w", key, err)
		}
	}
	return s, nil
}

// In an app's user namespace a capability counts for its own namespaces only. These open ways into the
// kernel that few programs need, or to other processes of the app.
func recklessCapabilities() []string {
	return []string{"NET_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH", "SYS_RESOURCE", "LINUX_IMMUTABLE", "SYS_TTY_CONFIG"}
}

func harmlessCapabilities() []string {
	return []string{
		"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "MKNOD",
		"NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT", "SYS_NICE",
	}
}

func setCapabilities(s *Security, value string) (reckless string, err error) {
	for word := range strings.SplitSeq(value, ",") {
		name := strings.TrimPrefix(strings.ToUpper(word), "CAP_")
		switch {
		case name == "SYS_ADMIN": // it could unmount what hides /proc from the app
			return "", Errorf(Usage, "SYS_ADMIN is never given: with it an app could take its own walls down").
				WithHint("name what the app needs it for: other capabilities, devices, tmpfs and seccomp can be opened alone")
		case slices.Contains(recklessCapabilities(), name):
			reckless = name
		case !slices.Contains(harmlessCapabilities(), name):
			return "", Errorf(Usage, "the capability %q cannot be given to an app: in its user namespace it would mean nothing", word).
				WithHint("those that can: %s", strings.Join(slices.Concat(harmlessCapabilities(), recklessCapabilities()), ", "))
		}
		if !slices.Contains(s.Capabilities, name) {
			s.Capabilities = append(s.Capabilities, name)
		}
	}
	return reckless, nil
}

func setDevices(s *Security, value string) (reckless string, err error) {
	for word := range strings.SplitSeq(value, ",") {
		name, access, ok := strings.Cut(word, ":")
		if !ok {
			access = "rw"
		}
		if !strings.HasPrefix(name, "/dev/") || path.Clean(name) != name || !slices.Contains([]string{"r", "w", "rw"}, access) {
			return "", Errorf(Usage, "%q is no device: write it like /dev/dri/renderD128 or /dev/kvm:rw", word)
		}
		if slices.Contains([]string{"/dev/mem", "/dev/kmem", "/dev/port", "/dev/kmsg"}, name) {
			return "", Errorf(Usage, "%s is never given to an app: it is the host itself", name)
		}
		s.Devices = append(s.Devices, Device{Path: name, Access: access})
	}
	return "", nil
}

func setTmpfs(s *Security, value string) (reckless string, err error) {
	for word := range strings.SplitSeq(value, ",") {
		target, size, ok := strings.Cut(word, ":")
		t := Tmpfs{Path: target}
		if ok {
			err = setBytes(&t.Size, size, 4096)
		}
		if !ok || err != nil || !insidePath(target) {
			return "", Errorf(Usage, "%q is no tmpfs: write it like /cache:64m, with a path that is not of the system", word)
		}
		s.Tmpfs = append(s.Tmpfs, t)
	}
	return "", nil
}

// insidePath is an absolute path that hides nothing the runtime mounts.
func insidePath(p string) bool {
	if !path.IsAbs(p) || path.Clean(p) != p || p == "/" || strings.ContainsAny(p, "\x00\n") {
		return false
	}
	for _, system := range []string{"/proc", "/sys", "/dev", "/etc"} {
		if p == system || strings.HasPrefix(p, system+"/") {
			return false
		}
	}
	return true
}

func setBool(to *bool, value string) error {
	b, err := strconv.ParseBool(value)
	if err != nil {
		return Errorf(Usage, "%q is neither true nor false", value)
	}
	*to = b
	return nil
}

// setSysctl takes "name=value", several with commas. Only what has a namespace of its own can be set.
func setSysctl(s *Security, value string) (reckless string, err error) {
	for word := range strings.SplitSeq(value, ",") {
		name, v, ok := strings.Cut(word, "=")
		if !ok || v == "" || strings.ContainsAny(word, "\x00\n/") || strings.Contains(name, "..") {
			return "", Errorf(Usage, "%q is no sysctl: write it like net.core.somaxconn=1024", word)
		}
		if !namespacedSysctl(name) {
			return "", Errorf(Usage, "the sysctl %s is the whole host's, not the app's own", name).
				WithHint("an app has its own net.…, fs.mqueue.…, kernel.shm…, kernel.msg… and kernel.sem")
		}
		if s.Sysctls == nil {
			s.Sysctls = map[string]string{}
		}
		s.Sysctls[name] = v
	}
	return "", nil
}

// namespacedSysctl knows the ones of network and IPC namespaces (namespaces(7), ipc_namespaces(7)).
func namespacedSysctl(name string) bool {
	ipc := []string{
		"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax",
		"kernel.shmmni", "kernel.shm_rmid_forced",
	}
	return strings.HasPrefix(name, "net.") || strings.HasPrefix(name, "fs.mqueue.") || slices.Contains(ipc, name)
}

// relaxedCalls are what programs are most often refused: io_uring, user namespaces for browsers' own
// sandboxes, keyrings, page faults in user space, NUMA placement.
func relaxedCalls() []string {
	return []string{
		"add_key", "clone", "clone3", "get_mempolicy", "io_uring_enter", "io_uring_register", "io_uring_setup", "keyctl",
		"mbind", "move_pages", "personality", "request_key", "set_mempolicy", "setns", "unshare", "userfaultfd",
	}
}

// recklessCalls are large parts of the kernel that containers are kept from.
func recklessCalls() []string {
	return []string{
		"bpf", "fsconfig", "fsmount", "fsopen", "mount", "mount_setattr", "move_mount", "name_to_handle_at", "open_tree",
		"perf_event_open", "pivot_root", "process_vm_readv", "process_vm_writev", "ptrace", "umount2",
	}
}

func setSeccomp(s *Security, value string) (reckless string, err error) {
	for word := range strings.SplitSeq(value, ",") {
		switch {
		case word == "default":
		case word == "relaxed":
			s.Syscalls = append(s.Syscalls, relaxedCalls()...)
		case slices.Contains(relaxedCalls(), word):
			s.Syscalls = append(s.Syscalls, word)
		case slices.Contains(recklessCalls(), word):
			reckless = word
			s.Syscalls = append(s.Syscalls, word)
		default:
			return "", Errorf(Usage, "%q is neither default nor relaxed nor a system call that can be allowed", word).
				WithHint("those that can: %s", strings.Join(slices.Concat(relaxedCalls(), recklessCalls()), ", "))
		}
	}
	slices.Sort(s.Syscalls)
	s.Syscalls = slices.Compact(s.Syscalls)
	return reckless, nil
}

// setRlimit takes "soft:hard" or one number for both; "unlimited" is a number.
func setRlimit(s *Security, name, value string) error {
	soft, hard, two := strings.Cut(value, ":")
	if !two {
		hard = soft
	}
	l, err := Rlimit{}, error(nil)
	if l.Soft, err = rlimitNumber(soft); err == nil {
		l.Hard, err = rlimitNumber(hard)
	}
	if err != nil || l.Soft > l.Hard {
		return Errorf(Usage, "%q is no limit: write it like 1024:4096, soft and hard, or unlimited", value)
	}
	if s.Rlimits == nil {
		s.Rlimits = map[string]Rlimit{}
	}
	s.Rlimits[name] = l
	return nil
}

func rlimitNumber(text string) (uint64, error) {
	if text == "unlimited" {
		return NoLimit, nil
	}
	return strconv.ParseUint(text, 10, 63)
}
