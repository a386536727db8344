package oci

import (
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// namespaceKind is one type of namespace: the specification's name, the kernel's file in /proc/PID/ns, and
// the flag of clone(2).
type namespaceKind struct {
	kind specs.LinuxNamespaceType
	file string
	flag uintptr
}

// namespaceKinds is in the order in which existing ones are joined: the user namespace gives the right to
// join the others, and the mount namespace comes last, since the others are found by path.
func namespaceKinds() []namespaceKind {
	return []namespaceKind{
		{specs.UserNamespace, "user", unix.CLONE_NEWUSER},
		{specs.IPCNamespace, "ipc", unix.CLONE_NEWIPC},
		{specs.UTSNamespace, "uts", unix.CLONE_NEWUTS},
		{specs.NetworkNamespace, "net", unix.CLONE_NEWNET},
		{specs.PIDNamespace, "pid", unix.CLONE_NEWPID},
		{specs.CgroupNamespace, "cgroup", unix.CLONE_NEWCGROUP},
		{specs.TimeNamespace, "time", unix.CLONE_NEWTIME},
		{specs.MountNamespace, "mnt", unix.CLONE_NEWNS},
	}
}

func namespaceFlag(kind specs.LinuxNamespaceType) (uintptr, bool) {
	for _, k := range namespaceKinds() {
		if k.kind == kind {
			return k.flag, true
		}
	}
	return 0, false
}

// capabilityNames are in the order of their numbers (linux/capability.h).
func capabilityNames() []string {
	return strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
		LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
		SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD
		LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
		PERFMON BPF CHECKPOINT_RESTORE`)
}

func capabilityBit(name string) (int, bool) {
	for i, n := range capabilityNames() {
		if name == "CAP_"+n {
			return i, true
		}
	}
	return 0, false
}

// capabilityMask is the set as the kernel has it. Every name was checked.
func capabilityMask(names []string) (mask uint64) {
	for _, name := range names {
		if bit, ok := capabilityBit(name); ok {
			mask |= 1 << bit
		}
	}
	return mask
}

// rlimitNames are in the order of their numbers (asm-generic/resource.h).
func rlimitNames() []string {
	return strings.Fields("CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME")
}

func rlimitNumber(name string) (int, bool) {
	for i, n := range rlimitNames() {
		if name == "RLIMIT_"+n {
			return i, true
		}
	}
	return 0, false
}

func propagationFlag(name string) (int, bool) {
	flags := map[string]int{
		"shared": unix.MS_SHARED, "slave": unix.MS_SLAVE, "private": unix.MS_PRIVATE, "unbindable": unix.MS_UNBINDABLE,
		"rshared": unix.MS_SHARED | unix.MS_REC, "rslave": unix.MS_SLAVE | unix.MS_REC,
		"rprivate": unix.MS_PRIVATE | unix.MS_REC, "runbindable": unix.MS_UNBINDABLE | unix.MS_REC,
	}
	f, ok := flags[name]
	return f, ok
}
