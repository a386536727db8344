package runtime

import (
	"golang.org/x/sys/unix"
	"paas/runtime/script"
)

// leaveNetwork moves process 1 to a network namespace with nothing but a loopback, before anything of the old
// one can be seen inside: /sys shows that of whoever mounts it.
func leaveNetwork(s *script.Script) {
	s.Do("leave the network", unix.SYS_UNSHARE, script.N(unix.CLONE_NEWNET))
	socket := s.Do("raise the loopback", unix.SYS_SOCKET, script.N(unix.AF_INET), script.N(unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), script.N(0))
	request := make([]byte, 40) // struct ifreq (netdevice(7)): the name, 16 bytes, then the flags
	copy(request, "lo")
	request[16] = unix.IFF_UP
	s.Do("raise the loopback", unix.SYS_IOCTL, socket, script.N(unix.SIOCSIFFLAGS), s.Bytes(request))
	s.Close(socket)
}
