package script

import "os"

// Resume makes a Conn of a connected SOCK_SEQPACKET socket in non-blocking mode, whose other end goes on with
// a script that another process sent: s, written again, names what failed.
func Resume(socket *os.File, s *Script) *Conn { return &Conn{socket: socket, last: s} }
