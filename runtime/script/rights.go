package script

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Rights is what a process may do at most, once it took them.
type Rights struct {
	UID, GID   uint32
	Groups     []uint32 // supplementary ones
	Bounding   uint64   // bit masks of capabilities
	Permitted  uint64   // and effective
	Inherited  uint64   // inheritable
	Ambient    uint64
	Privileges bool   // it may gain some by executing a program: no_new_privs is off
	Filter     []byte // seccomp program, struct sock_filter after struct sock_filter; nil: none
}

// Take gives up all rights but r. The order matters: the bounding set needs CAP_SETPCAP, the ids need
// CAP_SETUID, and the filter might forbid any of it. Without no_new_privs the filter needs CAP_SYS_ADMIN,
// so it comes before the capabilities go; it must then allow what follows.
func (s *Script) Take(r Rights) {
	s.dropBounding(r.Bounding)
	if !r.Privileges {
		s.Do("set no_new_privs", unix.SYS_PRCTL, N(unix.PR_SET_NO_NEW_PRIVS), N(1), N(0), N(0), N(0))
	} else {
		s.Load(r.Filter)
	}
	keep := r.UID != 0 && r.Permitted|r.Ambient != 0
	if keep {
		s.Do("keep capabilities", unix.SYS_PRCTL, N(unix.PR_SET_KEEPCAPS), N(1), N(0), N(0), N(0))
	}
	s.SetIDs(r.UID, r.GID, r.Groups)
	s.setCapabilities(r)
	if !r.Privileges {
		s.Load(r.Filter)
	}
}

func (s *Script) dropBounding(keep uint64) {
	for c := 0; c <= unix.CAP_LAST_CAP; c++ {
		if keep&(1<<c) == 0 { // EINVAL: an older kernel does not know it
			s.Try("drop capability", unix.SYS_PRCTL, N(unix.PR_CAPBSET_DROP), N(c), N(0), N(0), N(0))
		}
	}
}

// SetIDs changes user, group and supplementary groups.
func (s *Script) SetIDs(uid, gid uint32, groups []uint32) {
	var list []byte
	for _, g := range groups {
		list = binary.LittleEndian.AppendUint32(list, g)
	}
	s.Do("set groups", unix.SYS_SETGROUPS, N(len(groups)), s.Bytes(append(list, 0, 0, 0, 0)))
	s.Do("set group", unix.SYS_SETRESGID, N(gid), N(gid), N(gid))
	s.Do("set user", unix.SYS_SETRESUID, N(uid), N(uid), N(uid))
}

// setCapabilities: for apps the inheritable and ambient sets are empty, since an image's file
// capabilities must not add to them (CVE-2022-24769).
func (s *Script) setCapabilities(r Rights) {
	header := binary.LittleEndian.AppendUint32(nil, unix.LINUX_CAPABILITY_VERSION_3)
	header = binary.LittleEndian.AppendUint32(header, 0)
	var data []byte
	for word := range 2 {
		for _, set := range []uint64{r.Permitted, r.Permitted, r.Inherited} { // effective, permitted, inheritable
			data = binary.LittleEndian.AppendUint32(data, uint32(set>>(32*word)))
		}
	}
	s.Do("set capabilities", unix.SYS_CAPSET, s.Bytes(header), s.Bytes(data))
	s.Do("clear ambient capabilities", unix.SYS_PRCTL, N(unix.PR_CAP_AMBIENT), N(unix.PR_CAP_AMBIENT_CLEAR_ALL), N(0), N(0), N(0))
	for c := 0; c <= unix.CAP_LAST_CAP; c++ {
		if r.Ambient&(1<<c) != 0 {
			s.Do("raise ambient capability", unix.SYS_PRCTL, N(unix.PR_CAP_AMBIENT), N(unix.PR_CAP_AMBIENT_RAISE), N(c), N(0), N(0))
		}
	}
}

// Load loads a seccomp filter, which must not be empty unless it is nil.
func (s *Script) Load(filter []byte) {
	if filter == nil {
		return
	}
	program := s.Bytes(filter)
	// struct sock_fprog: length, padding, pointer
	fprog := s.Words(uint64(len(filter)/unix.SizeofSockFilter), program.Address())
	s.Do("load the seccomp filter", unix.SYS_SECCOMP, N(unix.SECCOMP_SET_MODE_FILTER), N(0), fprog)
}

// Limit sets a resource limit (RLIMIT_…), soft and hard.
func (s *Script) Limit(name string, resource int, soft, hard uint64) {
	s.Do("set limit "+name, unix.SYS_PRLIMIT64, N(0), N(resource), s.Words(soft, hard), N(0))
}

// NewSession gives the process a session keyring of its own: keys of the host's session stay there. A
// kernel without keys goes without.
func (s *Script) NewSession() {
	s.Try("make a keyring", unix.SYS_KEYCTL, N(unix.KEYCTL_JOIN_SESSION_KEYRING), N(0))
}

// Stdio makes three descriptors 0, 1 and 2.
func (s *Script) Stdio(fds [3]Arg) {
	for i, fd := range fds {
		s.Do("connect the streams", unix.SYS_DUP3, fd, N(i), N(0))
	}
}
