package router

import "golang.org/x/sys/unix"

// near is the longest round trip, in microseconds, to an instance on this machine or beside it.
const near = 1000

// calm chooses the congestion control of a connection on which nothing is ever lost: the oldest, which every kernel
// has and lets everybody use (tcp(7)). The host's own choice may be one for the wide world, such as BBR, which takes
// the time of every packet: some hundredths of what a request costs, and nothing is gained by it here. Connections
// to far instances, and those of clients, keep the host's.
func calm(fd uintptr) {
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err == nil && info.Rtt < near {
		_ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno")
	}
}
